import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { inspect } from 'node:util'
import { defineEntity, p } from '@mikro-orm/core'
import { Client } from 'pg'
import { ensureTables, type ErrorCode, TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { expect, inject, onTestFinished, vi } from 'vitest'
import { errorOf, quote, serverUrl, sql, uniqueName } from '../support/server.ts'

/** The beginning of every password that the tests make up: where it shows, a password shows. */
const secretMark = 'hush-'

/** A role and how it logs in. */
export interface Login {
  readonly user: string
  readonly password: string
}

/** Returns a database's name that no other test uses; the database is dropped after the test. */
export function newDatabase(name = uniqueName('s')): { readonly name: string; readonly url: string } {
  onTestFinished(async () => {
    await sql(`alter database ${quote(name)} is_template false`).catch(() => undefined)
    await sql(`drop database if exists ${quote(name)} with (force)`)
  })
  return { name, url: serverUrl({ database: name }) }
}

/** A database that is there already. */
export async function existingDatabase(options = ''): Promise<{ readonly name: string; readonly url: string }> {
  const database = newDatabase()
  // template0 accepts no connections, so it can always be copied.
  await sql(`create database ${quote(database.name)} template template0 ${options}`)
  return database
}

/** Makes a LOGIN role, dropped after the test together with its privileges. `attributes` are those of CREATE ROLE. */
export async function newRole(attributes = '', user = uniqueName('r')): Promise<Login> {
  const password = `${secretMark}${uniqueName()}`
  await sql(`create role ${quote(user)} login password '${password}' ${attributes}`)
  onTestFinished(async () => {
    await sql(`drop owned by ${quote(user)}`)
    await sql(`drop role ${quote(user)}`)
  })
  return { user, password }
}

/** Opens a connection of another program, as the superuser; closed after the test. */
export async function openSession(database: string, ...statements: string[]): Promise<Client> {
  const client = newClient(database)
  client.on('error', () => undefined)
  await client.connect()
  onTestFinished(() => client.end())
  for (const statement of statements) await client.query(statement)
  return client
}

/** Runs statements in a database of any name, as the superuser; returns the rows of the last. */
export async function queryIn<Row extends object = Record<string, unknown>>(
  database: string,
  ...statements: string[]
): Promise<Row[]> {
  const client = newClient(database)
  await client.connect()
  try {
    let rows: Row[] = []
    for (const statement of statements) ({ rows } = await client.query<Row>(statement))
    return rows
  } finally {
    await client.end()
  }
}

/** The driver takes a URL's parts in another way than Tenantry does, so it is given them apart. */
function newClient(database: string): Client {
  const { hostname, port, username, password } = new URL(serverUrl())
  return new Client({
    host: hostname,
    port: Number(port || '5432'),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database,
  })
}

/** The codes of errors that may not occur when the same call is repeated. */
const retryable: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'connection-lost',
  'lock-timeout',
  'server-unreachable',
  'template-in-use',
  'timeout',
  'too-many-connections',
])

/** Expects a TenantryError of this code that has a hint, and holds no password anywhere. */
export async function expectFailure(promise: Promise<unknown>, code: ErrorCode): Promise<TenantryError> {
  const error = await errorOf(promise)
  expect(error).toBeInstanceOf(TenantryError)
  const failure = error as TenantryError
  expect(failure).toMatchObject({ name: 'TenantryError', code, retryable: retryable.has(code) })
  expect(failure.message).toMatch(/\S/)
  // A caller that cancels a call needs no hint.
  if (code !== 'aborted') expect(failure.hint).toMatch(/\S/)
  expectNoPassword(failure)
  return failure
}

/** The same, of an error that something underneath caused. */
export async function expectCausedFailure(promise: Promise<unknown>, code: ErrorCode): Promise<TenantryError> {
  const failure = await expectFailure(promise, code)
  expect(failure.cause).toBeInstanceOf(Error)
  return failure
}

function expectNoPassword(error: TenantryError): void {
  const everything = [
    error.message,
    error.hint,
    error.stack,
    JSON.stringify(error),
    JSON.stringify(error.cause),
    inspect(error, { depth: Infinity, showHidden: true }),
  ].join('\n')
  expect(everything).not.toContain(secretMark)
  const password = decodeURIComponent(new URL(inject('serverUrl')).password)
  // A short one, such as "postgres", is a word that may well be in a message.
  if (password.length >= 16) expect(everything).not.toContain(password)
}

