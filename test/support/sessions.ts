import type { Socket } from 'node:net'
import { Client } from 'pg'
import { expect } from 'vitest'
import { afterwards, serverUrl, sql } from './server.ts'

/** Opens a connection that is not Tenantry's; as the superuser, or with the given login. */
export async function foreignSession(
  database: string,
  { replication, application_name, ...login }: SessionOptions = {},
): Promise<{ readonly client: Client; readonly ended: Promise<void> }> {
  const client = new Client({
    connectionString: serverUrl({ database, ...login }),
    ...(replication && { replication }),
    ...(application_name && { application_name }),
  })
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  client.on('error', () => undefined)
  client.once('end', resolve)
  await client.connect()
  afterwards(() => client.end())
  return { client, ended }
}

interface SessionOptions {
  readonly user?: string
  readonly password?: string
  readonly replication?: string
  readonly application_name?: string
}

/** Returns the socket of a client, which the driver's types do not name. */
export function socketOf(client: Client): Socket {
  return (client as unknown as { readonly connection: { readonly stream: Socket } }).connection.stream
}

/** Returns the sessions in a database that meet a condition on pg_stat_activity. */
export function sessionsIn(database: string, condition = 'true'): Promise<{ pid: number; query: string }[]> {
  return sql(
    `select pid, query from pg_stat_activity
     where datname = $1 and backend_type in ('client backend', 'walsender') and pid <> pg_backend_pid() and (${condition})`,
    [database],
  )
}

/** Waits until so many sessions in a database meet the condition. */
export async function expectSessions(database: string, condition: string, count = 1): Promise<void> {
  await expect.poll(() => sessionsIn(database, condition), { timeout: 20_000, interval: 20 }).toHaveLength(count)
}
