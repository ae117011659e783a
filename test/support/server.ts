import { randomBytes } from 'node:crypto'
import { Client, Pool } from 'pg'
import { afterAll, beforeAll, inject } from 'vitest'
import { type ServerSettings, startServer } from './start-server.ts'

let own: Awaited<ReturnType<typeof startServer>> | undefined

/** Starts a PostgreSQL of its own for the tests of a file: to be called before any hook of the file is added. */
export function useOwnServer(settings: ServerSettings = {}): void {
  beforeAll(async () => {
    own = await startServer(settings)
  }, 60_000)
}

/** A connection URL to the test server: as its superuser, or as the role given. */
export function serverUrl({ database = '', user, password }: UrlParts = {}): string {
  const url = new URL(own?.url ?? inject('serverUrl'))
  url.pathname = `/${encodeURIComponent(database)}`
  if (user !== undefined) url.username = encodeURIComponent(user)
  if (password !== undefined) url.password = encodeURIComponent(password)
  return url.href
}

interface UrlParts {
  readonly database?: string
  readonly user?: string
  readonly password?: string
}

/** A name that no other test uses: letters and digits, at most 16 bytes, so that it may be an installation, too. */
export function uniqueName(prefix = 't'): string {
  return `${prefix}${randomBytes(8).toString('hex')}`.slice(0, 16)
}

let administration: Pool | undefined

/** Runs one statement as the superuser, in `postgres` or the database given. */
export async function sql<Row extends object = Record<string, unknown>>(
  statement: string,
  params: unknown[] = [],
  database = 'postgres',
): Promise<Row[]> {
  if (database !== 'postgres') return sqlAt<Row>(serverUrl({ database }), statement, params)
  // A connection takes longer than most statements.
  administration ??= new Pool({ connectionString: serverUrl({ database }) }).on('error', () => undefined)
  return (await administration.query<Row>(statement, params)).rows
}

/** Runs one statement on a connection of its own to the database that the URL names. */
export async function sqlAt<Row extends object = Record<string, unknown>>(
  url: string,
  statement: string,
  params: unknown[] = [],
): Promise<Row[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<Row>(statement, params)
    return rows
  } finally {
    await client.end()
  }
}

const cleanUps: (() => Promise<unknown>)[] = []

// Registered as this file is loaded, because a hook that a test or another hook adds is never called.
afterAll(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp()
  await administration?.end()
  await own?.stop()
})

/** Runs `work` after all tests of the file, the last that was given first. */
export function afterwards(work: () => Promise<unknown>): void {
  cleanUps.push(work)
}

/**
 * Drops {@link afterwards} every database whose name begins with one of these, then the roles of these names and those
 * of an installation with such a name.
 */
export function dropAfterwards(...names: string[]): void {
  afterwards(async () => {
    for (const name of names) await dropDatabases(name)
    for (const name of names) await dropRoles(name)
  })
}

async function dropRoles(name: string): Promise<void> {
  const rows = await sql<{ rolname: string }>(
    `select rolname from pg_roles where rolname = $1 or starts_with(rolname, $1 || '_')`,
    [name],
  )
  if (rows.length > 0) await sql(`drop role if exists ${rows.map(({ rolname }) => quote(rolname)).join(', ')}`)
}

/** Drops every database with a name prefix. */
export async function dropDatabases(name: string): Promise<void> {
  const rows = await sql<{ datname: string; datistemplate: boolean }>(
    'select datname, datistemplate from pg_database where starts_with(datname, $1) and datname not in ($2, $3, $4)',
    [name, 'postgres', 'template0', 'template1'],
  )
  for (const { datname, datistemplate } of rows) {
    const unmark = `alter database ${quote(datname)} is_template false`
    // Another suite's process may be dropping it.
    if (datistemplate) await sql(unmark).catch(() => undefined)
    await sql(`drop database if exists ${quote(datname)} with (force)`)
  }
}

/** Returns a unique name, whose databases and roles are dropped {@link afterwards}. */
export function disposableName(prefix?: string): string {
  const name = uniqueName(prefix)
  dropAfterwards(name)
  return name
}

/** Makes a LOGIN role with a password; `attributes` are those of CREATE ROLE. */
export async function createRole(attributes = ''): Promise<{ user: string; password: string }> {
  const user = uniqueName('r')
  const password = randomBytes(9).toString('hex')
  await sql(`create role ${quote(user)} login password '${password}' ${attributes}`)
  return { user, password }
}

export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Returns the error that a promise rejects with; fails if it does not reject. */
export async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error
  }
  throw new Error(`Expected a rejection, got ${JSON.stringify(value)}`)
}
