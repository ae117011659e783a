import type { EntityManager } from '@mikro-orm/postgresql'
import { Client } from 'pg'
import type { TenantryConfig } from 'tenantry'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { disposableName, quote, serverUrl, sql } from '../support/server.ts'
import { socketOf } from '../support/sessions.ts'
import { commentOn } from '../support/tenants.ts'
import {
  attempt,
  createProvisioner,
  dropInVain,
  hasPrepared,
  type Isolated,
  isDead,
  login,
  makeTheirs,
  openAs,
  openToPublic,
} from './support.ts'

// A session, a login that is under way, and a prepared transaction of a tenant outlive what is taken from its role.

let provisioner: { user: string; password: string }
beforeAll(async () => {
  provisioner = await createProvisioner()
})

const open = (config: Partial<Omit<TenantryConfig<EntityManager>, 'models'>> = {}) =>
  openAs(provisioner, { limits: { drainMs: 500 }, ...config })

describe("a session of a tenant in a database that becomes another tenant's", () => {
  it('is ended before an adopted database is handed over, and no other begins while it is initialised', async () => {
    const during: string[] = []
    const tenantry: Isolated = await open({
      hooks: {
        initialise: async (_em, { id }) => {
          if (id === 'legacy') during.push(await attempt(login(tenantry, 'evil', `${tenantry.installation}_theirs`)))
        },
      },
    })
    await tenantry.onboard('evil')
    const { database } = await makeTheirs(tenantry, provisioner)
    await openToPublic(database)
    const early = await login(tenantry, 'evil', database)
    expect(await attempt(early.query('select * from user_account'))).toBe('42501')
    expect(await tenantry.tenants.adopt('legacy', { database })).toMatchObject({ outcome: 'adopted' })
    expect(await isDead(early)).toBe(true)
    expect(during).toEqual(['42501'])
  })

  it('is ended before a restored database is handed over', async () => {
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    const { database } = await tenantry.tenants.credentials('other')
    await sql(`comment on database ${quote(database)} is null`)
    await openToPublic(database)
    const early = await login(tenantry, 'evil', database)
    expect(await tenantry.tenants.restamp('other')).toMatchObject({ outcome: 'restamped' })
    expect(await commentOn(database)).not.toBeNull()
    expect(await isDead(early)).toBe(true)
  })
})

describe('a prepared transaction of a tenant', () => {
  it('keeps nobody from anything where it was prepared as the group of all tenants', async ({ skip }) => {
    if (!(await hasPrepared())) skip('max_prepared_transactions is 0 on this server')
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    const group = `${tenantry.installation}_app`
    const { user } = await tenantry.tenants.credentials('evil')
    // Roles from before version 16, and those that a superuser has granted more, can act as the group.
    await sql(`grant ${quote(group)} to ${quote(user)}`)
    await sql(`do $$ begin if current_setting('server_version_num')::int >= 160000 then
      execute 'grant ${quote(group)} to ${quote(user)} with set true'; end if; end $$`)
    const client = await login(tenantry, 'evil')
    await client.query(`begin; alter role current_user password 'x'`)
    for (const id of ['evil', 'other']) {
      const { database } = await tenantry.tenants.credentials(id)
      await client.query(`alter role current_user in database ${quote(database)} set work_mem = '1MB'`)
    }
    const name = disposableName('x')
    await client.query(`set local role ${quote(group)}; prepare transaction '${name}'`)
    await client.end()
    expect(await tenantry.tenants.offboard('other')).toMatchObject({ outcome: 'offboarded' })
    expect(await tenantry.tenants.suspend('evil')).toMatchObject({ outcome: 'suspended' })
    expect(await sql('select 1 from pg_prepared_xacts where gid = $1', [name])).toEqual([])
  })

  it.for(['suspend', 'rotateCredentials'] as const)('is rolled back by %s', async (verb, { skip }) => {
    if (!(await hasPrepared())) skip('max_prepared_transactions is 0 on this server')
    const tenantry = await open()
    await tenantry.onboard('evil')
    const client = await login(tenantry, 'evil')
    const elsewhere = await login(tenantry, 'evil', 'postgres')
    const names = [disposableName('x'), disposableName('y')]
    await client.query(`begin; lock table user_account in row exclusive mode; prepare transaction '${names[0]}'`)
    await elsewhere.query(`begin; select lo_create(0); prepare transaction '${names[1]}'`)
    await tenantry.tenants[verb]('evil')
    expect(await sql('select gid from pg_prepared_xacts where gid = any($1)', [names])).toEqual([])
  })
})

describe('a login that waits for its database', () => {
  it.each(['suspend', 'rotateCredentials'] as const)('does not outlive %s', async (verb) => {
    const tenantry = await open()
    for (const id of ['evil', 'friend']) await tenantry.onboard(id)
    const { user, password } = await tenantry.tenants.credentials('evil')
    const [holding, waiting] = [await login(tenantry, 'friend'), await login(tenantry, 'friend')]
    await holding.query(`begin; alter role current_user in database template1 set work_mem = '1MB'`)
    await dropInVain(waiting, 'template1')
    const late = new Client({
      connectionString: serverUrl({ database: 'template1', user, password: password.reveal() }),
    })
    late.on('error', () => undefined)
    onTestFinished(() => late.end().catch(() => undefined))
    const connecting = attempt(late.connect())
    const queue = `select 1 from pg_locks where locktype = 'object' and classid = 'pg_database'::regclass and not granted
      and mode = 'RowExclusiveLock'`
    await expect.poll(() => sql(queue)).not.toEqual([])
    await tenantry.tenants[verb]('evil')
    expect((await connecting) !== 'done' || (await isDead(late))).toBe(true)
  })
})

describe('a client that reads nothing', () => {
  it('delays no purge of another tenant, though its session counts as idle', async () => {
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    await tenantry.tenants.offboard('other')
    const client = await login(tenantry, 'evil')
    const [{ pid }] = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows as [{ pid: number }]
    const stream = socketOf(client)
    stream.pause()
    stream.removeAllListeners('data')
    // Each result is smaller than the buffer of the server, which sends it when it is idle again.
    const query = Buffer.from(`Q\0\0\0\0select repeat('x', 6000)\0`)
    query.writeInt32BE(query.length - 1, 1)
    for (let sent = 0; sent < 20_000; sent++) stream.write(query)
    const state = `select state, wait_event from pg_stat_activity where pid = $1`
    await expect
      .poll(() => sql(state, [pid]), { timeout: 30_000 })
      .toEqual([{ state: 'idle', wait_event: 'ClientWrite' }])
    expect(await tenantry.tenants.purge('other')).toEqual({ outcome: 'purged' })
    stream.destroy()
  })
})
