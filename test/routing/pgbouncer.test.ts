import type { EntityManager } from '@mikro-orm/postgresql'
import { openTenantry, type TenantryConfig } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { pgbouncer, type Pooler, startPgbouncer, startPgbouncerFor } from '../support/pgbouncer.ts'
import { codeBlocks, readPage } from '../docs/markdown.ts'
import { createRole, disposableName, dropAfterwards, errorOf, serverUrl, sql, sqlAt } from '../support/server.ts'
import { expectSessions, sessionsIn } from '../support/sessions.ts'
import { namesOf, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

/**
 * Returns the settings by which PgBouncer reads each role's password from the server. Up to 1.18 it does so in the
 * database that the role wants.
 */
const knowsRoles = () => [
  'auth_type = scram-sha-256',
  `auth_user = ${decodeURIComponent(new URL(serverUrl()).username)}`,
  'auth_query = select rolname, rolpassword from pg_authid where rolname = $1 and rolcanlogin',
]

const modes = ['session', 'transaction'] as const

describe.skipIf(pgbouncer === undefined)("tenants' work through PgBouncer (skipped where it is not installed)", () => {
  describe.each(modes)('in %s mode', (mode) => {
    let pooler: Pooler
    let tenantry: TestTenantry<EntityManager>
    const open = (overrides: Partial<TenantryConfig<EntityManager>> = {}) =>
      openTestTenantry(models, { ...overrides, postgres: { maxConnections: 3, pooler: { url: urlOf(pooler), mode } } })
    const databaseOf = async (id: string) => (await namesOf(tenantry, id)).inService

    beforeAll(async () => {
      pooler = await startPgbouncer(...knowsRoles(), `pool_mode = ${mode}`)
      tenantry = await open()
      for (const id of ['a', 'b']) await tenantry.onboard(id)
    })
    afterAll(() => pooler.stop())

    it("works on each tenant's own database, as its own role", async () => {
      const work = (em: EntityManager) =>
        em.execute(
          'select current_database() as database, session_user as role, current_setting($$application_name$$) as name',
        )
      const ids = Array.from({ length: 40 }, (_, i) => 'ab'[i % 2] as string)
      const found = await Promise.all(ids.map((id) => tenantry.with(id, work)))
      for (const [i, id] of ids.entries()) {
        const { rowId, inService: database } = await namesOf(tenantry, id)
        const role = `${tenantry.installation}_r_${rowId.replaceAll('-', '')}`
        expect(found[i]).toEqual([{ database, role, name: 'tenantry' }])
      }
    })

    it('commits, rolls back, and leaves no transaction open to the next', async () => {
      const name = `rolled-back-${mode}`
      const failed = tenantry.with('a', (em) =>
        em.transactional(async (tx) => {
          tx.create(User, { name })
          await tx.flush()
          throw new Error('no')
        }),
      )
      expect(await errorOf(failed)).toMatchObject({ message: 'no' })
      await tenantry.with('a', (em) => em.execute('begin'))
      const count = await tenantry.with('a', (em) => em.transactional((tx) => tx.count(User, { name })))
      expect(count).toBe(0)
      const [row] = await tenantry.with('a', (em) => em.execute('select pg_current_xact_id_if_assigned() as xid'))
      expect(row).toEqual({ xid: null })
    })

    it('reads by a cursor', async () => {
      await tenantry.with('b', async (em) => {
        for (let i = 0; i < 25; i++) em.create(User, { name: `read-${i}` })
        await em.flush()
      })
      const names: string[] = []
      await tenantry.with('b', async (em) => {
        for await (const user of em.stream(User, { orderBy: { id: 'asc' }, chunkSize: 10 })) names.push(user.name)
      })
      expect(names).toHaveLength(25)
    })

    it('cancels a query on the server, and no other', async () => {
      const controller = new AbortController()
      const database = await databaseOf('a')
      const other = tenantry.with('b', (em) => em.execute('select pg_sleep(0.5)'))
      const cancelled = tenantry.with('a', (em) => em.execute('select pg_sleep(600)'), { signal: controller.signal })
      await expectSessions(database, `query like '%pg_sleep(600)%' and state = 'active'`)
      controller.abort()
      expect(await errorOf(cancelled)).toMatchObject({ code: 'aborted' })
      await expectSessions(database, `state = 'active'`, 0)
      await other
      expect(await tenantry.with('a', (em) => em.execute('select 1 as it'))).toEqual([{ it: 1 }])
    })

    it('waits, before a tenant is suspended, for work under way and not for idle connections of the pooler', async () => {
      const database = await databaseOf('a')
      const gate = Promise.withResolvers<void>()
      onTestFinished(() => gate.resolve())
      const working = tenantry.with('a', (em) =>
        em.transactional(async (tx) => {
          await tx.execute('select 1')
          await gate.promise
          return tx.count(User)
        }),
      )
      await expectSessions(database, `state = 'idle in transaction'`)
      let isOver = false
      const suspending = tenantry.tenants.suspend('a', { drainMs: 600_000 }).then((suspended) => {
        isOver = true
        return suspended
      })
      await expect.poll(() => errorOf(tenantry.run('a', () => 1))).toMatchObject({ code: 'tenant-not-active' })
      expect(isOver).toBe(false)
      gate.resolve()
      expect(await working).toBe(0)
      expect(await suspending).toMatchObject({ outcome: 'suspended' })
      expect(await sessionsIn(database)).toEqual([])
      await tenantry.tenants.resume('a')
      expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
    })

    it('goes on with a new password, in every process', async () => {
      const other = await open({ installation: tenantry.installation, mode: 'router' })
      const count = (em: EntityManager) => em.count(User)
      for (const process of [tenantry, other]) expect(await process.with('a', count)).toBe(0)
      expect(await tenantry.tenants.rotateCredentials('a')).toMatchObject({ outcome: 'rotated' })
      for (const process of [tenantry, other]) expect(await process.with('a', count)).toBe(0)
    })

    it('keeps a tenant out of the database of another, also with its own password', async () => {
      const { user, password } = await tenantry.tenants.credentials('a')
      const through = (database: string, secret: string) =>
        sqlAt(`postgresql://${user}:${secret}@${pooler.host}:${pooler.port}/${database}`, 'select 1')
      await through(await databaseOf('a'), password.reveal())
      expect(await errorOf(through(await databaseOf('b'), password.reveal()))).toBeInstanceOf(Error)
      expect(await errorOf(through(await databaseOf('a'), 'guessed'))).toBeInstanceOf(Error)
    })

    it('reports a changed role, as without a pooler', async () => {
      await tenantry.onboard('changed')
      const { user } = await tenantry.tenants.credentials('changed')
      await sql(`alter role "${user}" nologin`)
      const error = await errorOf(tenantry.with('changed', (em) => em.count(User)))
      expect(error).toMatchObject({ code: 'authentication-failed', tenant: 'changed' })
      expect(error).toMatchObject({ hint: expect.stringContaining('rotateCredentials()') })
      await tenantry.tenants.rotateCredentials('changed')
      expect(await tenantry.with('changed', (em) => em.count(User))).toBe(0)
    })

    it('offboards, restores and purges a tenant that the pooler keeps connections of', async () => {
      await tenantry.onboard('goes')
      const count = () => tenantry.with('goes', (em) => em.count(User))
      expect(await count()).toBe(0)
      expect(await tenantry.tenants.offboard('goes', { drainMs: 600_000 })).toMatchObject({ outcome: 'offboarded' })
      expect(await tenantry.tenants.restore('goes')).toMatchObject({ outcome: 'restored' })
      expect(await count()).toBe(0)
      await tenantry.tenants.offboard('goes', { drainMs: 600_000 })
      expect(await tenantry.tenants.purge('goes')).toMatchObject({ outcome: 'purged' })
      expect(await tenantry.onboard('goes')).toMatchObject({ outcome: 'onboarded' })
      expect(await count()).toBe(0)
    })

    it('copies a tenant that the pooler keeps connections of while it is suspended', async () => {
      expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
      // Of one in service a copy would have to end connections that may have work again the next moment.
      expect(await errorOf(tenantry.tenants.clone('a', 'copy', { drainMs: 0 }))).toMatchObject({
        code: 'template-in-use',
        hint: expect.stringContaining('Suspend a'),
      })
      await tenantry.tenants.suspend('a', { drainMs: 600_000 })
      expect(await tenantry.tenants.clone('a', 'copy')).toMatchObject({ outcome: 'cloned' })
      await tenantry.tenants.resume('a')
      expect(await tenantry.with('copy', (em) => em.count(User))).toBe(0)
    })

    it('is not used for anything else', async () => {
      const own = await startPgbouncer(...knowsRoles(), `pool_mode = ${mode}`)
      const direct = await openTestTenantry(models, { postgres: { pooler: { url: urlOf(own), mode } } })
      await direct.onboard('x')
      await own.stop()
      expect(await direct.onboard('y')).toMatchObject({ outcome: 'onboarded' })
      expect(await direct.tenants.suspend('x')).toMatchObject({ outcome: 'suspended' })
      const error = await errorOf(direct.with('y', (em) => em.count(User)))
      expect(error).toMatchObject({ code: 'server-unreachable' })
      expect(String(error)).toContain(`The pooler at ${own.host}:${own.port}`)
    })
  })

  it('knows the roles by the function that the documentation has', async () => {
    const asker = disposableName('pgb')
    const tenantry = await openTestTenantry(models)
    await tenantry.onboard('a')
    const { inService: database } = await namesOf(tenantry, 'a')
    const [statements = ''] = codeBlocks(readPage('docs/concepts/pgbouncer.md'), 'sql')
    // Up to 1.18 PgBouncer reads them in the tenant's own database.
    await sql(statements.replaceAll(/(ROLE|TO) pgbouncer/g, `$1 ${asker}`).replace("'...'", "'asked'"), [], database)
    await sql(`grant connect on database "${database}" to ${asker}`)
    const pooler = await startPgbouncerFor(
      { [asker]: 'asked' },
      'auth_type = scram-sha-256',
      `auth_user = ${asker}`,
      'auth_query = select name, secret from pgbouncer.lookup($1)',
    )
    onTestFinished(pooler.stop)
    const through = await openTestTenantry(models, {
      installation: tenantry.installation,
      postgres: { pooler: { url: urlOf(pooler) } },
    })
    expect(await through.with('a', (em) => em.count(User))).toBe(0)
    await through.close()
    await sql('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [asker])
  })

  it('a role that is no superuser does not wait for idle sessions either, if it may see them', async () => {
    const pooler = await startPgbouncer(...knowsRoles())
    onTestFinished(pooler.stop)
    const admin = await createRole('createdb createrole in role pg_read_all_stats')
    dropAfterwards(admin.user)
    const tenantry = await openTestTenantry(models, {
      postgres: { url: serverUrl({ ...admin, database: 'postgres' }), pooler: { url: urlOf(pooler) } },
    })
    await tenantry.onboard('a')
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
    expect(await tenantry.tenants.suspend('a', { drainMs: 600_000 })).toMatchObject({ outcome: 'suspended' })
  })

  it('in session mode keeps the settings in session', async () => {
    const pooler = await startPgbouncer(...knowsRoles())
    onTestFinished(pooler.stop)
    const session = {
      isolationLevel: 'repeatable read',
      lockTimeoutMs: 1_111,
      statementTimeoutMs: 22_222,
      idleInTransactionTimeoutMs: 33_333,
      applicationName: 'shop',
    } as const
    const tenantry = await openTestTenantry(models, { session, postgres: { pooler: { url: urlOf(pooler) } } })
    await tenantry.onboard('a')
    const shown = await tenantry.with('a', (em) =>
      em.execute(
        `select name, setting from pg_settings
         where name in ('default_transaction_isolation', 'lock_timeout', 'statement_timeout', 'application_name',
                        'idle_in_transaction_session_timeout') order by name`,
      ),
    )
    expect(Object.fromEntries(shown.map(({ name, setting }: Record<string, string>) => [name, setting]))).toEqual({
      application_name: 'shop',
      default_transaction_isolation: 'repeatable read',
      idle_in_transaction_session_timeout: '33333',
      lock_timeout: '1111',
      statement_timeout: '22222',
    })
  })
})

describe('the pooler of a server', () => {
  it.each([
    ['postgresql://somebody@pooler:6432', 'invalid-url'],
    ['postgresql://:secret@pooler:6432', 'invalid-url'],
    ['postgresql://pooler:6432/database', 'invalid-url'],
    ['postgresql://pooler:6432?user=somebody', 'invalid-url'],
    ['postgresql://pooler:6432?options=-c%20lock_timeout%3D1', 'invalid-url'],
    ['http://pooler:6432', 'invalid-url'],
    ['pooler:6432:', 'invalid-url'],
  ])('%s is refused: it must have only the address', (url, code) => {
    expect(() => postgres({ url: serverUrl(), pooler: { url } })).toThrow(expect.objectContaining({ code }))
  })

  it.each([{ url: 'postgresql://pooler', mode: 'statement' }, { url: 'postgresql://pooler', port: 6432 }, 7])(
    '%o is refused',
    (pooler) => {
      const options = { url: serverUrl(), pooler: pooler as { url: string } }
      expect(() => postgres(options)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
    },
  )

  it.each([{ lockTimeoutMs: 1 }, { isolationLevel: 'serializable' }] as const)(
    'in transaction mode is refused with %o in session, which would be lost',
    async (session) => {
      const server = postgres({ url: serverUrl(), pooler: { url: 'postgresql://localhost', mode: 'transaction' } })
      const error = await errorOf(openTenantry({ models, servers: [server], session }))
      expect(error).toMatchObject({ code: 'invalid-option' })
      expect(String(error)).toContain('A pooler in transaction mode')
    },
  )
})

function urlOf({ host, port }: Pooler): string {
  return `postgresql://${host}:${port}`
}
