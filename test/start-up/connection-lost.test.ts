import { connect, type Socket } from 'node:net'
import { ensureDatabase, ensureTables, type TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { startCountingProxy } from '../support/counting-proxy.ts'
import { errorOf, sql } from '../support/server.ts'
import {
  databaseExists,
  doing,
  existingDatabase,
  expectCausedFailure,
  expectNoSession,
  holdSchemaLock,
  holdUserTable,
  listen,
  named,
  newDatabase,
  openSession,
  sessionThat,
  tablesIn,
} from './support.ts'

const models = mikroOrm({ entities: [User, Address] })

describe('a connection that breaks', () => {
  it('in the middle of CREATE TABLE leaves nothing half-made', async () => {
    const database = await existingDatabase()
    const holder = await holdUserTable(database)
    const proxy = await cuttableProxy(database.url)
    const { url, applicationName } = named(proxy.url(database.url))
    const call = expectCausedFailure(ensureTables(url, models), 'connection-lost')
    await sessionThat(applicationName, doing.waitForLock)
    proxy.cut()
    await call
    await holder.query('rollback')
    await expectNoSession(applicationName)
    expect(await tablesIn(database.name)).toEqual(['public.user_account'])
    expect((await ensureTables(database.url, models)).created).toContainEqual({ kind: 'table', name: 'address' })
  })

  it('in the middle of CREATE DATABASE leaves all of it or nothing', async () => {
    const template = await existingDatabase()
    const holder = await openSession(template.name)
    const database = newDatabase()
    const proxy = await cuttableProxy(database.url)
    const { url, applicationName } = named(proxy.url(database.url))
    const call = expectCausedFailure(ensureDatabase(url, { template: template.name }), 'connection-lost')
    await sessionThat(applicationName, doing.createDatabase)
    proxy.cut()
    await call
    await holder.end()
    await expectNoSession(applicationName)
    const exists = await databaseExists(database.name)
    expect(await ensureDatabase(database.url)).toMatchObject({ outcome: exists ? 'already-exists' : 'created' })
  })
})

describe('a session that is ended by an administrator', () => {
  it('while it waits for its turn leaves nothing half-made', async () => {
    const database = await existingDatabase()
    await holdSchemaLock(database.name)
    const { url, applicationName } = named(database.url)
    const call = expectCausedFailure(ensureTables(url, models), 'connection-lost')
    await sql('select pg_terminate_backend($1)', [await sessionThat(applicationName, doing.tryAdvisoryLock)])
    await call
    await expectNoSession(applicationName)
    expect(await tablesIn(database.name)).toEqual([])
  })

  it('in the middle of CREATE TABLE leaves nothing half-made', async () => {
    const database = await existingDatabase()
    await holdUserTable(database)
    const { url, applicationName } = named(database.url)
    const call = expectCausedFailure(ensureTables(url, models), 'connection-lost')
    await sql('select pg_terminate_backend($1)', [await sessionThat(applicationName, doing.waitForLock)])
    expect((await call).sqlState).toBe('57P01')
    await expectNoSession(applicationName)
    expect(await tablesIn(database.name)).toEqual(['public.user_account'])
  })
})

describe('a server that falls silent in the middle', () => {
  it('is given up a while after the time limit for a statement', async () => {
    const database = await existingDatabase()
    await holdUserTable(database)
    const proxy = await mutableProxy(database.url)
    const { url, applicationName } = named(proxy.url)
    const call = expectCausedFailure(ensureTables(url, models, { statementTimeoutMs: 1_000 }), 'connection-lost')
    await sessionThat(applicationName, doing.waitForLock)
    proxy.mute()
    await call
    await expectNoSession(applicationName)
    expect(await tablesIn(database.name)).toEqual(['public.user_account'])
  })

  it('does not keep a cancelled call waiting', async () => {
    const database = await existingDatabase()
    const holder = await holdUserTable(database)
    const proxy = await mutableProxy(database.url)
    const { url, applicationName } = named(proxy.url)
    const controller = new AbortController()
    const call = errorOf(ensureTables(url, models, { signal: controller.signal }))
    await sessionThat(applicationName, doing.waitForLock)
    proxy.mute()
    const abortedAt = performance.now()
    controller.abort()
    expect(((await call) as TenantryError).code).toBe('aborted')
    expect(performance.now() - abortedAt).toBeLessThan(4_000)
    await holder.query('rollback')
    await expectNoSession(applicationName)
    expect(await tablesIn(database.name)).toEqual(['public.user_account'])
  })
})

async function cuttableProxy(url: string) {
  const proxy = await startCountingProxy(url)
  onTestFinished(() => proxy.close())
  return proxy
}

/** Starts a proxy that can stop passing on bytes, in either direction, without closing. */
async function mutableProxy(target: string): Promise<{ url: string; mute: () => void }> {
  const { hostname, port } = new URL(target)
  let muted = false
  const pass = (from: Socket, to: Socket) => from.on('data', (chunk) => muted || to.write(chunk))
  const { url: listening } = await listen((client) => {
    const upstream = connect(Number(port), hostname)
    upstream.on('error', () => undefined)
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
    pass(client, upstream)
    pass(upstream, client)
  })
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = new URL(listening).port
  return {
    url: url.href,
    mute: () => {
      muted = true
    },
  }
}
