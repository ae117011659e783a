import { once } from 'node:events'
import { ensureDatabase, ensureTables, checkDatabase, type TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { startCountingProxy } from '../support/counting-proxy.ts'
import {
  databaseExists,
  doing,
  existingDatabase,
  expectFailure,
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
const reason = new Error('the service is shutting down')

describe('a call that is cancelled', () => {
  it('before it begins sends nothing', async () => {
    const { url } = await existingDatabase()
    const proxy = await startCountingProxy(url)
    onTestFinished(() => proxy.close())
    const options = { signal: AbortSignal.abort(reason) }
    const calls = [
      () => ensureDatabase(proxy.url(url), options),
      () => ensureTables(proxy.url(url), models, options),
      () => checkDatabase(proxy.url(url), models, options),
    ]
    for (const call of calls) expect((await expectFailure(call(), 'aborted')).cause).toBe(reason)
    expect(proxy.take()).toMatchObject({ connections: 0, statements: 0 })
  })

  it('while it connects hangs up', async () => {
    let connected: () => void = () => undefined
    const connection = new Promise<void>((resolve) => (connected = resolve))
    const hungUp: Promise<unknown>[] = []
    const { url } = await listen((socket) => {
      hungUp.push(once(socket.resume(), 'close'))
      connected()
    })
    const abort = cancelling((signal) => ensureDatabase(url, { signal }))
    await connection
    expect(await abort()).toBeLessThan(1_000)
    const abortedAt = performance.now()
    await Promise.all(hungUp)
    expect(performance.now() - abortedAt).toBeLessThan(1_000)
    expect(hungUp).toHaveLength(1)
  })

  it('while CREATE DATABASE waits for its template makes no database', async () => {
    const template = await existingDatabase()
    await openSession(template.name)
    const database = newDatabase()
    const { url, applicationName } = named(database.url)
    const abort = cancelling((signal) => ensureDatabase(url, { template: template.name, signal }))
    await sessionThat(applicationName, doing.createDatabase)
    expect(await abort()).toBeLessThan(1_500)
    await expectNoSession(applicationName)
    expect(await databaseExists(database.name)).toBe(false)
  })

  it('while it waits for its turn makes no tables', async () => {
    const database = await existingDatabase()
    await holdSchemaLock(database.name)
    const { url, applicationName } = named(database.url)
    const abort = cancelling((signal) => ensureTables(url, models, { signal }))
    await sessionThat(applicationName, doing.tryAdvisoryLock)
    expect(await abort()).toBeLessThan(1_500)
    await expectNoSession(applicationName)
    expect(await tablesIn(database.name)).toEqual([])
  })

  it('while it waits for a table makes no tables', async () => {
    const database = await existingDatabase()
    await holdUserTable(database)
    const { url, applicationName } = named(database.url)
    const abort = cancelling((signal) => ensureTables(url, models, { signal }))
    await sessionThat(applicationName, doing.waitForLock)
    expect(await abort()).toBeLessThan(1_500)
    await expectNoSession(applicationName)
    expect(await tablesIn(database.name)).toEqual(['public.user_account'])
  })

  it('after it ended is not disturbed, and leaves no listener', async () => {
    const { url } = newDatabase()
    const controller = new AbortController()
    const listeners: unknown[] = []
    const { signal } = controller
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners.push(args[1])
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners.splice(listeners.indexOf(args[1]), 1)
      remove(...args)
    }
    expect(await ensureDatabase(url, { signal })).toMatchObject({ outcome: 'created' })
    expect((await ensureTables(url, models, { signal })).created).toHaveLength(2)
    expect(listeners).toEqual([])
    controller.abort(reason)
  })
})

/** Starts a call; returns a function that cancels it, expects its error, and returns the milliseconds until then. */
function cancelling(start: (signal: AbortSignal) => Promise<unknown>): () => Promise<number> {
  const controller = new AbortController()
  const failure: Promise<TenantryError> = expectFailure(start(controller.signal), 'aborted')
  failure.catch(() => undefined)
  return async () => {
    const abortedAt = performance.now()
    controller.abort(reason)
    expect((await failure).cause).toBe(reason)
    return performance.now() - abortedAt
  }
}
