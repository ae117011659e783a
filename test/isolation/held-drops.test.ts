import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { quote, serverUrl, sql, useOwnServer } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'
import { firstVersion, notes, statements, withTag } from '../rollouts/support.ts'
import { type Isolated, login, models } from './support.ts'

// On a server of its own: what is done here holds up every DROP DATABASE of the server.

useOwnServer({ max_prepared_transactions: 10 })

/** A client that is asked for a password and never answers. @returns a function that ends it */
async function authenticateForever(): Promise<() => void> {
  const socket = connect(Number(new URL(serverUrl()).port), '127.0.0.1')
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
  const rows = await sql(
    `select 1 from pg_stat_activity where query like 'drop database%' and wait_event = 'ProcSignalBarrier'`,
  )
  return rows.length > 0
}

it('onboarding waits for no drop, whatever earlier calls have left', async () => {
  let fails = true
  const tenantry = await openTestTenantry(models, {
    hooks: {
      initialise: () => {
        if (fails) throw new Error('not yet')
      },
    },
  })
  const { installation } = tenantry
  const names = async () => {
    const rows = await sql<{ name: string }>(
      `select regexp_replace(datname, '_[0-9a-f]{32}$', '') as name from pg_database
       where starts_with(datname, $1) order by 1`,
      [`${installation}_`],
    )
    return rows.map(({ name }) => name.slice(installation.length + 1))
  }
  await expect(tenantry.onboard('a')).rejects.toMatchObject({ code: 'hook-failed' })
  const [template] = await sql<{ name: string }>(
    'select datname as name from pg_database where starts_with(datname, $1)',
    [`${installation}_template_`],
  )
  await sql(`alter database ${quote(template!.name)} allow_connections true`)
  fails = false

  const release = await authenticateForever()
  await sql('create database other')
  let isDropped = false
  const dropping = sql('drop database other').then(() => (isDropped = true))
  await expect.poll(waitsForBarrier, { timeout: 20_000 }).toBe(true)
  expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded' })
  expect(isDropped).toBe(false)
  expect(await names()).toEqual(['catalog', 'spare', 't_a', 'template', 'template'])

  release()
  await dropping
  await tenantry.servers.reconcile()
  expect(await names()).toEqual(['catalog', 't_a', 'template'])
})

it('planning waits for the drop of no other process', async () => {
  const { next } = await firstVersion(['a'], notes)
  const [second, third] = [await next(withTag), await next(withTag)]
  const release = await authenticateForever()
  let isPlanned = false
  const planning = second.rollouts.plan().then(() => (isPlanned = true))
  await expect.poll(waitsForBarrier, { timeout: 20_000 }).toBe(true)
  expect(statements(await third.rollouts.plan())).toHaveLength(1)
  expect(isPlanned).toBe(false)
  release()
  await planning
})

/** Keeps everybody from connecting to `postgres`, again and again, as a tenant. @returns a function that stops */
function keepShut(tenantry: Isolated, id: string): () => Promise<void> {
  const over = new AbortController()
  onTestFinished(() => over.abort())
  const shut = async () => {
    while (!over.signal.aborted) {
      // Refused while it is suspended, or while its connections are ended.
      const clients = await Promise.all([login(tenantry, id), login(tenantry, id)]).catch(() => undefined)
      if (clients === undefined) continue
      const [holder, waiter] = clients
      const { promise: ended, resolve } = Promise.withResolvers<void>()
      holder.once('end', resolve)
      await holder
        .query(`begin; alter role current_user in database postgres set work_mem = '1MB'`)
        .catch(() => undefined)
      const dropping = waiter.query('drop database postgres').catch(() => undefined)
      await Promise.race([ended, dropping])
      await Promise.allSettled([holder.end(), waiter.end()])
    }
  }
  const shutting = Promise.all([shut(), shut(), shut()])
  return async () => {
    over.abort()
    await tenantry.tenants.suspend(id)
    await shutting
  }
}

it('a prepared transaction in a database that a tenant keeps shut keeps no other tenant from being offboarded', async () => {
  const tenantry = await openTestTenantry(models)
  for (const id of ['evil', 'other']) await tenantry.onboard(id)
  const { database } = await tenantry.tenants.credentials('other')
  const client = await login(tenantry, 'evil', 'postgres')
  await client.query('begin')
  await client.query('select lo_create(0)')
  await client.query(`alter role current_user in database ${quote(database)} set work_mem = '1MB'`)
  await client.query(`prepare transaction '${database}'`)
  await client.end()
  const stop = keepShut(tenantry, 'evil')
  const isShut = `select 1 from pg_stat_activity where query = 'drop database postgres' and wait_event_type = 'Lock'`
  await expect.poll(() => sql(isShut, [], 'template1')).not.toEqual([])
  expect(await tenantry.tenants.offboard('other')).toMatchObject({ outcome: 'offboarded' })
  await stop()
})
