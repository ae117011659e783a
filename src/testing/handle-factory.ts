import assert from 'node:assert/strict'
import type { Tenantry } from '../api.ts'
import { poll } from '../kernel/abort.ts'
import type { HandleFactory, SchemaSource } from '../models/port.ts'
import { type Check, withTenants } from './check.ts'

/** A handle factory, and a server on which tenants may be made for its checks. */
export interface HandleFactoryUnderTest<Handle> {
  /** A connection URL to the server, as a role with CREATEDB and CREATEROLE. */
  readonly url: string
  readonly handles: HandleFactory<Handle>
  /** Runs one statement, and returns its rows. */
  readonly execute: (handle: Handle, sql: string) => Promise<readonly unknown[]>
  /** Runs `work` in a transaction of the library's own, which is rolled back if the work fails. */
  readonly transaction: (
    handle: Handle,
    work: (execute: (sql: string) => Promise<readonly unknown[]>) => Promise<void>,
  ) => Promise<void>
}

/** The tables of the checks. */
const schema: SchemaSource = {
  defaultSchema: 'public',
  fingerprint: async () => 'checks',
  create: (session) => session.script(['create table checked (line text)']),
}

const lines = 'select line from checked'

/** Returns the checks that every handle factory passes. */
export function handleFactoryChecks<Handle>(under: HandleFactoryUnderTest<Handle>): readonly Check[] {
  const models = { schema, handles: under.handles }
  const all = Object.entries(checks).map(([name, check]) => ({
    name,
    run: () => withTenants(under.url, models, (tenantry) => check(tenantry, under as HandleFactoryUnderTest<unknown>)),
  }))
  return [...all, { name: 'is closed with its Tenantry, and can be opened again', run: () => openTwice(under) }]
}

async function openTwice<Handle>({ url, handles, execute }: HandleFactoryUnderTest<Handle>): Promise<void> {
  const open = new Set<object>()
  const recorded: HandleFactory<Handle> = {
    open: async (pool, tenant) => {
      const its = await handles.open(pool, tenant)
      open.add(its)
      const close = async () => {
        await its.close?.()
        open.delete(its)
      }
      return { handle: (signal) => its.handle(signal), finish: (handle) => its.finish(handle), close }
    },
  }
  for (let time = 0; time < 2; time++) {
    await withTenants(url, { schema, handles: recorded }, async (tenantry) => {
      assert.deepEqual(await tenantry.with('a', (handle) => execute(handle, lines)), [])
      assert.equal(open.size, 1)
    })
    assert.equal(open.size, 0)
  }
}

type HandleCheck = (tenantry: Tenantry<unknown>, under: HandleFactoryUnderTest<unknown>) => Promise<void>

const checks: Readonly<Record<string, HandleCheck>> = {
  'works on the database of its own tenant, and holds a connection only while it is used': async (
    tenantry,
    { execute },
  ) => {
    const ids = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 'a' : 'b'))
    const found = await Promise.all(
      ids.map((id) => tenantry.with(id, (handle) => execute(handle, 'select current_database() as name'))),
    )
    const [a, b] = await Promise.all(['a', 'b'].map((id) => tenantry.tenants.get(id)))
    assert.deepEqual(
      found.map(([row]) => row),
      ids.map((id) => ({ name: (id === 'a' ? a : b)?.database })),
    )
  },

  'commits a transaction, and rolls one back that fails': async (tenantry, { execute, transaction }) => {
    const add = (line: string, error?: Error) =>
      tenantry.with('a', (handle) =>
        transaction(handle, async (run) => {
          await run(`insert into checked values ('${line}')`)
          if (error !== undefined) throw error
        }),
      )
    await add('committed')
    const own = new Error('of the work')
    await assert.rejects(add('rolled back', own), (error: unknown) => isOrHas(error, own))
    assert.deepEqual(await tenantry.with('a', (handle) => execute(handle, lines)), [{ line: 'committed' }])
    assert.deepEqual(await tenantry.with('b', (handle) => execute(handle, lines)), [])
  },

  'releases its connection after an error': async (tenantry, { execute }) => {
    for (let time = 0; time < 5; time++) {
      await assert.rejects(tenantry.with('a', (handle) => execute(handle, 'no statement')))
    }
    assert.deepEqual(await tenantry.with('a', (handle) => execute(handle, lines)), [])
  },

  'ends its query when its signal is aborted': async (tenantry, { execute }) => {
    const sleeping = `select 1 from pg_stat_activity
      where query = 'select pg_sleep(60)' and state = 'active' and usename = current_user`
    const isRunning = async () => (await tenantry.with('a', (handle) => execute(handle, sleeping))).length > 0
    const stop = new AbortController()
    const work = (handle: unknown) => execute(handle, 'select pg_sleep(60)')
    const aborted = assert.rejects(tenantry.with('a', work, { signal: stop.signal }), { code: 'aborted' })
    await until(isRunning)
    stop.abort()
    await until(async () => !(await isRunning()))
    await aborted
  },

  'is refused while its tenant is out of service, and works again afterwards': async (tenantry, { execute }) => {
    const [kept] = await tenantry.with('a', (handle) => [handle])
    await tenantry.tenants.suspend('a', { drainMs: 0 })
    await assert.rejects(execute(kept, lines), (error: unknown) => isOrHas(error, 'tenant-not-active'))
    await tenantry.tenants.resume('a')
    assert.deepEqual(await tenantry.with('a', (handle) => execute(handle, lines)), [])
  },
}

/** The time that the server has for what was asked of it, in milliseconds. */
const limitMs = 10_000

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const reached = await poll(async () => ((await isSo()) ? true : undefined), limitMs, undefined)
  assert.ok(reached, 'The query still runs, or never ran.')
}

/** True if an error, or one that it wraps, is the wanted one or has its code. */
function isOrHas(error: unknown, wanted: Error | string): boolean {
  for (let it: unknown = error; it instanceof Error; it = it.cause) {
    if (it === wanted || ('code' in it && it.code === wanted)) return true
  }
  return false
}
