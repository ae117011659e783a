import type { Cancellable } from '../../kernel/abort.ts'
import { hasCode } from '../../kernel/errors.ts'
import { parseIdentifier } from '../../kernel/names.ts'
import {
  cancellable,
  durationMs,
  extensionNames,
  identifier,
  optionsOf,
  positiveMs,
  readOptions,
  type Schemas,
  trueOrFalse,
} from '../../kernel/options.ts'
import { schemaOf, type WithSchema } from '../../models/require-models.ts'
import type { CreateDatabaseOptions } from '../../server/port.ts'
import { checkCreateOptions, createSchemas, serverOf } from '../../server/from-url.ts'
import { withSession } from '../../server/with-session.ts'
import { type EnsuredDatabase, ensureDatabaseOn } from './ensure-database.ts'
import type { Comparison } from '../../structure/comparison.ts'
import { lookAt, reported } from '../tables/compare-database.ts'
import { type EnsuredTables, ensureTablesIn } from './ensure-tables.ts'

/** Options of the connection to a database. */
export interface ConnectOptions extends Cancellable {
  /** Time limit for a connection to stand, and for the wait while the server has none left, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number
  /** Time limit for one statement, in milliseconds. Default 60,000; 0 for none. */
  readonly statementTimeoutMs?: number
}

/** Options of {@link ensureDatabase}. */
export interface EnsureDatabaseOptions extends Omit<CreateDatabaseOptions, 'acceptsConnections'>, ConnectOptions {
  /** The database from which CREATE DATABASE is run. Default `postgres`. */
  readonly maintenanceDatabase?: string
}

/** Options of {@link ensureTables}. */
export interface EnsureTablesOptions extends ConnectOptions {
  /** The time that another process may take to create tables in the same database, in milliseconds. Default 60,000. */
  readonly lockTimeoutMs?: number
  /**
   * The extensions that the models need, such as `citext`. Missing ones are created first, in `public` unless they belong
   * into another schema, in a transaction of their own. Default: none.
   */
  readonly extensions?: readonly string[]
}

/** Options of {@link checkDatabase}. */
export interface CheckDatabaseOptions extends ConnectOptions {
  /**
   * True if whatever the models do not declare counts as a difference as well, in the whole database. Default false: a
   * column more, or another service's table, is no difference.
   */
  readonly exact?: boolean
}

/**
 * The result of {@link checkDatabase}. The outcome is `unverified` where all objects exist, and their structure could not be
 * compared: the role may not create a schema in the database, and no start by one that may has remembered it there.
 */
export type CheckedDatabase =
  | { readonly outcome: 'database-missing'; readonly database: string }
  | ({ readonly outcome: 'matches' | 'differs' | 'unverified'; readonly database: string } & Comparison)

/**
 * Makes sure that the database of a connection URL exists.
 *
 * Where it exists, one connection to it is all, and no privilege is needed. Any number of processes may call this at
 * once: one creates, the others find it there.
 *
 * @throws `permission-denied` with the statement that grants what is missing; `role-missing`, `template-missing`,
 *   `template-in-use`, `tablespace-missing`, `database-invalid`, `database-closed`, and what may be wrong with the
 *   connection itself
 */
export async function ensureDatabase(url: string | URL, options: EnsureDatabaseOptions = {}): Promise<EnsuredDatabase> {
  const read = readOptions('ensureDatabase', ensureDatabaseSchema, options)
  const { server, database } = target(url, read)
  return ensureDatabaseOn(server, database, { ...checkCreateOptions(read), signal: read.signal })
}

/**
 * Creates what a database lacks of the models: schemas, types, tables, sequences, indexes, constraints and views. What
 * is there is never altered or dropped; what of it differs is reported.
 *
 * Any number of processes may call this at once: one creates, the others wait for it and find all in place.
 *
 * @throws `schema-conflict`, `permission-denied`, `lock-timeout`, `models-invalid`, `database-missing`. Nothing was created
 *   then, except extensions that were created first.
 */
export async function ensureTables(
  url: string | URL,
  models: WithSchema,
  options: EnsureTablesOptions = {},
): Promise<EnsuredTables> {
  const read = readOptions('ensureTables', ensureTablesSchema, options)
  const { database, compared } = await withModels('ensureTables', url, models, read)
  const limits = {
    lockTimeoutMs: read.lockTimeoutMs ?? 60_000,
    extensions: (read.extensions ?? []).map((name) => parseIdentifier(name, 'extension')),
  }
  return withSession(compared.server.connect(database, read), (session) => ensureTablesIn(session, compared, limits))
}

/** Compares a database with the models and touches nothing. */
export async function checkDatabase(
  url: string | URL,
  models: WithSchema,
  options: CheckDatabaseOptions = {},
): Promise<CheckedDatabase> {
  const read = readOptions('checkDatabase', checkDatabaseSchema, options)
  const { database, compared } = await withModels('checkDatabase', url, models, read)
  const session = await compared.server.connect(database, read).catch(missingAsUndefined)
  if (session === undefined) return { outcome: 'database-missing', database }
  const look = await withSession(Promise.resolve(session), () => lookAt(session, compared))
  const comparison = reported(look, compared.schema, read.exact)
  const wrong = [comparison.missing, comparison.differing, read.exact === true ? comparison.extra : []]
  const differs = wrong.some(({ length }) => length > 0)
  return { outcome: differs ? 'differs' : look.isKnown ? 'matches' : 'unverified', database, ...comparison }
}

const connectSchemas = {
  connectTimeoutMs: positiveMs,
  statementTimeoutMs: durationMs,
  ...cancellable,
} satisfies Schemas<ConnectOptions>

const checkDatabaseSchema = optionsOf<CheckDatabaseOptions>({ exact: trueOrFalse, ...connectSchemas })

const ensureTablesSchema = optionsOf<EnsureTablesOptions>({
  lockTimeoutMs: positiveMs,
  extensions: extensionNames,
  ...connectSchemas,
})

const ensureDatabaseSchema = optionsOf<EnsureDatabaseOptions>({
  ...createSchemas,
  maintenanceDatabase: identifier('maintenance database'),
  ...connectSchemas,
})

/** Reads the models before anything is touched, and the URL of the database that is compared with them. */
async function withModels(call: string, url: string | URL, models: WithSchema, options: ConnectOptions) {
  const { server, database } = target(url, options)
  const schema = schemaOf(call, models)
  return { database, compared: { server, schema, fingerprint: await schema.fingerprint() } }
}

/** The database that a URL names, and its server; checked as far as that takes no connection. */
function target(
  url: string | URL,
  { connectTimeoutMs, statementTimeoutMs, maintenanceDatabase = 'postgres' }: EnsureDatabaseOptions,
) {
  return serverOf({
    url,
    maintenanceDatabase,
    ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
    busyTimeoutMs: connectTimeoutMs ?? 10_000,
    ...(statementTimeoutMs !== undefined && { statementTimeoutMs }),
  })
}

function missingAsUndefined(error: unknown): undefined {
  if (hasCode(error, 'database-missing')) return undefined
  throw error
}
