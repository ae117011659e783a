import type { EntityManager } from '@mikro-orm/postgresql'
import { Client } from 'pg'
import { ensureTables, type TenantryConfig } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { Address, User } from '../../examples/service/models.ts'
import { createRole, dropAfterwards, quote, serverUrl, sql } from '../support/server.ts'
import { expect, onTestFinished } from 'vitest'
import { openTestTenantry, type TestTenantry } from '../support/tenants.ts'

export const models = mikroOrm({ entities: [User, Address] })

export type Isolated = TestTenantry<EntityManager>

/** A role such as a service should have: it may make databases and roles, and is no superuser. */
export async function createProvisioner(): Promise<{ user: string; password: string }> {
  const provisioner = await createRole('createdb createrole')
  dropAfterwards(provisioner.user)
  return provisioner
}

/** Opens a Tenantry as such a role. */
export async function openAs(
  provisioner: { user: string; password: string },
  config: Partial<Omit<TenantryConfig<EntityManager>, 'models'>> = {},
): Promise<Isolated> {
  return openTestTenantry(models, { ...config, postgres: { url: serverUrl(provisioner) } })
}

/** Returns the SQLSTATE of a refused connection or statement; `done` if it was not refused. */
export async function attempt(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'done'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

/** Runs `work` with a connection of a tenant's own role, to its own database or another. */
export async function asTenant<T>(
  tenantry: Isolated,
  id: string,
  work: (client: Client) => Promise<T>,
  database?: string,
): Promise<T> {
  const own = await tenantry.tenants.credentials(id)
  const client = new Client({
    connectionString: serverUrl({
      database: database ?? own.database,
      user: own.user,
      password: own.password.reveal(),
    }),
  })
  // A role with the right to end it may do so at any time.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** A database with the tables of the models that belongs to another role, of which the provisioner is no member yet. */
export async function makeTheirs(tenantry: Isolated, owner: { user: string; password: string }) {
  const database = `${tenantry.installation}_theirs`
  await sql(`create database ${quote(database)} owner ${quote(owner.user)}`)
  const url = serverUrl({ ...owner, database })
  await ensureTables(url, models)
  return { database, url }
}

/** Lets every role connect to a database, as to one that was created by hand. */
export const openToPublic = (database: string) => sql(`grant connect on database ${quote(database)} to public`)

/** A connection of a tenant's own role that stays open until the test has ended. */
export async function login(tenantry: Isolated, id: string, database?: string): Promise<Client> {
  const own = await tenantry.tenants.credentials(id)
  const parts = { database: database ?? own.database, user: own.user, password: own.password.reveal() }
  const client = new Client({ connectionString: serverUrl(parts) })
  client.on('error', () => undefined)
  await client.connect()
  onTestFinished(() => client.end().catch(() => undefined))
  return client
}

/** True if the server has ended a connection. */
export const isDead = (client: Client) => attempt(client.query('select 1')).then((outcome) => outcome !== 'done')

/** True if the server allows prepared transactions. */
export const hasPrepared = async () =>
  (await sql<{ n: string }>(`select current_setting('max_prepared_transactions') as n`))[0]!.n !== '0'

/** Begins a DROP DATABASE that would be refused, once it waits for its lock. */
export async function dropInVain(client: Client, database: string): Promise<void> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  void attempt(client.query(`drop database "${database}"`))
  const waiting = `select 1 from pg_locks where pid = $1 and mode = 'AccessExclusiveLock' and not granted`
  await expect.poll(() => sql(waiting, [rows[0]?.pid])).toHaveLength(1)
}

/** The roles whose names match a pattern. */
export const rolesLike = (pattern: string) =>
  sql<{ rolname: string }>('select rolname from pg_roles where rolname ~ $1', [pattern])
