import { describe, expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { errorOf, quote, serverUrl, sql, sqlAt } from '../support/server.ts'
import { inCatalog, namesOf } from '../support/tenants.ts'
import { filled } from '../stock/support.ts'
import { asTenant, attempt, createProvisioner, type Isolated, makeTheirs, openAs } from './support.ts'

const addUser = (tenantry: Isolated, id: string) =>
  tenantry.with(id, async (em) => {
    em.create(User, { name: id, fullname: null })
    await em.flush()
    return em.count(User)
  })

/** The roles that a tenant's work and its database have. */
async function rolesOf(tenantry: Isolated, id: string) {
  const [session] = await tenantry.with(id, (em) =>
    em.execute<{ current: string; session: string }[]>('select current_user as current, session_user as session'),
  )
  const { database } = (await tenantry.tenants.get(id))!
  const [row] = await sql<{ owner: string; acl: string }>(
    `select r.rolname as owner, d.datacl::text as acl
     from pg_database d join pg_roles r on r.oid = d.datdba where datname = $1`,
    [database],
  )
  const tables = await sql<{ owner: string }>(
    `select distinct r.rolname as owner from pg_class c join pg_roles r on r.oid = c.relowner
     where relnamespace = 'public'::regnamespace`,
    [],
    database,
  )
  return { ...session, database, owner: row?.owner, acl: row?.acl, tables: tables.map(({ owner }) => owner) }
}

const loginOf = async (tenantry: Isolated, id: string) =>
  `${tenantry.installation}_r_${(await namesOf(tenantry, id)).rowId.replaceAll('-', '')}`

const ways: Record<string, (tenantry: Isolated) => Promise<unknown>> = {
  'a copy of the template': (tenantry) => tenantry.onboard('it'),
  'a copy of another tenant': async (tenantry) => {
    await tenantry.onboard('source')
    await addUser(tenantry, 'source')
    await tenantry.tenants.clone('source', 'it')
    await tenantry.with('it', (em) => em.nativeDelete(User, {}))
  },
  'a spare that was claimed': async (tenantry) => {
    await filled(tenantry, 1)
    expect(await tenantry.onboard('it')).toMatchObject({ path: 'spare' })
  },
}

describe('a tenant that is', () => {
  it.each(Object.keys(ways))('%s has a role of its own, which owns nothing', async (way) => {
    const spares = way.startsWith('a spare') ? 1 : 0
    const tenantry = await openAs(await createProvisioner(), { templates: { spares } })
    await ways[way]?.(tenantry)
    const { installation } = tenantry
    const login = await loginOf(tenantry, 'it')
    expect(await addUser(tenantry, 'it')).toBe(1)
    const { acl, ...roles } = await rolesOf(tenantry, 'it')
    expect(roles).toEqual({
      current: login,
      session: login,
      database: `${installation}_t_it`,
      owner: `${installation}_owner`,
      tables: [`${installation}_objects`],
    })
    // Its own role, the owners, and no other: PUBLIC would be an entry without a name.
    const grantees = [...(acl ?? '').matchAll(/([\w]*)=\w+\//g)].map(([, name]) => name)
    expect(new Set(grantees)).toEqual(new Set([login, `${installation}_objects`, `${installation}_owner`]))
  })

  it('used by initialise before it was claimed has a role of its own name', async () => {
    const tenantry = await openAs(await createProvisioner(), {
      templates: { spares: 1 },
      hooks: {
        initialise: async (em) => {
          em.create(User, { name: 'first', fullname: null })
          await em.flush()
        },
      },
    })
    await filled(tenantry, 1)
    expect(await tenantry.onboard('it')).toMatchObject({ path: 'spare' })
    expect(await addUser(tenantry, 'it')).toBe(2)
    expect((await rolesOf(tenantry, 'it')).current).toBe(await loginOf(tenantry, 'it'))
  })

  it('adopted is like any other', async () => {
    const provisioner = await createProvisioner()
    const tenantry = await openAs(provisioner)
    await tenantry.onboard('made')
    const { database } = await makeTheirs(tenantry, provisioner)
    await tenantry.tenants.adopt('it', { database })
    expect(await addUser(tenantry, 'it')).toBe(1)
    const roles = await rolesOf(tenantry, 'it')
    expect(roles).toMatchObject({ current: await loginOf(tenantry, 'it'), owner: `${tenantry.installation}_owner` })
    expect(roles.tables).toEqual([`${tenantry.installation}_objects`])
    expect(await attempt(asTenant(tenantry, 'made', async () => undefined, database))).toBe('42501')
    await tenantry.tenants.clone('it', 'copy')
    expect(await tenantry.with('copy', (em) => em.count(User))).toBe(1)
  })
})

describe('a database that is adopted from another role', () => {
  it('still serves it: its objects stay its own, and it can connect', async () => {
    const provisioner = await createProvisioner()
    const shop = await createProvisioner()
    const tenantry = await openAs(provisioner)
    const { database, url: theirs } = await makeTheirs(tenantry, shop)
    const things = [
      `create type mood as enum ('glad')`,
      `create view names as select name from user_account`,
      `create function twice(int) returns int language sql as 'select 2 * $1'`,
    ]
    for (const thing of things) await sqlAt(theirs, thing)
    await sql(`grant ${quote(shop.user)} to ${quote(provisioner.user)}`)
    await tenantry.tenants.adopt('it', { database })
    expect(await addUser(tenantry, 'it')).toBe(1)
    expect(await tenantry.with('it', (em) => em.execute('select twice(2) as it, name from names'))).toEqual([
      { it: 4, name: 'it' },
    ])
    expect(await sqlAt(theirs, 'select name from user_account')).toEqual([{ name: 'it' }])
    await sqlAt(theirs, 'alter table user_account add column more text')
    const roles = await rolesOf(tenantry, 'it')
    expect(roles).toMatchObject({ owner: `${tenantry.installation}_owner`, tables: [shop.user] })
  })
})

describe("a tenant's role", () => {
  it('reads and writes, makes temporary tables, and changes nothing of the schema', async () => {
    const tenantry = await openAs(await createProvisioner())
    await tenantry.onboard('a')
    const outcomes = await asTenant(tenantry, 'a', async (client) => {
      const statements = [
        `insert into user_account (name) values ('x')`,
        `update user_account set name = 'y'`,
        `select * from user_account for update`,
        `delete from user_account`,
        `select nextval('user_account_id_seq')`,
        `create temporary table mine (id int)`,
        `create table other (id int)`,
        `create schema other`,
        `alter table user_account add column other int`,
        `drop table user_account cascade`,
        `truncate user_account cascade`,
        `create index on user_account (name)`,
        `create function public.f() returns int language sql as 'select 1'`,
        `alter table user_account owner to current_user`,
        `grant select on user_account to public`,
        `create extension pgcrypto`,
      ]
      const results: string[] = []
      for (const statement of statements) results.push(await attempt(client.query(statement)))
      return results
    })
    // For a grant without the right to pass it on PostgreSQL merely warns; no role has the privilege then, as is
    // checked below.
    expect(outcomes.slice(0, 6)).toEqual(Array(6).fill('done'))
    expect(new Set(outcomes.slice(6, -2))).toEqual(new Set(['42501']))
    expect(outcomes.slice(-2)).toEqual(['done', '42501'])
    const [row] = await sql<{ granted: boolean }>(
      `select exists (select from aclexplode((select relacl from pg_class where relname = 'user_account')) where grantee = 0)
       as granted`,
      [],
      `${tenantry.installation}_t_a`,
    )
    expect(row?.granted).toBe(false)
  })

  it('cannot log in while its tenant is suspended or offboarded, and is dropped when it is purged', async () => {
    const tenantry = await openAs(await createProvisioner())
    await tenantry.onboard('a')
    const { user, password, database } = await tenantry.tenants.credentials('a')
    const login = { user, password: password.reveal(), database }
    const connecting = () => attempt(sqlAt(serverUrl(login), 'select 1'))
    expect(await connecting()).toBe('done')
    await tenantry.tenants.suspend('a')
    expect(await connecting()).toBe('28000')
    await tenantry.tenants.resume('a')
    expect(await connecting()).toBe('done')
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
    await tenantry.tenants.offboard('a')
    expect(await connecting()).toBe('28000')
    await tenantry.tenants.restore('a')
    expect(await connecting()).toBe('done')
    await tenantry.tenants.suspend('a')
    await tenantry.tenants.offboard('a')
    expect((await tenantry.tenants.restore('a')).tenant.state).toBe('suspended')
    expect(await connecting()).toBe('28000')
    await tenantry.tenants.offboard('a')
    await tenantry.tenants.purge('a')
    expect(await sql('select rolname from pg_roles where rolname = $1', [user])).toEqual([])
    expect(await inCatalog(tenantry, 'select 1 from tenantry.credential')).toEqual([])
  })

  it('is never taken for a backup, with any application name', async () => {
    const tenantry = await openAs(await createProvisioner())
    await tenantry.onboard('a')
    const ended = asTenant(tenantry, 'a', async (client) => {
      const end = new Promise((resolve) => client.once('end', resolve))
      await client.query(`set application_name = 'pg_dump'`)
      await tenantry.tenants.suspend('a', { drainMs: 0 })
      await end
      return 'ended'
    })
    expect(await ended).toBe('ended')
  })

  it('has its sessions ended by a provisioner without pg_signal_backend', async () => {
    const tenantry = await openAs(await createProvisioner())
    await tenantry.onboard('a')
    const outcome = await asTenant(tenantry, 'a', async (client) => {
      const ended = new Promise((resolve) => client.once('end', resolve))
      await tenantry.tenants.suspend('a', { drainMs: 0 })
      await ended
      return attempt(client.query('select 1'))
    })
    expect(outcome).not.toBe('done')
  })
})

describe('spares, templates and the catalog', () => {
  it('allow no connections but of their owner', async () => {
    const tenantry = await openAs(await createProvisioner(), { templates: { spares: 1 } })
    await filled(tenantry, 1)
    await tenantry.onboard('a')
    await filled(tenantry, 1)
    const rows = await sql<{ datname: string; public: boolean }>(
      `select datname, has_database_privilege('public', oid, 'connect') as public
       from pg_database where starts_with(datname, $1)`,
      [`${tenantry.installation}_`],
    )
    expect(rows).toHaveLength(4)
    expect(rows.filter((row) => row.public)).toEqual([])
  })

  it('are refused where PUBLIC would keep its way in', async () => {
    const provisioner = await createProvisioner()
    const tenantry = await openAs(provisioner)
    await tenantry.onboard('a')
    // A REVOKE by a member that does not inherit has no effect, and PostgreSQL merely warns.
    await sql(`alter role ${quote(provisioner.user)} noinherit`)
    const [row] = await sql<{ version: number }>(`select current_setting('server_version_num')::int as version`)
    if (row!.version >= 160_000) {
      const owner = quote(`${tenantry.installation}_owner`)
      const member = quote(provisioner.user)
      await sql(`grant ${owner} to ${member} with inherit false, set true granted by ${member}`)
    }
    const error = await errorOf(tenantry.onboard('b'))
    expect(error).toMatchObject({ code: 'permission-denied', tenant: 'b' })
    expect(await tenantry.tenants.get('b')).not.toMatchObject({ state: 'active' })
  })
})

describe("roles: 'shared'", () => {
  it('needs no CREATEROLE, gives no role of its own, and still keeps PUBLIC out', async () => {
    const provisioner = await createProvisioner()
    await sql(`alter role ${quote(provisioner.user)} nocreaterole`)
    const refused = await errorOf(openAs(provisioner))
    expect(refused).toMatchObject({ code: 'permission-denied' })
    const tenantry = await openAs(provisioner, { roles: 'shared' })
    await tenantry.onboard('a')
    expect(await addUser(tenantry, 'a')).toBe(1)
    expect(await rolesOf(tenantry, 'a')).toMatchObject({ current: provisioner.user, owner: provisioner.user })
    expect(await errorOf(tenantry.tenants.credentials('a'))).toMatchObject({ code: 'roles-shared', tenant: 'a' })
    expect(await errorOf(tenantry.tenants.rotateCredentials('a'))).toMatchObject({ code: 'roles-shared', tenant: 'a' })
    const [row] = await sql<{ public: boolean }>(
      `select has_database_privilege('public', datname, 'connect') as public from pg_database where datname = $1`,
      [`${tenantry.installation}_t_a`],
    )
    expect(row?.public).toBe(false)
    for (const verb of ['suspend', 'resume', 'offboard', 'restore', 'offboard', 'purge'] as const) {
      await tenantry.tenants[verb]('a')
    }
    expect(await tenantry.tenants.list()).toEqual([])
  })

  it('beside the other: each tenant stays as it was made, and new ones are as this process has it', async () => {
    const provisioner = await createProvisioner()
    const shared = await openAs(provisioner, { roles: 'shared' })
    await shared.onboard('a')
    const { installation } = shared
    const separate = await openAs(provisioner, { installation })
    await separate.onboard('b')
    await separate.tenants.clone('a', 'c')
    const users = async (tenantry: Isolated) => Promise.all(['a', 'b', 'c'].map((id) => rolesOf(tenantry, id)))
    expect((await users(separate)).map(({ current }) => current)).toEqual([
      provisioner.user,
      await loginOf(separate, 'b'),
      provisioner.user,
    ])
    expect((await users(shared)).map(({ current }) => current)).toEqual(Array(3).fill(provisioner.user))
  })
})
