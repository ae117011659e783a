import { once } from 'node:events'
import type { Socket } from 'node:net'
import { checkDatabase, ensureDatabase, ensureTables, TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { startCountingProxy } from '../support/counting-proxy.ts'
import { errorOf, quote, serverUrl, sql } from '../support/server.ts'
import {
  as,
  closedUrl,
  existingDatabase,
  expectCausedFailure,
  expectNoSession,
  listen,
  named,
  newDatabase,
  newRole,
} from './support.ts'

const models = mikroOrm({ entities: [User, Address] })

describe('a server that', () => {
  it('is down', async () => {
    const url = await closedUrl()
    const error = await expectCausedFailure(ensureDatabase(url), 'server-unreachable')
    expect(error.message).toContain(new URL(url).host)
    await expectCausedFailure(ensureTables(url, models), 'server-unreachable')
    await expectCausedFailure(checkDatabase(url, models), 'server-unreachable')
  })

  it('accepts without an answer: given up after the time limit, and closed', async () => {
    const hungUp: Promise<unknown>[] = []
    const { url } = await listen((socket) => hungUp.push(once(socket.resume(), 'close')))
    await expectCausedFailure(ensureDatabase(url, { connectTimeoutMs: 100 }), 'server-unreachable')
    await Promise.all(hungUp)
    expect(hungUp).toHaveLength(1)
  })

  it('hangs up at once', async () => {
    const { url } = await listen((socket) => socket.destroy())
    await expectCausedFailure(ensureDatabase(url), 'server-unreachable')
  })

  it('hangs up when it is spoken to', async () => {
    const { url } = await listen((socket) => socket.once('data', () => socket.end()))
    await expectCausedFailure(ensureDatabase(url), 'server-unreachable')
  })

  it('is something else than PostgreSQL', async () => {
    const { url } = await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    await expectCausedFailure(ensureDatabase(url, { connectTimeoutMs: 500 }), 'server-unreachable')
  })

  it('has no such name', async () => {
    const error = await errorOf(ensureDatabase('postgresql://someone:hush-1@no-such-host.invalid/somewhere'))
    expect(error).toBeInstanceOf(TenantryError)
    // A retry helps only if no resolver answered.
    expect(error).toMatchObject({ code: 'unknown-host', hint: expect.stringContaining('host') })
    expect((error as TenantryError).message).not.toContain('hush-')
  })

  it('does not support TLS, though the URL requires it', async () => {
    const { url } = await listen((socket) => answerNoTls(socket))
    const error = await errorOf(ensureDatabase(`${url}?sslmode=require`))
    // It will not have it by itself.
    expect(error).toMatchObject({ code: 'server-unreachable', retryable: false, hint: expect.stringContaining('TLS') })
  })
})

describe('a server that does not let one in', () => {
  it('for a wrong password', async () => {
    const role = await newRole()
    const { url } = newDatabase()
    const wrong = as({ ...role, password: 'hush-wrong' }, url)
    const error = await expectCausedFailure(ensureDatabase(wrong), 'authentication-failed')
    expect(error.message).toContain(role.user)
    await expectCausedFailure(ensureTables(wrong, models), 'authentication-failed')
  })

  it('for an unknown user', async () => {
    const { url } = newDatabase()
    await expectCausedFailure(
      ensureDatabase(as({ user: 'nobody-of-this-name', password: 'hush-1' }, url)),
      'authentication-failed',
    )
  })

  it('for want of a password; no connection is left half-open', async () => {
    const role = await newRole()
    const { url } = newDatabase()
    const proxy = await startCountingProxy(url)
    try {
      const without = new URL(as(role, proxy.url(url)))
      without.password = ''
      await expectCausedFailure(ensureDatabase(without), 'authentication-failed')
      // Other suites connect at the same time, and are half-open for a moment; one of ours would stay for a minute.
      const halfOpen = async () => {
        const [row] = await sql<{ n: number }>(
          'select count(*)::int as n from pg_stat_activity where usename = $1 or (usename is null and backend_type = $2)',
          [role.user, 'client backend'],
        )
        return row?.n
      }
      await expect.poll(halfOpen, { timeout: 20_000 }).toBe(0)
    } finally {
      await proxy.close()
    }
  })

  it('for a role that may not log in', async () => {
    const role = await newRole()
    await sql(`alter role ${quote(role.user)} nologin`)
    await expectCausedFailure(ensureDatabase(as(role, newDatabase().url)), 'authentication-failed')
  })

  /** For a connection that is waited for. */
  const briefly = { connectTimeoutMs: 300 }

  it("for the database's connection limit", async () => {
    const role = await newRole()
    const { url } = await existingDatabase('connection limit 0')
    const error = await expectCausedFailure(ensureDatabase(as(role, url), briefly), 'too-many-connections')
    expect(error.hint).toContain('CONNECTION LIMIT')
    await expectCausedFailure(ensureTables(as(role, url), models, briefly), 'too-many-connections')
  })

  it("for the role's connection limit", async () => {
    const role = await newRole('connection limit 0')
    const url = as(role, serverUrl({ database: 'postgres' }))
    await expectCausedFailure(ensureDatabase(url, briefly), 'too-many-connections')
    const waiting = ensureDatabase(url)
    await sql(`alter role ${quote(role.user)} connection limit -1`)
    expect(await waiting).toMatchObject({ outcome: 'already-exists' })
  })
})

describe('after a call that worked', () => {
  it('no session is left', async () => {
    const database = newDatabase()
    const { url, applicationName } = named(database.url)
    await ensureDatabase(url)
    await ensureTables(url, models)
    await checkDatabase(url, models)
    await expectNoSession(applicationName)
  })
})

/** Answers the request for TLS as a server without it does. */
function answerNoTls(socket: Socket): void {
  socket.once('data', () => socket.write('N'))
}