/** Returns the SQL in a hint, after the words that name the role to run it. */
export function sqlIn({ hint = '' }: TenantryError): string {
  return hint.slice(hint.indexOf(': ') + 1).trim()
}

/** Starts a TCP server on loopback with a handler for each connection. */
export async function listen(onConnection: (socket: Socket) => void): Promise<{ server: Server; url: string }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    onConnection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { server, url: `postgresql://someone:${secretMark}1@127.0.0.1:${portOf(server)}/somewhere` }
}

/** The connection URL of a port where nothing listens. */
export async function closedUrl(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return `postgresql://someone:${secretMark}1@127.0.0.1:${port}/somewhere`
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

/** The URL with a name by which the server knows its sessions. */
export function named(url: string, applicationName = uniqueName('app')): { url: string; applicationName: string } {
  const result = new URL(url)
  result.searchParams.set('application_name', applicationName)
  return { url: result.href, applicationName }
}

/** Returns the URL for sessions that cannot write. */
export function readOnly(url: string): string {
  const result = new URL(url)
  result.searchParams.set('options', '-c default_transaction_read_only=on')
  return result.href
}

/** Waits for a session of this name that meets the condition, and returns its process id. */
export async function sessionThat(applicationName: string, condition: string): Promise<number> {
  return vi.waitFor(
    async () => {
      const rows = await sql<{ pid: number }>(
        `select pid from pg_stat_activity where application_name = $1 and (${condition})`,
        [applicationName],
      )
      expect(rows).not.toEqual([])
      return rows[0]!.pid
    },
    { timeout: 20_000, interval: 20 },
  )
}

/** Conditions for {@link sessionThat}. */
export const doing = {
  waitForLock: `state = 'active' and wait_event_type = 'Lock'`,
  tryAdvisoryLock: `query like '%advisory%'`,
  createDatabase: `state = 'active' and query like 'create database%'`,
}

/** Expects that the server has no session of this name, after the end of those that are closing. */
export async function expectNoSession(applicationName: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const sessions = await sql('select state, query from pg_stat_activity where application_name = $1', [
        applicationName,
      ])
      expect(sessions).toEqual([])
    },
    { timeout: 5_000, interval: 20 },
  )
}

export async function databaseExists(name: string): Promise<boolean> {
  return (await sql('select 1 from pg_database where datname = $1', [name])).length > 0
}

/** The tables of a database that are not PostgreSQL's own. */
export async function tablesIn(database: string): Promise<string[]> {
  const rows = await queryIn<{ name: string }>(
    database,
    `select table_schema || '.' || table_name as name from information_schema.tables
     where table_schema not in ('pg_catalog', 'information_schema') order by 1`,
  )
  return rows.map(({ name }) => name)
}

/** True if the server is of this major version or a later one. */
export async function isAtLeast(major: number): Promise<boolean> {
  const rows = await sql<{ version: string }>(`select current_setting('server_version_num') as version`)
  return Number(rows[0]!.version) >= major * 10_000
}

/** The URL, with another role's login. */
export function as({ user, password }: Login, url: string): string {
  const result = new URL(url)
  result.username = encodeURIComponent(user)
  result.password = encodeURIComponent(password)
  return result.href
}

/** Holds the lock under which tables are made, as another starter does. */
export function holdSchemaLock(database: string): Promise<Client> {
  return openSession(database, `select pg_advisory_lock(hashtextextended('tenantry:schema', 0))`)
}

/** Makes the table of users alone, and holds it so that no foreign key to it can be made. */
export async function holdUserTable({ name, url }: { name: string; url: string }): Promise<Client> {
  await ensureTables(url, mikroOrm({ entities: [UserAlone] }))
  return openSession(name, 'begin', 'lock table user_account in row exclusive mode')
}

/** The users of examples/service, without the entities that refer to them. */
export const UserAlone = defineEntity({
  name: 'User',
  tableName: 'user_account',
  properties: {
    id: p.integer().primary().autoincrement(),
    name: p.string(),
    fullname: p.string().nullable(),
  },
})
