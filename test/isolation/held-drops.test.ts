import { once } from 'node:events'
import { connect } from 'node:net'
import { mikroOrm } from 'tenantry/mikro-orm'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { quote, sqlAt } from '../support/server.ts'
import { startSecondServer } from '../support/second-server.ts'
import { openTestTenantry } from '../support/tenants.ts'

// On a server of its own: what is done here holds up every DROP DATABASE of the server.

const models = mikroOrm({ entities: [User, Address] })
let server: Awaited<ReturnType<typeof startSecondServer>>
beforeAll(async () => {
  server = await startSecondServer()
}, 60_000)
afterAll(() => server.stop())

/** A client that is asked for a password and never answers. @returns a function that ends it */
async function authenticateForever(): Promise<() => void> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  await once(socket, 'connect')
  const protocolVersion = Buffer.from([0, 3, 0, 0])
  const parameters = Buffer.concat([protocolVersion, Buffer.from('user\0postgres\0database\0postgres\0\0')])
  const length = Buffer.alloc(4)
  length.writeInt32BE(parameters.length + 4)
  socket.write(Buffer.concat([length, parameters]))
  await once(socket, 'data')
  onTestFinished(() => void socket.destroy())
  return () => socket.destroy()
}

async function waitsForBarrier(): Promise<boolean> {
  const rows = await sqlAt(
    server.url,
    `select 1 from pg_stat_activity where query like 'drop database%' and wait_event = 'ProcSignalBarrier'`,
  )
  return rows.length > 0
}

it('onboarding waits for no drop, whatever earlier calls have left', async () => {
  let fails = true
  const tenantry = await openTestTenantry(models, {
    postgres: { url: server.url },
    initialise: () => {
      if (fails) throw new Error('not yet')
    },
  })
  const { installation } = tenantry
  const names = async () => {
    const rows = await sqlAt<{ name: string }>(
      server.url,
      `select regexp_replace(datname, '_[0-9a-f]{32}$', '') as name from pg_database
       where starts_with(datname, $1) order by 1`,
      [`${installation}_`],
    )
    return rows.map(({ name }) => name.slice(installation.length + 1))
  }
  await expect(tenantry.onboard('a')).rejects.toMatchObject({ code: 'hook-failed' })
  const [template] = await sqlAt<{ name: string }>(
    server.url,
    'select datname as name from pg_database where starts_with(datname, $1)',
    [`${installation}_template_`],
  )
  await sqlAt(server.url, `alter database ${quote(template!.name)} allow_connections true`)
  fails = false

  const release = await authenticateForever()
  await sqlAt(server.url, 'create database other')
  let isDropped = false
  const dropping = sqlAt(server.url, 'drop database other').then(() => (isDropped = true))
  await expect.poll(waitsForBarrier, { timeout: 20_000 }).toBe(true)
  expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded' })
  expect(isDropped).toBe(false)
  expect(await names()).toEqual(['catalog', 'spare', 't_a', 'template', 'template'])

  release()
  await dropping
  await tenantry.reconcile()
  expect(await names()).toEqual(['catalog', 't_a', 'template'])
})
