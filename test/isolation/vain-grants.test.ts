import { beforeAll, expect, it } from 'vitest'
import { quote, sql } from '../support/server.ts'
import { attempt, createProvisioner, type Isolated, login, openAs } from './support.ts'

// A GRANT by a role without GRANT OPTION warns, and still writes the object's row: a change of the row that waits for it
// fails.

let provisioner: { user: string; password: string }
beforeAll(async () => {
  provisioner = await createProvisioner()
})

/** Repeats statements in four sessions of a tenant. @returns a function that ends them */
async function repeat(tenantry: Isolated, id: string, statements: string, database?: string) {
  const { user } = await tenantry.tenants.credentials(id)
  const clients = await Promise.all(Array.from({ length: 4 }, () => login(tenantry, id, database)))
  const loop = `do $$ begin loop
    begin ${statements}; perform pg_sleep(0.005); exception when others then null; end;
    commit;
  end loop; end $$`
  const running = clients.map((client) => attempt(client.query(loop)))
  return async () => {
    await sql('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [user])
    await Promise.all(running)
  }
}

it('a tenant that grants in vain on its database cannot keep it from being stamped again', async () => {
  const tenantry = await openAs(provisioner)
  await tenantry.onboard('evil')
  const { database } = await tenantry.tenants.credentials('evil')
  const end = await repeat(tenantry, 'evil', `grant connect on database ${quote(database)} to current_user`, 'postgres')
  for (let round = 0; round < 5; round++) {
    await sql(`comment on database ${quote(database)} is null`)
    expect(await tenantry.tenants.restamp('evil')).toMatchObject({ outcome: 'restamped' })
  }
  await end()
})

it('a tenant that grants in vain on its tables cannot keep their privileges from being repaired', async () => {
  const tenantry = await openAs(provisioner)
  await tenantry.onboard('evil')
  const { database } = await tenantry.tenants.credentials('evil')
  const app = quote(`${tenantry.installation}_app`)
  const spoil = `alter table user_account owner to ${quote(provisioner.user)}; revoke all on user_account from ${app};
    alter table address owner to ${quote(provisioner.user)}; revoke all on address from ${app};
    grant select on user_account, address to ${app}`
  for (let round = 0; round < 3; round++) {
    await sql(spoil, [], database)
    const grants = ['user_account', 'address'].map((table) => `grant select on ${table} to current_user`)
    const end = await repeat(tenantry, 'evil', grants.join('; '))
    const { repaired } = await tenantry.tenants.accept('evil')
    expect(repaired.map(({ name }) => name)).toEqual(expect.arrayContaining(['user_account', 'address']))
    await end()
  }
})
