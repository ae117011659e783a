import type { TenantryEvent } from 'tenantry'
import { beforeAll, expect, it } from 'vitest'
import { sql, useOwnServer } from '../support/server.ts'
import { createProvisioner, type Isolated, login, openAs, rolesLike } from './support.ts'

// A session drops its temporary objects in one transaction, with a lock on each: more than the server can lock are left.

useOwnServer({ max_locks_per_transaction: 32, max_connections: 50 })
let provisioner: { user: string; password: string }
beforeAll(async () => {
  provisioner = await createProvisioner()
})

/** Leaves temporary functions of a tenant in a database. */
async function leaveFunctions(tenantry: Isolated, id: string, database: string): Promise<void> {
  const client = await login(tenantry, id, database)
  await client.query('create type pg_temp.mine as ()')
  await client.query(`do $$ begin for i in 1..8000 loop
    execute format('create function pg_temp.f%s() returns int language sql return 1', i);
    if i % 100 = 0 then commit; end if;
  end loop; end $$`)
  const [{ pid }] = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows as [{ pid: number }]
  await client.end()
  await expect.poll(() => sql('select 1 from pg_stat_activity where pid = $1', [pid])).toEqual([])
  const left = `select 1 from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname ~ '^pg_temp_'`
  expect(await sql(left, [], database)).toHaveLength(8000)
}

it("do not keep a tenant's database from being cloned with its large objects", async () => {
  const tenantry = await openAs(provisioner)
  await tenantry.onboard('evil')
  const { database } = await tenantry.tenants.credentials('evil')
  await leaveFunctions(tenantry, 'evil', database)
  await tenantry.with('evil', (em) => em.execute(`select lo_from_bytea(777, 'hello')`))
  expect(await tenantry.tenants.clone('evil', 'copy', { anonymise: false })).toMatchObject({ outcome: 'cloned' })
  const [row] = await tenantry.with('copy', (em) => em.execute(`select convert_from(lo_get(777), 'UTF8') as text`))
  expect(row).toEqual({ text: 'hello' })
})

it('keep no tenant from being purged, and its role is reported with a remedy', async () => {
  const tenantry = await openAs(provisioner, { limits: { drainMs: 500 } })
  await tenantry.onboard('evil')
  const { user } = await tenantry.tenants.credentials('evil')
  await leaveFunctions(tenantry, 'evil', 'postgres')
  const kept: TenantryEvent[] = []
  tenantry.on((event) => event.event === 'role-kept' && kept.push(event))
  await tenantry.tenants.offboard('evil')
  expect(await tenantry.tenants.purge('evil')).toEqual({ outcome: 'purged' })
  const hint = expect.stringMatching(/max_locks_per_transaction/)
  expect(kept).toMatchObject([{ role: user, error: { code: 'query-failed', hint } }])
  await sql(`do $$ declare it record; n int := 0; begin
    for it in select p.oid::regprocedure as name from pg_proc p where p.pronamespace::regnamespace::text ~ '^pg_temp_' loop
      execute format('drop function %s', it.name);
      n := n + 1;
      if n % 100 = 0 then commit; end if;
    end loop; end $$`)
  await tenantry.servers.reconcile()
  expect(await rolesLike(`^${user}$`)).toEqual([])
})

it('are no large objects: more than can be locked at once are cloned', async () => {
  const tenantry = await openAs(provisioner)
  await tenantry.onboard('many')
  await tenantry.with('many', async (em) => {
    for (let part = 0; part < 6; part++) await em.execute('select lo_create(0) from generate_series(1, 1000)')
  })
  expect(await tenantry.tenants.clone('many', 'copy-of-many', { anonymise: false })).toMatchObject({
    outcome: 'cloned',
  })
  const { user } = await tenantry.tenants.credentials('copy-of-many')
  const [row] = await tenantry.with('copy-of-many', (em) =>
    em.execute('select count(*)::int as count from pg_largeobject_metadata where lomowner = ?::regrole', [user]),
  )
  expect(row).toEqual({ count: 6000 })
})

it('of others keep the privileges of other roles when one is revoked', async () => {
  const tenantry = await openAs(provisioner)
  for (const id of ['granting', 'dropped', 'kept']) await tenantry.onboard(id)
  const [dropped, kept] = await Promise.all(
    ['dropped', 'kept'].map(async (id) => (await tenantry.tenants.credentials(id)).user),
  )
  await tenantry.with('granting', async (em) => {
    await em.execute('select lo_create(99)')
    await em.execute(`grant all on large object 99 to "${dropped}", "${kept}" with grant option`)
  })
  await tenantry.tenants.offboard('dropped')
  await tenantry.tenants.purge('dropped')
  expect(await rolesLike(`^${dropped}$`)).toEqual([])
  const { database } = await tenantry.tenants.credentials('granting')
  const [row] = await sql('select lomacl::text as acl from pg_largeobject_metadata where oid = 99', [], database)
  expect(row).toEqual({ acl: expect.stringContaining(`${kept}=r*w*/`) })
})
