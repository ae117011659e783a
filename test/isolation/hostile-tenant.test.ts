import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EntityManager } from '@mikro-orm/postgresql'
import { Client } from 'pg'
import { doctor, openTenantry, type TenantryConfig, type TenantryEvent } from 'tenantry'
import { startEmbeddedPostgres } from 'tenantry/embedded'
import { postgres } from 'tenantry/postgres'
import { beforeAll, describe, expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { disposableName, dropAfterwards, quote, serverUrl, sql } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'
import {
  attempt,
  createProvisioner,
  dropInVain,
  hasPrepared,
  type Isolated,
  isDead,
  login,
  makeTheirs,
  models,
  openAs,
  rolesLike,
} from './support.ts'

// Any client that can send SQL as a tenant's role can hold locks on objects of the whole server. None of it keeps
// administration from anything, nor other tenants from their work.

let provisioner: { user: string; password: string }
beforeAll(async () => {
  provisioner = await createProvisioner()
})

const open = (config: Partial<Omit<TenantryConfig<EntityManager>, 'models'>> = {}) =>
  openAs(provisioner, { limits: { drainMs: 500 }, ...config })

function eventsOf(tenantry: Pick<Isolated, 'on'>): TenantryEvent[] {
  const events: TenantryEvent[] = []
  tenantry.on((event) => events.push(event))
  return events
}

/** Begins a COPY that never sends anything. */
async function startCopy(client: Client): Promise<void> {
  const started = Promise.withResolvers<void>()
  const copying = {
    submit: (connection: { query(text: string): void }) => connection.query('copy user_account (name) from stdin'),
    handleCopyInResponse: () => started.resolve(),
    handleError: () => undefined,
    handleReadyForQuery: () => undefined,
  }
  client.query(copying)
  await started.promise
}

describe('a tenant that changes its own role in an open transaction', () => {
  it.each(['suspend', 'offboard', 'rotateCredentials'] as const)('cannot prevent %s, and is named', async (verb) => {
    const tenantry = await open()
    await tenantry.onboard('evil')
    const { user } = await tenantry.tenants.credentials('evil')
    const client = await login(tenantry, 'evil', 'postgres')
    await client.query(`begin; alter role current_user password 'x'`)
    const events = eventsOf(tenantry)
    await tenantry.tenants[verb]('evil')
    expect(await isDead(client)).toBe(true)
    expect(events).toContainEqual(expect.objectContaining({ event: 'blocker-ended', server: 'main', user }))
  })

  it('cannot prevent it by preparing the transaction', async ({ skip }) => {
    if (!(await hasPrepared())) skip('max_prepared_transactions is 0 on this server')
    const tenantry = await open()
    await tenantry.onboard('evil')
    const client = await login(tenantry, 'evil', 'postgres')
    const name = disposableName('x')
    await client.query(`begin; alter role current_user password 'x'`)
    await client.query(`prepare transaction '${name}'`)
    const events = eventsOf(tenantry)
    expect(await tenantry.tenants.suspend('evil')).toMatchObject({ outcome: 'suspended' })
    expect(await sql('select 1 from pg_prepared_xacts where gid = $1', [name])).toEqual([])
    expect(events).toContainEqual(expect.objectContaining({ event: 'blocker-ended', transaction: name }))
  })

  it('cannot keep its database from being offboarded by a transaction prepared there', async ({ skip }) => {
    if (!(await hasPrepared())) skip('max_prepared_transactions is 0 on this server')
    const tenantry = await open()
    await tenantry.onboard('evil')
    const client = await login(tenantry, 'evil')
    await client.query(`begin; insert into user_account (name) values ('x')`)
    await client.query(`prepare transaction '${disposableName('x')}'`)
    expect(await tenantry.tenants.offboard('evil')).toMatchObject({ outcome: 'offboarded' })
    expect(await tenantry.tenants.purge('evil')).toEqual({ outcome: 'purged' })
  })
})

/** A lock on the database itself, until the end of the transaction; it takes no privilege there. */
async function lockDatabases(client: Client, pattern: string): Promise<void> {
  await client.query('begin')
  const { rows } = await client.query<{ datname: string }>('select datname from pg_database where datname ~ $1', [
    pattern,
  ])
  for (const { datname } of rows)
    await client.query(`alter role current_user in database "${datname}" set work_mem = '1MB'`)
}

describe('a tenant that changes its own role again and again', () => {
  it.each(['suspend', 'offboard', 'rotateCredentials'] as const)('cannot prevent %s', async (verb) => {
    const tenantry = await open()
    await tenantry.onboard('evil')
    const client = await login(tenantry, 'evil', 'postgres')
    // A change that waits for one of these fails as soon as that is committed. They go on until the session is ended.
    const change = `begin; alter role current_user set work_mem = '1MB'; alter role current_user password 'x';
      select pg_sleep(0.02); commit`
    const changing = (async () => {
      while ((await attempt(client.query(change))) === 'done');
    })()
    await tenantry.tenants[verb]('evil')
    await changing
    expect(await isDead(client)).toBe(true)
  })
})

describe('a tenant that holds locks on databases', () => {
  it('keeps no tenant from being onboarded, nor others from work, being offboarded or purged', async () => {
    const tenantry = await open({ templates: { spares: 3 } })
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    await expect.poll(async () => (await tenantry.status()).spares[0]?.ready, { timeout: 30_000 }).toBe(3)
    const client = await login(tenantry, 'evil')
    await lockDatabases(client, `^${tenantry.installation}_`)
    const signUps = ['a', 'b', 'c'].map((id) => tenantry.onboard(id))
    expect(await tenantry.tenants.get('other')).toMatchObject({ state: 'active' })
    for (const signUp of await Promise.all(signUps)) expect(signUp).toMatchObject({ outcome: 'onboarded' })
    expect(await tenantry.tenants.offboard('other')).toMatchObject({ outcome: 'offboarded' })
    expect(await tenantry.tenants.purge('other')).toEqual({ outcome: 'purged' })
  })

  it('does not keep others from connecting, with a DROP DATABASE that waits before it is refused', async () => {
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    const { database } = await tenantry.tenants.credentials('other')
    const [holding, waiting] = [await login(tenantry, 'evil'), await login(tenantry, 'evil')]
    await lockDatabases(holding, `^(${database}|${tenantry.installation}_catalog)$`)
    await dropInVain(waiting, database)
    expect(await tenantry.with('other', (em) => em.count(User))).toBe(0)
    expect(await isDead(holding)).toBe(true)
  })

  it('cannot prevent its suspension by a prepared transaction in a closed database', async ({ skip }) => {
    if (!(await hasPrepared())) skip('max_prepared_transactions is 0 on this server')
    const tenantry = await open()
    await tenantry.onboard('evil')
    const { database } = await tenantry.tenants.credentials('evil')
    const [holding, waiting] = [await login(tenantry, 'evil'), await login(tenantry, 'evil', 'postgres')]
    await holding.query('begin')
    await holding.query(`alter role current_user in database "${database}" set work_mem = '1MB'`)
    await holding.query(`prepare transaction '${disposableName('x')}'`)
    await dropInVain(waiting, database)
    expect(await tenantry.tenants.suspend('evil')).toMatchObject({ outcome: 'suspended' })
    expect(await tenantry.tenants.offboard('evil')).toMatchObject({ outcome: 'offboarded' })
  })

  it('does not keep new processes from the catalog', async () => {
    const tenantry = await open()
    await tenantry.onboard('evil')
    const catalog = `${tenantry.installation}_catalog`
    const [holding, waiting] = [await login(tenantry, 'evil'), await login(tenantry, 'evil')]
    await lockDatabases(holding, `^${catalog}$`)
    await dropInVain(waiting, catalog)
    const another = await open({ installation: tenantry.installation })
    expect(await another.tenants.get('evil')).toMatchObject({ state: 'active' })
  })

  it('does not delay anything that drops databases by a COPY that sends nothing', async () => {
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    await startCopy(await login(tenantry, 'evil'))
    expect(await tenantry.templates.remove()).toMatchObject({ templates: 1 })
    expect(await tenantry.onboard('new')).toMatchObject({ outcome: 'onboarded' })
    await tenantry.tenants.offboard('other')
    await startCopy(await login(tenantry, 'evil'))
    expect(await tenantry.tenants.purge('other')).toEqual({ outcome: 'purged' })
  })
})

describe('a tenant that grants in vain on every new database', () => {
  it('keeps no tenant from being onboarded, cloned or adopted, and no installation from being opened', async () => {
    const tenantry = await open()
    for (const id of ['evil', 'source']) await tenantry.onboard(id)
    const client = await login(tenantry, 'evil')
    const prefix = tenantry.installation.slice(0, 14)
    dropAfterwards(...['a', 'b', 'c'].map((id) => `${prefix}${id}`))
    // PostgreSQL warns, and writes the row of the database all the same.
    const attack = client.query(`do $$ declare it record; begin loop
      for it in select datname from pg_database where datacl is null and starts_with(datname, '${prefix}') loop
        begin execute format('grant connect on database %I to current_user', it.datname); perform pg_sleep(0.05);
        exception when others then null; end;
        commit;
      end loop;
      commit;
    end loop; end $$`)
    const ended = attack.catch(() => undefined)
    for (const id of ['a', 'b', 'c']) {
      expect(await tenantry.onboard(id)).toMatchObject({ outcome: 'onboarded' })
      expect(await tenantry.tenants.clone('source', `${id}-copy`, { anonymise: false })).toMatchObject({
        outcome: 'cloned',
      })
      const another = await open({ installation: `${prefix}${id}` })
      expect(await another.onboard(id)).toMatchObject({ outcome: 'onboarded' })
    }
    const { database } = await makeTheirs(tenantry, provisioner)
    expect(await tenantry.tenants.adopt('theirs', { database })).toMatchObject({ outcome: 'adopted' })
    await tenantry.tenants.suspend('evil')
    await ended
  })
})

describe('privileges that a tenant grants to roles of others', () => {
  it('keep no role from being dropped when they come through a third role', async () => {
    const tenantry = await open()
    for (const id of ['evil', 'between', 'victim']) await tenantry.onboard(id)
    const [between, victim] = await Promise.all(
      ['between', 'victim'].map(async (id) => (await tenantry.tenants.credentials(id)).user),
    )
    const [owner, middle] = await Promise.all(['evil', 'between'].map((id) => login(tenantry, id, 'postgres')))
    const { rows } = await owner!.query<{ it: number }>('select lo_create(0) as it')
    const object = `large object ${rows[0]!.it}`
    await owner!.query(`grant select on ${object} to "${between}" with grant option`)
    await middle!.query(`grant select on ${object} to "${victim}"`)
    await tenantry.tenants.offboard('victim')
    await tenantry.tenants.purge('victim')
    expect(await rolesLike(`^${victim}$`)).toEqual([])
    expect(await tenantry.servers.reconcile()).toMatchObject({ findings: [] })
    await owner!.query('select lo_unlink($1)', [rows[0]!.it])
  })

  it('keeps no clone from being made, and no temporary role from being dropped', async () => {
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    await (await login(tenantry, 'evil')).query('select lo_create(1)')
    const anonymise = async () => {
      // A session that owns temporary objects on which the temporary role has privileges is ended.
      const client = await login(tenantry, 'evil')
      await client.query('create temporary table mine ()')
      const [helper] = await rolesLike(`^${tenantry.installation}_r_h_`)
      for (const what of ['large object 1', 'table mine']) {
        await client.query(`grant select on ${what} to "${helper!.rolname}"`)
      }
      await client.query(`alter default privileges grant select on tables to "${helper!.rolname}"`)
    }
    for (const id of ['one', 'two']) {
      expect(await tenantry.tenants.clone('other', id, { anonymise })).toMatchObject({ outcome: 'cloned' })
    }
    expect(await rolesLike(`^${tenantry.installation}_r_h_`)).toEqual([])
  })

  it('are dropped with their roles when they are purged, and so are their objects elsewhere', async () => {
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    const { user } = await tenantry.tenants.credentials('other')
    const client = await login(tenantry, 'evil')
    await client.query('select lo_create(1)')
    await client.query(`grant select on large object 1 to "${user}"`)
    const elsewhere = await login(tenantry, 'other', 'postgres')
    const [{ oid }] = (await elsewhere.query<{ oid: number }>('select lo_create(0) as oid')).rows as [{ oid: number }]
    await tenantry.tenants.offboard('other')
    await tenantry.tenants.purge('other')
    expect(await rolesLike(`^${user}$`)).toEqual([])
    expect(await sql('select 1 from pg_largeobject_metadata where oid = $1', [oid])).toEqual([])
  })

  it('keep no role from being dropped when a tenant grants them on a temporary table as the group of all', async ({
    skip,
  }) => {
    const [version] = await sql<{ n: number }>(`select current_setting('server_version_num')::int as n`)
    if (version!.n >= 160_000) skip('from version 16 on, no tenant can act as the group')
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    const { user } = await tenantry.tenants.credentials('other')
    const client = await login(tenantry, 'evil', 'postgres')
    const app = quote(`${tenantry.installation}_app`)
    await client.query(`create temporary table mine (); grant all on mine to ${app} with grant option; set role ${app}`)
    await client.query(`grant select on mine to ${quote(user)}`)
    await tenantry.tenants.offboard('other')
    await tenantry.tenants.purge('other')
    expect(await rolesLike(`^${user}$`)).toEqual([])
  })

  it('keeps no tenant from being purged while it is granted again and again', async () => {
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    const { user } = await tenantry.tenants.credentials('other')
    const sessions = await Promise.all(Array.from({ length: 8 }, () => login(tenantry, 'evil')))
    const granting = sessions.map(async (client, index) => {
      await client.query(`select lo_create(${index + 1})`)
      await attempt(
        client.query(`do $$ begin loop
          begin
            grant select on large object ${index + 1} to "${user}";
            alter default privileges grant select on tables to "${user}";
          exception when others then null; end;
          commit;
          begin revoke select on large object ${index + 1} from "${user}"; exception when others then null; end;
          commit;
        end loop; end $$`),
      )
    })
    await tenantry.tenants.offboard('other')
    expect(await tenantry.tenants.purge('other')).toEqual({ outcome: 'purged' })
    const evil = (await tenantry.tenants.credentials('evil')).user
    await sql('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [evil])
    await Promise.all(granting)
    await tenantry.servers.reconcile()
    expect(await rolesLike(`^${user}$`)).toEqual([])
  })

  it('keeps no tenant from being purged that owns more objects than the server can lock at once', async () => {
    const tenantry = await open()
    await tenantry.onboard('evil')
    const { user } = await tenantry.tenants.credentials('evil')
    const elsewhere = await login(tenantry, 'evil', 'postgres')
    const locks = `current_setting('max_locks_per_transaction')::int
      * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)`
    await elsewhere.query(`select lo_create(0) from generate_series(1, 2 * ${locks})`)
    await tenantry.tenants.offboard('evil')
    expect(await tenantry.tenants.purge('evil')).toEqual({ outcome: 'purged' })
    expect(await rolesLike(`^${user}$`)).toEqual([])
  })

  it('do not make the doctor report that roles cannot be dropped, nor keep its roles', async () => {
    const tenantry = await open()
    await tenantry.onboard('evil')
    const client = await login(tenantry, 'evil', 'postgres')
    await client.query('create temporary table mine ()')
    const probes = `starts_with(rolname, '${tenantry.installation}_probe_')`
    const granting = attempt(
      client.query(`do $$ declare it text; begin loop
        for it in select rolname from pg_roles where ${probes} loop
          begin execute format('grant select on mine to %I', it); exception when others then null; end;
          commit;
        end loop;
        commit;
      end loop; end $$`),
    )
    const { servers } = await doctor({
      servers: [postgres({ url: serverUrl(provisioner) })],
      models,
      installation: tenantry.installation,
    })
    expect(servers).toMatchObject([{ missing: [] }])
    expect(await sql(`select rolname from pg_roles where ${probes}`)).toEqual([])
    await granting
  })

  it('is cleared up by reconcile, where a role was left', async () => {
    const tenantry = await open()
    await tenantry.onboard('a')
    const left = `${tenantry.installation}_r_h_${'0'.repeat(32)}_00000000`
    await sql(`create role "${left}" admin "${provisioner.user}"`)
    const { findings } = await tenantry.servers.reconcile()
    expect(findings).toMatchObject([{ kind: 'role', action: 'drop', role: left, outcome: 'done' }])
    expect((await tenantry.servers.reconcile()).findings).toEqual([])
  })
})

describe('large objects', () => {
  it('are read by the clone, whose source can be purged', async () => {
    const tenantry = await open()
    await tenantry.onboard('a')
    const { user } = await tenantry.tenants.credentials('a')
    await tenantry.with('a', (em) => em.execute(`select lo_from_bytea(777, 'hello')`))
    await tenantry.tenants.clone('a', 'copy', { anonymise: false })
    await tenantry.tenants.offboard('a')
    await tenantry.tenants.purge('a')
    const [row] = await tenantry.with('copy', (em) => em.execute(`select convert_from(lo_get(777), 'UTF8') as text`))
    expect(row).toEqual({ text: 'hello' })
    expect(await rolesLike(`^${user}$`)).toEqual([])
  })
})

describe('rotateCredentials', () => {
  it('resets what the role has set for single databases', async () => {
    const tenantry = await open()
    for (const id of ['a', 'other']) await tenantry.onboard(id)
    const { database } = await tenantry.tenants.credentials('a')
    const client = await login(tenantry, 'a')
    for (const name of [database, 'postgres', `${tenantry.installation}_t_other`]) {
      await client.query(`alter role current_user in database "${name}" set local_preload_libraries = 'nope'`)
    }
    await tenantry.tenants.rotateCredentials('a')
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
    const { user } = await tenantry.tenants.credentials('a')
    const settings = 'select 1 from pg_db_role_setting s join pg_roles r on r.oid = s.setrole where r.rolname = $1'
    expect(await sql(settings, [user])).toEqual([])
  })

  it('ends sessions with the old password, and none with the new one', async () => {
    const tenantry = await open()
    await tenantry.onboard('a')
    const before = await login(tenantry, 'a')
    const rotating = tenantry.tenants.rotateCredentials('a')
    const old = (await tenantry.tenants.credentials('a')).password.reveal()
    await expect.poll(async () => (await tenantry.tenants.credentials('a')).password.reveal() !== old).toBe(true)
    const after = await login(tenantry, 'a')
    expect(await rotating).toMatchObject({ outcome: 'rotated' })
    expect(await isDead(before)).toBe(true)
    expect(await isDead(after)).toBe(false)
  })

  it('sets a password that nothing changes back, and settings that stay reset', async () => {
    const tenantry = await open()
    await tenantry.onboard('evil')
    const { user } = await tenantry.tenants.credentials('evil')
    // Each change is a transaction of its own, so that none waits for a lock.
    const sessions = await Promise.all([1, 2, 3].map(() => login(tenantry, 'evil', 'postgres')))
    const changing = sessions.map(async (client) => {
      const change = `alter role current_user password 'x'; alter role current_user in database postgres set work_mem = '1MB'`
      while ((await attempt(client.query(change))) !== '57P01' && !(await isDead(client)));
    })
    await tenantry.tenants.rotateCredentials('evil')
    await Promise.all(changing)
    expect(await tenantry.with('evil', (em) => em.count(User))).toBe(0)
    const settings = 'select 1 from pg_db_role_setting s join pg_roles r on r.oid = s.setrole where r.rolname = $1'
    expect(await sql(settings, [user])).toEqual([])
    const asSet = new Client({ connectionString: serverUrl({ database: 'postgres', user, password: 'x' }) })
    expect(await attempt(asSet.connect())).toBe('28P01')
  })
})

describe("a tenant's role", () => {
  it('has a limit of connections, which rotation brings up to date', async () => {
    const tenantry = await open({ tenants: { connectionLimit: 2 } })
    await tenantry.onboard('a')
    const { user } = await tenantry.tenants.credentials('a')
    await Promise.all([login(tenantry, 'a'), login(tenantry, 'a')])
    expect(await attempt(login(tenantry, 'a', 'postgres'))).toBe('53300')
    const other = await open({ installation: tenantry.installation, tenants: { connectionLimit: 7 } })
    await other.tenants.rotateCredentials('a')
    expect(await sql('select rolconnlimit from pg_roles where rolname = $1', [user])).toEqual([{ rolconnlimit: 7 }])
  })
})

describe('a tenant at its limit of connections', () => {
  it('keeps no call for another one waiting', async () => {
    const tenantry = await openTestTenantry(models, {
      // With a wait for a connection that no test lasts.
      postgres: { url: serverUrl(provisioner), busyTimeoutMs: 600_000 },
      tenants: { connectionLimit: 2 },
    })
    for (const id of ['evil', 'good']) await tenantry.onboard(id)
    for (let i = 0; i < 2; i++) await login(tenantry, 'evil')
    expect(await attempt(tenantry.tenants.check('evil'))).toBe('too-many-connections')
    expect(await tenantry.tenants.check('good')).toMatchObject({ outcome: 'matches' })
    await tenantry.tenants.rotateCredentials('good')
    expect(await tenantry.tenants.suspend('evil')).toMatchObject({ outcome: 'suspended' })
  })
})

describe('locks between processes', () => {
  it('are taken where no tenant can connect, on every server', async () => {
    const servers = ['one', 'two'].map((name) => postgres({ name, url: serverUrl(provisioner) }))
    const tenantry = await openTestTenantry(models, { servers, limits: { drainMs: 500 } })
    for (const id of ['evil', 'other']) await tenantry.onboard(id, { server: 'two' })
    expect(await attempt(login(tenantry, 'evil', `${tenantry.installation}_admin`))).toBe('42501')
    expect(await attempt(login(tenantry, 'evil', `${tenantry.installation}_catalog`))).toBe('42501')
    const client = await login(tenantry, 'evil', 'postgres')
    const roles = await rolesLike(`^${tenantry.installation}_r_`)
    for (const { rolname } of roles) {
      const row = rolname.slice(-32).replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5')
      await client.query('select pg_advisory_lock_shared(hashtextextended($1, 0))', [`tenantry:tenant:${row}`])
    }
    expect(await tenantry.tenants.suspend('evil')).toMatchObject({ outcome: 'suspended' })
    expect(await tenantry.tenants.offboard('other')).toMatchObject({ outcome: 'offboarded' })
  })

  it('have keys that cannot be made from a guess at an id', async () => {
    const tenantry = await open({ tenants: { naming: 'opaque' } })
    await tenantry.onboard('globex')
    const seen = new Set<string>()
    const look = async () => {
      const rows = await sql<{ key: string }>(
        `select (classid::bigint << 32 | objid::bigint)::text as key from pg_locks where locktype = 'advisory'`,
      )
      for (const { key } of rows) seen.add(key)
    }
    const suspending = tenantry.tenants.suspend('globex')
    const isOver = () => Promise.race([suspending.then(() => true), look().then(() => false)])
    while (!(await isOver()));
    const guesses = await sql<{ key: string }>(
      `select hashtextextended(name, 0)::text as key from unnest($1::text[]) as name`,
      [['tenantry:tenant:globex', 'tenant:globex', 'globex']],
    )
    expect(seen.size).toBeGreaterThan(0)
    for (const { key } of guesses) expect(seen).not.toContain(key)
  })
})

describe('a tenant that fills the queue of notifications', () => {
  it('can be suspended, and keeps no other from getting a domain', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tenantry-test-'))
    // With the default of 8 GB it would take long to fill.
    const server = await startEmbeddedPostgres({
      dataDir: join(folder, 'postgres'),
      settings: { max_notify_queue_pages: 128 },
    })
    const tenantry = await openTenantry({ models, servers: [postgres({ url: server.url })], limits: { drainMs: 500 } })
    try {
      for (const id of ['evil', 'other']) await tenantry.onboard(id)
      for (const verb of ['addDomain', 'suspend'] as const) {
        const connected = async (id: string) => {
          const { database, user, password } = await tenantry.tenants.credentials(id)
          const url = new URL(server.url)
          Object.assign(url, { pathname: `/${database}`, username: user, password: password.reveal() })
          const client = new Client(url.href)
          client.on('error', () => undefined)
          await client.connect()
          return client
        }
        const [listening, loud, working] = [await connected('evil'), await connected('evil'), await connected('other')]
        await listening.query('listen x')
        await listening.query('begin')
        // A transaction that began later keeps no notification, and is left alone.
        await working.query('begin')
        const fill = `select count(pg_notify('x', repeat('x', 7900) || g)) from generate_series(1, 20) g`
        while ((await attempt(loud.query(fill))) === 'done');
        if (verb === 'suspend') expect(await tenantry.tenants.suspend('evil')).toMatchObject({ outcome: 'suspended' })
        else expect(await tenantry.domains.add('other', 'other.example')).toMatchObject({ outcome: 'added' })
        expect(await isDead(listening)).toBe(true)
        expect(await isDead(working)).toBe(false)
        for (const client of [loud, working]) await client.end().catch(() => undefined)
      }
    } finally {
      await tenantry.close()
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    }
  })
})
