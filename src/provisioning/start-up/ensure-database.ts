import type { Cancellable } from '../../kernel/abort.ts'
import { explained, hasCode, TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { CreateDatabaseOptions, Server, Session } from '../../server/port.ts'
import { withSession } from '../../server/with-session.ts'

/**
 * An option that a database does not meet. It is reported and left as it is. Where none is given, the encoding should be
 * UTF8: in any other, some text cannot be stored, or (SQL_ASCII) is not checked.
 */
export interface DifferingOption {
  readonly option: 'owner' | 'encoding' | 'locale' | 'localeProvider' | 'tablespace' | 'connectionLimit'
  readonly wanted: string | number
  readonly actual: string | number
}

/** The outcome of ensuring a database. */
export interface EnsuredDatabase {
  /** `created` by this very call, or there already, be it made by another process a moment ago. */
  readonly outcome: 'created' | 'already-exists'
  readonly database: string
  /** The options that the database does not meet. */
  readonly differing: readonly DifferingOption[]
}

/** The number of times that a database may vanish between two looks. */
const attempts = 3

/**
 * Makes sure that a database exists.
 *
 * It connects to the database itself first: where that works, one connection is all, and no privilege is needed.
 */
export async function ensureDatabaseOn(
  server: Server,
  database: Identifier,
  options: CreateDatabaseOptions & Cancellable = {},
): Promise<EnsuredDatabase> {
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const found = await describeExisting(server, database, options)
    if (found !== undefined) return { outcome: 'already-exists', database, differing: found }
    const created = await createIfMissing(server, database, options)
    if (created !== undefined) return { outcome: 'created', database, differing: created }
  }
  throw new TenantryError('database-missing', `The database ${database} was dropped as often as it was made.`, {
    hint: 'Find out who drops it; the server log names the statements when log_statement is ddl.',
    retryable: true,
  })
}

/** Returns the differences of an existing database; undefined if there is none. */
async function describeExisting(
  server: Server,
  database: Identifier,
  options: CreateDatabaseOptions & Cancellable,
): Promise<readonly DifferingOption[] | undefined> {
  let session: Session
  try {
    session = await server.connect(database, options)
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error
    if (error.code === 'database-missing') return undefined
    throw error.code === 'database-closed' ? await databaseClosedError(error, server, database, options) : error
  }
  try {
    const isCompared = comparedOptions.some((option) => options[option] !== undefined)
    return isCompared || !isUnicode(session) ? await differing(server, session, database, options) : []
  } finally {
    await session.close()
  }
}

/** Returns the differences of a database that was created; undefined if there is one already. */
async function createIfMissing(
  server: Server,
  database: Identifier,
  options: CreateDatabaseOptions & Cancellable,
): Promise<readonly DifferingOption[] | undefined> {
  return withSession(connectForMaintenance(server, options), async (session) => {
    if (!(await server.databases.create(session, database, options))) return undefined
    // The default encoding of a server is nearly always that of its maintenance database.
    return isUnicode(session) ? [] : differing(server, session, database, options)
  })
}

async function connectForMaintenance(server: Server, options: Cancellable): Promise<Session> {
  try {
    return await server.connect(server.maintenanceDatabase, options)
  } catch (error) {
    if (!hasCode(error, 'database-missing')) throw error
    throw explained(error, 'database-missing', error.message, {
      hint: 'CREATE DATABASE is sent from there. Name a database that exists by the option maintenanceDatabase.',
    })
  }
}

const comparedOptions = [
  'owner',
  'encoding',
  'locale',
  'localeProvider',
  'tablespace',
  'connectionLimit',
] as const satisfies readonly DifferingOption['option'][]

function isUnicode({ encoding }: Session): boolean {
  return encoding === undefined || encoding === 'UTF8'
}

async function differing(
  server: Server,
  session: Session,
  database: Identifier,
  options: CreateDatabaseOptions,
): Promise<readonly DifferingOption[]> {
  const [info] = await server.databases.describe(session, [database])
  if (info === undefined) return []
  return comparedOptions.flatMap((option) => {
    const wanted = options[option] ?? (option === 'encoding' ? 'UTF8' : undefined)
    const actual = info[option]
    return wanted === undefined || normal(option, wanted) === normal(option, actual) ? [] : [{ option, wanted, actual }]
  })
}

/** PostgreSQL takes `utf8`, `UTF8` and `UTF-8` for the same encoding, and libc locales likewise. */
function normal(option: DifferingOption['option'], value: string | number): string | number {
  if (typeof value === 'number' || (option !== 'encoding' && option !== 'locale')) return value
  return value.toLowerCase().replaceAll(/[-_]/g, '')
}

/** A database that lets nobody in may be closed on purpose, or be what an interrupted DROP DATABASE left. */
async function databaseClosedError(
  error: TenantryError,
  server: Server,
  database: Identifier,
  options: Cancellable,
): Promise<TenantryError> {
  if (!(await isInvalid(server, database, options))) return error
  return explained(error, 'database-invalid', `An interrupted DROP DATABASE left ${database} unusable.`, {
    hint: `Its data is lost. Finish the job: DROP DATABASE "${database.replaceAll('"', '""')}";`,
  })
}

/** True if a database is invalid. If that cannot be found out, the database counts as closed. */
async function isInvalid(server: Server, database: Identifier, options: Cancellable): Promise<boolean> {
  const session = await server.connect(server.maintenanceDatabase, options).catch(() => undefined)
  if (session === undefined) return false
  const [info] = await withSession(Promise.resolve(session), () => server.databases.describe(session, [database]))
  return info?.invalid === true
}
