import type { Client } from 'pg'
import { postgres } from 'tenantry/postgres'
import { beforeAll, describe, expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { filled } from '../stock/support.ts'
import { quote, serverUrl, sql, uniqueName } from '../support/server.ts'
import { foreignSession } from '../support/sessions.ts'
import { snapshot } from '../support/tenants.ts'
import { asTenant, attempt, createProvisioner, type Isolated, makeTheirs, openAs } from './support.ts'

// Every tenant's role tries, against every other tenant, every statement that might reach its database, its rows, its
// password or its settings. Each is tried against the tenant itself as well, where some of them work: a statement that
// fails for want of a comma would prove nothing.

/** Made in each way that there is, and in each state. */
const ids = ['copied', 'claimed', 'cloned', 'adopted', 'suspended', 'offboarded'] as const
const attackers = ['copied', 'claimed', 'cloned', 'adopted'] as const

/** An attacker's knowledge of a tenant. */
interface Victim {
  readonly id: string
  readonly database: string
  readonly user: string
}

let tenantry: Isolated
let provisioner: { user: string; password: string }
const victims = new Map<string, Victim>()

beforeAll(async () => {
  provisioner = await createProvisioner()
  tenantry = await openAs(provisioner, { templates: { spares: 1 } })
  await filled(tenantry, 1)
  const claimed = await tenantry.onboard('claimed')
  if (claimed.path !== 'spare') throw new Error('It was to be made by a claim.')
  await tenantry.templates.remove()
  for (const id of ['copied', 'suspended', 'offboarded']) await tenantry.onboard(id)
  await tenantry.tenants.clone('copied', 'cloned')
  const { database: theirs } = await makeTheirs(tenantry, provisioner)
  await tenantry.tenants.adopt('adopted', { database: theirs })
  for (const id of ids) {
    const { user, database } = await tenantry.tenants.credentials(id)
    victims.set(id, { id, user, database })
    await tenantry.with(id, async (em) => {
      em.create(User, { name: `secret of ${id}`, fullname: null })
      await em.flush()
    })
  }
  for (const id of attackers) await addTraps(victims.get(id)!.database)
  // Each has a session, which might be ended.
  for (const id of attackers) {
    const { user, password, database } = await tenantry.tenants.credentials(id)
    await foreignSession(database, { user, password: password.reveal() })
  }
  await tenantry.tenants.suspend('suspended')
  await tenantry.tenants.offboard('offboarded')
  const [archived = ''] = await databasesLike('_off_')
  victims.set('offboarded', { ...victims.get('offboarded')!, database: archived })
})

/**
 * Adds functions that run as the owners of the objects in a database: the worst that a service's own schema may
 * contain.
 */
async function addTraps(database: string): Promise<void> {
  const [row] = await sql<{ owner: string }>(
    `select tableowner as owner from pg_tables where tablename = 'user_account'`,
    [],
    database,
  )
  await sql(
    `create function as_objects(statement text) returns void language plpgsql security definer
     as 'begin execute statement; end'`,
    [],
    database,
  )
  await sql(`alter function as_objects owner to ${quote(row!.owner)}`, [], database)
}

/** Statements, and the expected result of each on the role's own tenant. */
const statements: readonly { readonly own: 'done' | 'refused'; readonly text: (victim: Victim) => string }[] = [
  // The database
  { own: 'refused', text: ({ database }) => `drop database ${quote(database)}` },
  { own: 'refused', text: ({ database }) => `alter database ${quote(database)} rename to stolen_${Date.now()}` },
  { own: 'refused', text: ({ database }) => `alter database ${quote(database)} owner to current_user` },
  { own: 'refused', text: ({ database }) => `alter database ${quote(database)} with allow_connections false` },
  { own: 'refused', text: ({ database }) => `alter database ${quote(database)} set work_mem = '1MB'` },
  { own: 'refused', text: ({ database }) => `comment on database ${quote(database)} is '{"tenantry":1}'` },
  { own: 'refused', text: ({ database }) => `create database stolen template ${quote(database)}` },
  // Rows, by another database's name
  { own: 'done', text: ({ database }) => `select * from ${quote(database)}.public.user_account` },
  { own: 'refused', text: () => 'create extension dblink' },
  { own: 'refused', text: () => 'create extension postgres_fdw' },
  { own: 'refused', text: () => `create server stolen foreign data wrapper postgres_fdw` },
  // The role and its password
  { own: 'done', text: ({ user }) => `set role ${quote(user)}; reset role` },
  { own: 'done', text: ({ user }) => `set session authorization ${quote(user)}; reset session authorization` },
  { own: 'done', text: ({ user }) => `alter role ${quote(user)} set search_path = public` },
  { own: 'done', text: ({ user }) => `alter role ${quote(user)} reset all` },
  { own: 'refused', text: ({ user }) => `alter role ${quote(user)} createdb` },
  { own: 'refused', text: ({ user }) => `alter role ${quote(user)} rename to stolen` },
  { own: 'refused', text: ({ user }) => `alter role ${quote(user)} valid until 'infinity' login` },
  { own: 'refused', text: ({ user }) => `drop role ${quote(user)}` },
  { own: 'refused', text: ({ user }) => `grant ${quote(user)} to current_user` },
  { own: 'done', text: ({ user }) => `reassign owned by ${quote(user)} to current_user` },
  {
    own: 'done',
    text: ({ user }) => `alter default privileges for role ${quote(user)} grant select on tables to public`,
  },
  { own: 'refused', text: ({ user }) => `select rolpassword from pg_authid where rolname = '${user}'` },
  { own: 'refused', text: ({ user }) => `select passwd from pg_shadow where usename = '${user}'` },
  // Sessions
  {
    own: 'done',
    text: ({ user }) =>
      `select pg_cancel_backend(pid) from pg_stat_activity where usename = '${user}' and pid <> pg_backend_pid()`,
  },
  {
    own: 'done',
    text: ({ user }) =>
      `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${user}' and pid <> pg_backend_pid()`,
  },
]

const isAboutSessions = (text: string) => /pg_(?:cancel|terminate)_backend/.test(text)

/** Statements that attack no single tenant: the installation, the server, its files. */
const againstAll: readonly string[] = [
  `set role {installation}_owner`,
  `set role {installation}_objects`,
  `grant {installation}_owner to current_user`,
  `grant {installation}_app to current_user with admin option`,
  `set role "{provisioner}"`,
  `create role stolen`,
  `create database stolen`,
  `select pg_read_file('postgresql.conf')`,
  `select pg_ls_dir('base')`,
  `select lo_import('/etc/passwd')`,
  `copy user_account from program 'id'`,
  `copy user_account to '/tmp/stolen'`,
  `select * from pg_hba_file_rules`,
  `alter system set work_mem = '1MB'`,
  `select pg_reload_conf()`,
  `set session_replication_role = replica`,
  `load 'auto_explain'`,
  `create language plpython3u`,
]

/** Attacks through a function that runs as the owner of the schema. */
const throughTraps: readonly ((victim: Victim) => string)[] = [
  ({ database }) => `alter database ${quote(database)} rename to stolen`,
  ({ database }) => `comment on database ${quote(database)} is 'stolen'`,
  ({ database }) => `drop database ${quote(database)}`,
  ({ database }) => `revoke connect on database ${quote(database)} from public`,
  ({ user }) => `alter role ${quote(user)} password 'stolen'`,
  ({ user }) => `alter role ${quote(user)} nologin`,
  ({ user }) => `grant ${quote(user)} to current_user`,
  ({ user }) => `set role ${quote(user)}`,
  () => `create role stolen`,
]

/**
 * Tries statements one after the other, each in a transaction that is rolled back. @returns those that were not refused
 */
async function notRefused(client: Client, texts: readonly string[]): Promise<string[]> {
  const done: string[] = []
  for (const text of texts) {
    await client.query('begin')
    // A statement that cannot run in a transaction is refused for that; the databases are checked afterwards all the
    // same.
    if ((await attempt(client.query(text))) === 'done') done.push(text)
    await client.query('rollback')
  }
  return done
}

describe.each(attackers)('the role of a tenant that was %s', (attacker) => {
  const others = ids.filter((id) => id !== attacker)

  it.each(others)('does not get into the database of the one that is %s', async (id) => {
    const { database } = victims.get(id)!
    expect(await attempt(asTenant(tenantry, attacker, async () => undefined, database))).toBe('42501')
  })

  it.each(others)('changes and reads nothing of the one that is %s', async (id) => {
    const victim = victims.get(id)!
    const before = await snapshot(tenantry)
    const isConnected = id !== 'suspended' && id !== 'offboarded'
    const texts = statements.map(({ text }) => text(victim)).filter((text) => isConnected || !isAboutSessions(text))
    expect(await asTenant(tenantry, attacker, (client) => notRefused(client, texts))).toEqual([])
    expect(await snapshot(tenantry)).toEqual(before)
  })

  it.each(others)('reaches nothing of the one that is %s through a function of the owner', async (id) => {
    const victim = victims.get(id)!
    const before = await snapshot(tenantry)
    const calls = throughTraps.map((text) => `select as_objects(${literal(text(victim))})`)
    const done = await asTenant(tenantry, attacker, (client) => notRefused(client, calls))
    // Revoking a privilege that one never granted is no error, and does nothing.
    expect(done.filter((text) => !text.includes('revoke connect'))).toEqual([])
    expect(await snapshot(tenantry)).toEqual(before)
    expect(await accessOf(victim)).toEqual({ public: false, canLogIn: id !== 'suspended' && id !== 'offboarded' })
  })

  it('fails to open the whole installation or server', async () => {
    const texts = againstAll.map((text) =>
      text.replaceAll('{installation}', tenantry.installation).replaceAll('{provisioner}', provisioner.user),
    )
    expect(await asTenant(tenantry, attacker, (client) => notRefused(client, texts))).toEqual([])
  })

  it('does not get into the catalog, nor into the inventory', async () => {
    await tenantry.onboard('last')
    const names = [`${tenantry.installation}_catalog`, ...(await databasesLike('_template_'))]
    expect(names.length).toBeGreaterThan(1)
    for (const name of names) {
      const outcome = await attempt(asTenant(tenantry, attacker, async () => undefined, name))
      expect(['42501', '55000']).toContain(outcome)
    }
  })

  it('can use its privileges on its own tenant: so the statements are valid', async () => {
    const own = victims.get(attacker)!
    const textsThatAre = (outcome: 'done' | 'refused') =>
      statements.filter((statement) => statement.own === outcome).map(({ text }) => text(own))
    const [wanted, refused] = [textsThatAre('done').filter((text) => !isAboutSessions(text)), textsThatAre('refused')]
    expect(await asTenant(tenantry, attacker, (client) => notRefused(client, wanted))).toEqual(wanted)
    expect(await asTenant(tenantry, attacker, (client) => notRefused(client, refused))).toEqual([])
    const trapped = await asTenant(tenantry, attacker, (client) =>
      notRefused(client, [`select as_objects('create table made_by_owner (id int)')`]),
    )
    expect(trapped).toHaveLength(1)
  })
})

describe('the sessions of a tenant', () => {
  it.each(attackers)('that was %s are ended by its own role', async (id) => {
    const own = victims.get(id)!
    const texts = statements.map(({ text }) => text(own)).filter(isAboutSessions)
    expect(texts).toHaveLength(2)
    expect(await asTenant(tenantry, id, (client) => notRefused(client, texts))).toEqual(texts)
  })
})

describe('facts visible to a tenant', () => {
  it('are names and sessions, and no text of a query', async () => {
    const other = victims.get('cloned')!
    await asTenant(tenantry, 'cloned', async (client) => {
      await client.query(`select 'a very secret query'`)
      const seen = await asTenant(tenantry, 'copied', async (looking) => {
        const { rows: databases } = await looking.query<{ datname: string }>('select datname from pg_database')
        const { rows: activity } = await looking.query<{ datname: string; usename: string; query: string }>(
          'select datname, usename, query from pg_stat_activity where datname = $1',
          [other.database],
        )
        return { databases: databases.map(({ datname }) => datname), activity }
      })
      expect(seen.databases).toContain(other.database)
      expect(seen.activity).toEqual([
        { datname: other.database, usename: other.user, query: '<insufficient privilege>' },
      ])
    })
  })

  it('have no names of tenants with opaque names', async () => {
    const opaque = await openAs(provisioner, { tenants: { naming: 'opaque' } })
    // Other suites on the same server have names of their own.
    const [own, other, displayName] = [uniqueName('own'), uniqueName('other'), uniqueName('Ltd')]
    for (const id of [own, other]) {
      await opaque.onboard(id, { displayName })
      await opaque.with(id, (em) => em.count(User))
    }
    const seen = await asTenant(opaque, own, async (client) => {
      const looks = [
        "select datname, shobj_description(oid, 'pg_database') from pg_database",
        "select rolname, shobj_description(oid, 'pg_authid') from pg_roles",
        'select datname, usename, application_name, client_addr, query from pg_stat_activity',
        'select * from pg_db_role_setting',
        'select spcname from pg_tablespace',
      ]
      const results = []
      for (const look of looks) results.push((await client.query(look)).rows)
      return JSON.stringify(results)
    })
    expect(seen).toContain(opaque.installation)
    for (const name of [own, other, displayName]) expect(seen).not.toContain(name)
  })
})

describe('a password', () => {
  it('opens its own database and no other one of the server', async () => {
    const { database: own } = victims.get('copied')!
    const all = await sql<{ datname: string; open: boolean }>(
      `select datname, datallowconn and has_database_privilege('public', oid, 'connect') as open
       from pg_database where datname like $1 or datname in ('postgres', 'template1')`,
      [`${tenantry.installation}%`],
    )
    const let_in: string[] = []
    for (const { datname } of all) {
      if ((await attempt(asTenant(tenantry, 'copied', async () => undefined, datname))) === 'done') let_in.push(datname)
    }
    // Databases that PostgreSQL opens to every role are not ours to close: the doctor reports them.
    expect(let_in.toSorted()).toEqual([own, ...all.filter(({ open }) => open).map(({ datname }) => datname)].toSorted())
    expect(
      all
        .filter(({ open }) => open)
        .map(({ datname }) => datname)
        .toSorted(),
    ).toEqual(['postgres', 'template1'])
  })

  it("is of no use on another installation's tenants", async () => {
    const other = await openAs(provisioner)
    const { tenant } = await other.onboard('copied')
    expect(await attempt(asTenant(tenantry, 'copied', async () => undefined, tenant.database))).toBe('42501')
  })

  it('is of no use on another server of the installation', async () => {
    const servers = ['main', 'second'].map((name) => postgres({ name, url: serverUrl(provisioner) }))
    const several = await openAs(provisioner, { servers })
    await several.onboard('here', { server: 'main' })
    const { tenant } = await several.onboard('there', { server: 'second' })
    expect(await several.with('there', (em) => em.count(User))).toBe(0)
    expect(await attempt(asTenant(several, 'here', async () => undefined, tenant.database))).toBe('42501')
  })
})

async function databasesLike(part: string): Promise<string[]> {
  const rows = await sql<{ datname: string }>('select datname from pg_database where starts_with(datname, $1)', [
    `${tenantry.installation}${part}`,
  ])
  return rows.map(({ datname }) => datname)
}

async function accessOf({ user, database }: Victim): Promise<{ public: boolean; canLogIn: boolean } | undefined> {
  const [row] = await sql<{ public: boolean; canLogIn: boolean }>(
    `select has_database_privilege('public', $1, 'connect') as public, rolcanlogin as "canLogIn"
     from pg_roles where rolname = $2`,
    [database, user],
  )
  return row
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
