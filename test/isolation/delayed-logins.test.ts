import { Client } from 'pg'
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import { serverUrl, sql, useOwnServer } from '../support/server.ts'
import {
  attempt,
  createProvisioner,
  type Isolated,
  isDead,
  login,
  makeTheirs,
  openAs,
  openToPublic,
} from './support.ts'

// PostgreSQL has checked everything when the delay begins (post_auth_delay). On a server of its own: a DROP DATABASE of
// another suite would end the delay.

useOwnServer()
let provisioner: { user: string; password: string }
beforeAll(async () => {
  provisioner = await createProvisioner()
})
const open = () => openAs(provisioner, { limits: { drainMs: 500 } })

/** Begins a login that takes half an hour. */
async function delayed(tenantry: Isolated, id: string, database?: string) {
  const own = await tenantry.tenants.credentials(id)
  const at = database ?? own.database
  const begun = beginLogin(serverUrl({ database: at, user: own.user, password: own.password.reveal() }))
  const underWay = `select l.pid from pg_locks l join pg_database d on d.oid = l.objid where d.datname = $1
    and l.classid = 'pg_database'::regclass
    and not exists (select from pg_stat_activity a where a.pid = l.pid and a.usesysid is not null)`
  await expect.poll(() => sql(underWay, [at])).not.toEqual([])
  return begun
}

function beginLogin(connectionString: string) {
  const client = new Client({ connectionString, options: '-c post_auth_delay=1800' })
  client.on('error', () => undefined)
  onTestFinished(() => client.end().catch(() => undefined))
  const connecting = attempt(client.connect())
  return { isOver: async () => (await connecting) !== 'done' || (await isDead(client)) }
}

it.each(['suspend', 'offboard', 'rotateCredentials'] as const)(
  'a login that its client delays does not outlive %s',
  async (verb) => {
    const tenantry = await open()
    await tenantry.onboard('evil')
    const logins = [await delayed(tenantry, 'evil'), await delayed(tenantry, 'evil', 'postgres')]
    await tenantry.tenants[verb]('evil')
    for (const { isOver } of logins) expect(await isOver()).toBe(true)
  },
)

it('a login that its client delays does not outlive a rotation that it interferes with', async () => {
  const tenantry = await open()
  await tenantry.onboard('evil')
  const stolen = await login(tenantry, 'evil')
  const { user, database } = await tenantry.tenants.credentials('evil')
  const rotating = tenantry.tenants.rotateCredentials('evil')
  // Its older sessions have a moment to end: in it, one sets a password that it knows, again and again.
  const logins = []
  while ((await attempt(stolen.query(`alter role current_user password 'mine'`))) === 'done') {
    logins.push(beginLogin(serverUrl({ database, user, password: 'mine' })))
    await attempt(stolen.query('select pg_sleep(0.1)'))
  }
  expect(await rotating).toMatchObject({ outcome: 'rotated' })
  expect(logins.length).toBeGreaterThan(1)
  for (const { isOver } of logins) expect(await isOver()).toBe(true)
})

it("a login that its client delays does not reach a database that becomes another tenant's", async () => {
  const tenantry = await open()
  await tenantry.onboard('evil')
  const { database } = await makeTheirs(tenantry, provisioner)
  await openToPublic(database)
  const { isOver } = await delayed(tenantry, 'evil', database)
  expect(await tenantry.tenants.adopt('legacy', { database })).toMatchObject({ outcome: 'adopted' })
  expect(await isOver()).toBe(true)
})

it('a login that its client delays keeps no other tenant from being offboarded', async () => {
  const tenantry = await open()
  for (const id of ['evil', 'other']) await tenantry.onboard(id)
  const { isOver } = await delayed(tenantry, 'evil')
  expect(await tenantry.tenants.offboard('other')).toMatchObject({ outcome: 'offboarded' })
  await tenantry.tenants.suspend('evil')
  expect(await isOver()).toBe(true)
})
