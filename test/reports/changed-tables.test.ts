import { expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { models } from '../isolation/support.ts'
import { sql } from '../support/server.ts'
import { inCatalog, openTestTenantry } from '../support/tenants.ts'

// pgjdbc/pgjdbc#496, BerriAI/litellm#29984: a connection that has prepared a statement is used again after a column was
// added: "cached plan must not change result type".

it('a column that is added to a table in use is an error to no caller', async () => {
  const tenantry = await openTestTenantry(models, { postgres: { maxConnections: 1 } })
  await tenantry.onboard('acme')
  const read = () =>
    tenantry.with('acme', async (em) => {
      await em.execute('select * from user_account where id > ?', [0])
      const [row] = await em.execute<{ pid: number }[]>('select pg_backend_pid() as pid')
      return { users: await em.find(User, {}), pid: row?.pid }
    })
  for (let time = 0; time < 6; time++) await read()
  const { pid } = await read()
  await sql('alter table user_account add column extra text', [], `${tenantry.installation}_t_acme`)
  expect(await read()).toEqual({ users: [], pid })
})

it('a column that is added to the catalog by a newer version is an error to no older process', async () => {
  const tenantry = await openTestTenantry(models)
  await tenantry.onboard('acme')
  const look = async () => {
    await tenantry.tenants.update('acme', { displayName: String(Math.random()) })
    return [await tenantry.tenants.get('acme'), ...(await tenantry.tenants.list())].map((tenant) => tenant?.id)
  }
  for (let time = 0; time < 6; time++) await look()
  await inCatalog(tenantry, 'alter table tenantry.tenant add column extra text')
  expect(await look()).toEqual(['acme', 'acme'])
  expect(await tenantry.onboard('beta')).toMatchObject({ outcome: 'onboarded' })
})
