import { doctor, ensureDatabase } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Login } from '../../dist/server/port.js'
import { type CountingProxy, startCountingProxy } from '../support/counting-proxy.ts'
import { identifier, loginOf } from '../support/names.ts'
import { createRole, disposableName, errorOf, quote, serverUrl, sql } from '../support/server.ts'

// With any search_path of the URL, the role and the database, administration looks names up in pg_catalog alone.

const own = 'pg_catalog,pg_temp'
const query = { text: `select current_setting('search_path') as path` }
const database = identifier(disposableName('d'))
let proxy: CountingProxy
let login: { user: string; password: string }
let helper: Login
let url: string

beforeAll(async () => {
  proxy = await startCountingProxy(serverUrl())
  login = await createRole('createdb createrole')
  const other = await createRole()
  helper = loginOf(other)
  await sql(`create database ${quote(database)}`)
  for (const target of [`role ${login.user}`, `role ${other.user}`, `database ${database}`]) {
    await sql(`alter ${target} set search_path = trap, public`)
  }
  await sql(`grant ${other.user} to ${login.user}`)
  url = `${proxy.url(serverUrl({ ...login, database }))}?options=-csearch_path%3Dtrap`
})
afterAll(() => proxy.close())

const server = () => postgres({ url })

/** Expects that since the last look at least so many connections were made, all of which began so. */
async function expectOwn(least: number) {
  const { starts } = proxy.take()
  expect(starts.length).toBeGreaterThanOrEqual(least)
  for (const start of starts) expect(start.get('options')).toMatch(/ -c search_path=pg_catalog,pg_temp$/)
}

describe('the search_path is pg_catalog alone in', () => {
  const pathOf = async (run: (text: string) => unknown) => {
    const { rows } = (await run(query.text)) as { rows: { path: string }[] }
    return rows[0]?.path
  }

  it('a session, with any login and any role', async () => {
    for (const who of [{}, { login: helper }, { role: helper.user }, { login: helper, role: helper.user }]) {
      const session = await server().connect(database, who)
      expect(await pathOf((text) => session.query(text))).toBe(own)
      expect(await pathOf((text) => session.asPool().query(text))).toBe(own)
      expect(await session.transaction(() => pathOf((text) => session.query(text)))).toBe(own)
      await session.close()
    }
  })

  it('a session that is kept, and a session that listens', async () => {
    const sessions = server().sessionPool(database, 1)
    const kept = await sessions.connect()
    const listeners = { onMessage: () => undefined, onEnd: () => undefined }
    const listening = await server().coordination.join(database, listeners)
    for (const session of [kept, listening.session]) expect(await pathOf((text) => session.query(text))).toBe(own)
    await Promise.all([kept.close(), listening.end()])
    await sessions.end()
  })

  it('a pool', async () => {
    for (const who of [{}, { login: helper }, { role: helper.user, isolationLevel: 'read committed' as const }]) {
      const pool = server().pool(database, 1, who)
      expect(await pathOf((text) => pool.query(text))).toBe(own)
      await pool.end()
    }
  })

  it('cancelling a statement', async () => {
    const stop = new AbortController()
    const session = await server().connect(database, { signal: stop.signal })
    proxy.take()
    const sleeping = session.query('select pg_sleep(60)')
    stop.abort()
    expect(await errorOf(sleeping)).toMatchObject({ code: 'aborted' })
    await session.close()
    await expectOwn(1)
    const connection = await server().open(database)
    const cancelled = errorOf(Promise.resolve(connection.query('select pg_sleep(60)')))
    proxy.take()
    await server().cancel(database, connection.processID!, 'statement')
    expect(await cancelled).toMatchObject({ code: '57014' })
    await connection.close()
    await expectOwn(1)
  })

  it('the start-up functions and doctor', async () => {
    proxy.take()
    await ensureDatabase(url.replace(database, disposableName('d')))
    await doctor({ servers: [server()], installation: disposableName('i') })
    await expectOwn(8)
  })
})

describe("the service's own search_path holds in", () => {
  it("a tenant's connection, and the hooks of the service", async () => {
    const connection = await server().open(database)
    expect(await connection.query(query)).toMatchObject({ rows: [{ path: 'trap' }] })
    await connection.close()
    const pool = server().pool(database, 1, { purpose: 'service' })
    expect(await pool.query(query)).toMatchObject({ rows: [{ path: 'trap' }] })
    await pool.end()
  })
})

describe('a transaction with a schema', () => {
  it('creates there by its scripts, and finds nothing there', async () => {
    await sql(`create schema trap`, [], database)
    const sprung = `$f$ begin raise exception 'sprung'; end $f$`
    await sql(`create function trap.same(oid, regclass) returns boolean language plpgsql as ${sprung}`, [], database)
    await sql(`create operator trap.= (leftarg = oid, rightarg = regclass, function = trap.same)`, [], database)
    const session = await postgres({ url: serverUrl({ database }) }).connect(database)
    const table = `from pg_class c where c.oid = 'trap.t'::regclass`
    await session.transaction(
      async () => {
        await session.script(['create table t (id int default 1)', 'create view v as select id from t'])
        expect((await session.query(`select c.oid::regclass::text as name ${table}`)).rows).toEqual([
          { name: 'trap.t' },
        ])
      },
      { schema: 'trap' },
    )
    await session.close()
    // A session with that schema in its search_path is trapped.
    expect(await errorOf(sql(`select c.oid ${table}`, [], database))).toMatchObject({ message: 'sprung' })
  })
})
