import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import { positiveInteger, refuseUnknownOptions } from '../kernel/options.ts'
import type { Comparison, Models } from '../models/port.ts'
import { requireModels } from '../models/require-models.ts'
import type { CreateDatabaseOptions, Server, Session } from '../server/port.ts'
import { parseConnectionUrl, requireDatabase } from '../server/postgres/connection-fields.ts'
import { checkCreateOptions } from '../server/postgres/databases.ts'
import { postgres } from '../server/postgres/server.ts'
import { type EnsuredDatabase, ensureDatabaseOn } from './ensure-database.ts'
import { type EnsuredTables, ensureTablesIn, look } from './ensure-tables.ts'

/** How a database is reached. */
export interface ConnectOptions extends Cancellable {
  /** Time limit for a connection to stand, and for the wait while the server has none left, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number
  /** Time limit for one statement, in milliseconds. Default 60,000; 0 for none. */
  readonly statementTimeoutMs?: number
}

/** Options of {@link ensureDatabase}. */
export interface EnsureDatabaseOptions extends CreateDatabaseOptions, ConnectOptions {
  /** Where CREATE DATABASE is issued from, if it comes to that. Default `postgres`. */
  readonly maintenanceDatabase?: string
}

/** Options of {@link ensureTables}. */
export interface EnsureTablesOptions extends ConnectOptions {
  /** How long another process may take to create tables in the same database, in milliseconds. Default 60,000. */
  readonly lockTimeoutMs?: number
}

/** What {@link checkDatabase} found. */
export type CheckedDatabase =
  | { readonly outcome: 'database-missing'; readonly database: string }
  | ({ readonly outcome: 'matches' | 'differs'; readonly database: string } & Comparison)

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
export function ensureDatabase(url: string | URL, options: EnsureDatabaseOptions = {}): Promise<EnsuredDatabase> {
  return withTarget(url, options, 'ensureDatabase', (server, database) => {
    const checked = { ...checkCreateOptions(options), signal: options.signal }
    return ensureDatabaseOn(server, database, checked)
  })
}

/**
 * Creates what a database lacks of the models: schemas, enums, tables, sequences, indexes, foreign keys and views. What
 * is there is never altered or dropped; what of it differs is reported.
 *
 * Any number of processes may call this at once: one creates, the others wait for it and find all in place.
 *
 * @throws `schema-conflict`, `permission-denied`, `lock-timeout`, `models-invalid`, `database-missing`; whatever is
 *   thrown, nothing was created
 */
export function ensureTables(
  url: string | URL,
  models: Models<unknown>,
  options: EnsureTablesOptions = {},
): Promise<EnsuredTables> {
  return withTarget(url, options, 'ensureTables', async (server, database) => {
    const lockTimeoutMs = positiveInteger('lockTimeoutMs', options.lockTimeoutMs ?? 60_000)
    requireModels('ensureTables', models)
    // The models are read first, so that what is wrong with them is said before anything is touched.
    await models.fingerprint()
    return within(await server.connect(database, options), (session) => ensureTablesIn(session, models, lockTimeoutMs))
  })
}

/** Compares a database with the models and touches nothing. */
export function checkDatabase(
  url: string | URL,
  models: Models<unknown>,
  options: ConnectOptions = {},
): Promise<CheckedDatabase> {
  return withTarget(url, options, 'checkDatabase', async (server, database): Promise<CheckedDatabase> => {
    requireModels('checkDatabase', models)
    await models.fingerprint()
    const session = await server.connect(database, options).catch(missingAsUndefined)
    if (session === undefined) return { outcome: 'database-missing', database }
    const comparison = await within(session, () => look(session, models))
    const differs = comparison.missing.length > 0 || comparison.differing.length > 0
    return { outcome: differs ? 'differs' : 'matches', database, ...comparison }
  })
}

const connectOptions = ['connectTimeoutMs', 'statementTimeoutMs', 'signal']
const createOptions = ['owner', 'template', 'encoding', 'locale', 'localeProvider', 'tablespace', 'connectionLimit']
const knownOptions = {
  ensureDatabase: [...createOptions, 'maintenanceDatabase', ...connectOptions],
  ensureTables: ['lockTimeoutMs', ...connectOptions],
  checkDatabase: connectOptions,
}

/** Checks everything that can be checked without a server, then works on the database that the URL names. */
async function withTarget<T>(
  url: string | URL,
  options: EnsureDatabaseOptions | EnsureTablesOptions,
  call: keyof typeof knownOptions,
  work: (server: Server, database: Identifier) => Promise<T>,
): Promise<T> {
  refuseUnknownOptions(call, options, knownOptions[call])
  const database = requireDatabase(parseConnectionUrl(url))
  const server = postgres({
    url,
    maintenanceDatabase: ('maintenanceDatabase' in options ? options.maintenanceDatabase : undefined) ?? 'postgres',
    ...(options.connectTimeoutMs !== undefined && { connectTimeoutMs: options.connectTimeoutMs }),
    busyTimeoutMs: options.connectTimeoutMs ?? 10_000,
    ...(options.statementTimeoutMs !== undefined && { statementTimeoutMs: options.statementTimeoutMs }),
  })
  return work(server, database)
}

async function within<T>(session: Session, work: (session: Session) => Promise<T>): Promise<T> {
  try {
    return await work(session)
  } finally {
    await session.close()
  }
}

function missingAsUndefined(error: unknown): undefined {
  if (error instanceof TenantryError && error.code === 'database-missing') return undefined
  throw error
}
