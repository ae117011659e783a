import { Client } from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { errorOf, quote, serverUrl, sql, useOwnServer } from '../support/server.ts'
import { socketOf } from '../support/sessions.ts'
import { openTestTenantry } from '../support/tenants.ts'
import { attempt, createProvisioner, isDead, login, models, rolesLike } from './support.ts'

// A session whose client does not read a long message of an error keeps its locks, and cannot be ended: PostgreSQL sends
// the message before it ends the transaction. On a server of its own, since it keeps every DROP DATABASE waiting.

useOwnServer({ max_prepared_transactions: 10 })

const open = async () => {
  const url = serverUrl(await createProvisioner())
  return openTestTenantry(models, { limits: { drainMs: 0 }, postgres: { url, statementTimeoutMs: 4_000 } })
}

const raise = `do $$ begin raise exception '%', repeat('x', 20000000); end $$`

/** A statement that is refused once it has the lock on a role, with a long message. */
const lockRole = (role: string) =>
  `do $$ begin execute 'comment on role ${quote(role)} is ''' || repeat('x', 20000000) || ''''; end $$`

/** Fails a statement with a message that the client does not read. @returns the process id of the session */
async function turnDeaf(client: Client, statement = raise): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  socketOf(client).pause()
  onTestFinished(() => hangUp(client))
  client.query(statement).catch(() => undefined)
  const look = async () =>
    (await sql<{ event: string }>('select wait_event as event from pg_stat_activity where pid = $1', [rows[0]?.pid]))[0]
      ?.event
  await expect.poll(look, { timeout: 60_000 }).toBe('ClientWrite')
  return rows[0]!.pid
}

function hangUp(client: Client): void {
  socketOf(client).destroy()
}

describe('a session that does not read an error', () => {
  it('and holds its own role cannot keep the tenant in its database', async () => {
    const tenantry = await open()
    await tenantry.onboard('evil')
    const { user, password, database } = await tenantry.tenants.credentials('evil')
    const url = serverUrl({ database, user, password: password.reveal() })
    const client = await login(tenantry, 'evil', 'postgres')
    await client.query('begin')
    await client.query(`alter role current_user password '${password.reveal()}'`)
    await turnDeaf(client)
    const error = await errorOf(tenantry.tenants.suspend('evil'))
    expect(error).toMatchObject({
      code: 'timeout',
      tenant: 'evil',
      hint: expect.stringContaining('does not read'),
    })
    expect((await tenantry.tenants.get('evil'))?.state).toBe('suspended')
    const again = new Client({ connectionString: url })
    expect(await attempt(again.connect())).toBe('42501')
    hangUp(client)
    expect(await tenantry.tenants.suspend('evil')).toMatchObject({ outcome: 'already-suspended' })
    expect(await sql('select rolcanlogin from pg_roles where rolname = $1', [user])).toEqual([{ rolcanlogin: false }])
    expect(await tenantry.tenants.resume('evil')).toMatchObject({ outcome: 'resumed' })
    expect(await tenantry.with('evil', (em) => em.execute('select 1 as one'))).toEqual([{ one: 1 }])
  })

  it('and holds its own role does not keep the other sessions of the role connected', async () => {
    const tenantry = await open()
    await tenantry.onboard('evil')
    const { user } = await tenantry.tenants.credentials('evil')
    const [idle, deaf] = [await login(tenantry, 'evil'), await login(tenantry, 'evil', 'postgres')]
    const pid = await turnDeaf(deaf, lockRole(user))
    const error = await errorOf(tenantry.tenants.suspend('evil'))
    expect(await isDead(idle)).toBe(true)
    const hint = expect.stringContaining(`(pid ${pid})`)
    expect(error).toMatchObject({ code: 'sessions-remain', hint })
    hangUp(deaf)
    expect(await tenantry.tenants.suspend('evil')).toMatchObject({ outcome: 'already-suspended' })
  })

  it.each([false, true])(
    'and holds the role of a blocker does not keep that from being ended (prepared: %s)',
    async (isPrepared) => {
      const tenantry = await open()
      for (const id of ['deaf', 'blocking', 'other']) await tenantry.onboard(id)
      const { user } = await tenantry.tenants.credentials('blocking')
      const { database } = await tenantry.tenants.credentials('other')
      const [blocking, deaf] = [await login(tenantry, 'blocking'), await login(tenantry, 'deaf', 'postgres')]
      await blocking.query('begin')
      await blocking.query(`alter role current_user in database ${quote(database)} set work_mem = '1MB'`)
      if (isPrepared) await blocking.query(`prepare transaction 'blocking'`)
      await turnDeaf(deaf, lockRole(user))
      expect(await tenantry.tenants.offboard('other')).toMatchObject({ outcome: 'offboarded' })
      expect(await isDead(blocking)).toBe(!isPrepared)
      expect(await sql('select gid from pg_prepared_xacts')).toEqual([])
    },
  )
})

describe('a temporary role whose password a trigger has given away', () => {
  it('is dropped with its sessions and its prepared transactions', async () => {
    const tenantry = await open()
    for (const id of ['source', 'other']) await tenantry.onboard(id)
    const { database } = await tenantry.tenants.credentials('other')
    const intruders: Client[] = []
    onTestFinished(() => intruders.forEach(hangUp))
    const anonymise = async () => {
      const [helper] = await rolesLike(`^${tenantry.installation}_r_h_`)
      const user = helper?.rolname ?? ''
      await sql(`alter role "${user}" password 'known'`)
      for (const statements of [
        [`alter role current_user in database "${database}" set work_mem = '1MB'`],
        [`alter role current_user set work_mem = '1MB'`, `prepare transaction 'held'`],
      ]) {
        const client = new Client({ connectionString: serverUrl({ database: 'postgres', user, password: 'known' }) })
        client.on('error', () => undefined)
        await client.connect()
        intruders.push(client)
        await client.query('set role none')
        await client.query('begin')
        for (const statement of statements) await client.query(statement)
      }
    }
    expect(await tenantry.tenants.clone('source', 'copy', { anonymise })).toMatchObject({ outcome: 'cloned' })
    expect(await rolesLike(`^${tenantry.installation}_r_h_`)).toEqual([])
    expect(await tenantry.tenants.offboard('other')).toMatchObject({ outcome: 'offboarded' })
    expect((await tenantry.servers.reconcile()).findings).toEqual([])
  })
})
