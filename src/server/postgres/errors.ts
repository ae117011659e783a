import { type ErrorCode, type ErrorDetails, type FailureKind, TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import { bounded } from '../../kernel/printable.ts'
import { quoteIdentifier } from './quoting.ts'

/** The place of an error, for its message. */
export interface ErrorContext {
  /** Host and port. */
  readonly server: string
  readonly user: Identifier
  readonly database: Identifier
  /** True if a pooler is in between. */
  readonly isPooled?: boolean
}

interface Meaning {
  readonly code: ErrorCode
  readonly message: (context: ErrorContext, text: string) => string
  readonly hint?: (context: ErrorContext) => string
  /** Given where it differs from that of the code. */
  readonly retryable?: boolean
}

const unreachable: Meaning = {
  code: 'server-unreachable',
  message: (context, text) => `${otherSide(context)} cannot be reached: ${text}`,
  hint: ({ server, isPooled }) => `Is the ${isPooled ? 'pooler' : 'server'} running, and does it listen on ${server}?`,
}

const lost: Meaning = {
  code: 'connection-lost',
  message: ({ server, database }, text) => `The connection to ${database} at ${server} broke: ${text}`,
  hint: () => 'Repeat the call: the last statement may or may not have taken effect, so it looks first.',
}

const refused: Meaning = {
  code: 'authentication-failed',
  message: (context, text) => `${otherSide(context)} does not let ${context.user} in: ${text}`,
  hint: ({ user, isPooled }) =>
    isPooled
      ? `The pooler must know the role ${user}, as by PgBouncer's auth_query.`
      : `Check the user name (${user}) and the password in the connection URL, and the server's pg_hba.conf.`,
}

const full: Meaning = {
  code: 'too-many-connections',
  message: (context, text) => `${otherSide(context)} has no connection left: ${text}`,
  hint: ({ isPooled }) =>
    isPooled
      ? "Lower maxConnections, or raise the pooler's limits: of its clients, of its connections to a database, of the server."
      : 'Lower maxConnections, or raise the limit: max_connections of the server, CONNECTION LIMIT of database or role.',
}

/** The messages of a pooler itself, all with one code: PgBouncer's protocol_violation. */
const poolerMeanings: readonly (readonly [RegExp, Meaning])[] = [
  [/no such user|authentication|password|SASL/i, refused],
  [/no more connections|max_client_conn|query_wait_timeout/i, full],
  [
    /(?:)/,
    {
      code: 'server-unreachable',
      message: (context, text) => `${otherSide(context)} refuses a connection to ${context.database}: ${text}`,
      hint: () => "See the pooler's log for the reason. It must route to the same server as the connection URL.",
    },
  ],
]

function otherSide({ server, isPooled }: ErrorContext): string {
  return `${isPooled ? 'The pooler' : 'PostgreSQL'} at ${server}`
}

/** Meanings by the errno or TLS code that Node reports. */
const systemErrors: Readonly<Record<string, Meaning>> = {
  ENOTFOUND: {
    code: 'unknown-host',
    message: ({ server }) => `The host of ${server} is unknown.`,
    hint: () => 'Check the host in the connection URL.',
  },
  EPIPE: lost,
}

const readOnly: Meaning = {
  code: 'query-failed',
  message: ({ database }, text) => `A statement in ${database} failed: ${text}`,
  hint: ({ server }) =>
    `${server} is a standby, or the database or the role is read-only: connect to the primary, or look at "show default_transaction_read_only".`,
}

/** A missing type, operator class, collation or function often belongs to an extension. */
const undefinedObject: Meaning = {
  code: 'query-failed',
  message: ({ database }, text) => `A statement in ${database} failed: ${text}`,
  hint: () =>
    'If it belongs to an extension, name that in the option `extensions`, or run CREATE EXTENSION. Otherwise check its name and schema.',
}

const withoutTls: Meaning = {
  code: 'server-unreachable',
  message: (context, text) => `${otherSide(context)} cannot be reached: ${text}`,
  hint: () => 'The server has no TLS: switch it on there (ssl = on), or set sslmode=disable in the connection URL.',
  retryable: false,
}

/** Meanings by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const sqlStates: Readonly<Record<string, Meaning>> = {
  '08P01': {
    code: 'pooler-in-the-way',
    message: ({ server }, text) => `The program that answers at ${server} is not PostgreSQL itself: ${text}`,
    hint: () => "Administration must reach the server itself: use the server's own host and port, not a pooler's.",
  },
  '25006': readOnly,
  '28000': refused,
  '28P01': refused,
  '42501': {
    code: 'permission-denied',
    message: ({ user, database }, text) => `${user} may not do this in ${database}: ${text}`,
    hint: ({ user }) => `Grant the privilege to ${user}, or connect as a role that has it.`,
  },
  '42704': undefinedObject,
  '42883': undefinedObject,
  '53300': full,
  '55P03': {
    code: 'lock-timeout',
    message: ({ database }, text) => `A lock in ${database} was not to be had in time: ${text}`,
    hint: () => 'Look in pg_stat_activity for a session that is idle in a transaction.',
  },
  '57014': {
    code: 'timeout',
    message: ({ database }, text) => `A statement in ${database} was ended: ${text}`,
    hint: () => 'Allow more time (statementTimeoutMs), or find its blocker in pg_stat_activity.',
  },
  '57P03': unreachable,
}

/** SQLSTATEs that concern the database itself while a connection to it is being made. */
const connectStates: Readonly<Record<string, Meaning>> = {
  '3D000': {
    code: 'database-missing',
    message: ({ server, database }) => `There is no database ${database} at ${server}.`,
    hint: () => 'Create it with ensureDatabase, or check the name in the connection URL.',
  },
  '42501': {
    code: 'permission-denied',
    message: ({ user, database }, text) => `${user} may not connect to ${database}: ${text}`,
    hint: ({ user, database }) =>
      `As the owner of the database: GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(user)};`,
  },
  '55000': {
    code: 'database-closed',
    message: ({ database, server }, text) => `The database ${database} at ${server} is closed: ${text}`,
    hint: ({ database }) =>
      `To open it, if that is meant: ALTER DATABASE ${quoteIdentifier(database)} ALLOW_CONNECTIONS true;`,
  },
}

/** True if an error ends a session: by a command, by a crash, by a time limit, or by a pooler. */
export function endsSession(error: unknown): boolean {
  return /^(?:57P01|57P02|57P05|25P03|25P04|08P01)$/.test(firstOf(error).code ?? '')
}

/**
 * True for the error of a prepared statement whose result has other columns since a table was changed. It was not run.
 * https://www.postgresql.org/docs/current/sql-prepare.html
 */
export function isOutdatedStatement(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code, routine } = error as Error & { readonly code?: unknown; readonly routine?: unknown }
  return code === '0A000' && routine === 'RevalidateCachedQuery'
}

/** True for the error of a cancelled statement (query_canceled), as the driver or an ORM over it raises it. */
export function isCancellation(error: Error): boolean {
  return 'code' in error && error.code === '57014'
}

/** Errors that a retry may well overcome: a serialization failure, a deadlock. */
const transientPattern = /^(?:40001|40P01)$/

/** The errors (XX000) of one of two sessions that change the privileges of one database, or one role, at once. */
const racePattern = /^(?:tuple concurrently (?:updated|deleted)|could not find tuple for default ACL \d+)$/

/** Interruptions in the network or in the server, or by its limits for idle sessions and transactions. */
const lostPattern = /^(?:25P03|25P04|57P01|57P02|57P05|08000|08003|08006)$/
const lostMessage =
  /Connection terminated|Client has encountered a connection error|connection ended|not queryable|Query read timeout/i
/** The driver's own words. */
const noTlsMessage = 'The server does not support SSL connections'
const passwordMessage = /^SASL:|password must be a string/

/**
 * Turns any error of the driver into a {@link TenantryError}; one that is one already stays unchanged.
 *
 * @param phase an error that breaks the connection has another meaning while one is being made
 */
export function toTenantryError(error: unknown, context: ErrorContext, phase: 'connect' | 'query'): TenantryError {
  if (error instanceof TenantryError) return error
  tidy(error)
  const { code, message: text } = firstOf(error)
  const meaning = (context.isPooled && code === '08P01' && poolerMeaning(text)) || meaningOf(code, text, phase)
  const details: ErrorDetails = {
    cause: error,
    hint: meaning.hint?.(context),
    sqlState: isSqlState(code) ? code : undefined,
    failure: isRace(code, text) ? 'race' : failureOf(code),
    // A resolver that did not answer does not mean that the host does not exist.
    retryable: code === 'EAI_AGAIN' || isRace(code, text) ? true : meaning.retryable,
  }
  return new TenantryError(meaning.code, meaning.message(context, text), details)
}

/** The reasons that the rest of this package branches on, by SQLSTATE or its class. */
const failures: Readonly<Record<string, FailureKind>> = {
  '23': 'conflict',
  '23505': 'duplicate',
  '3D000': 'missing-database',
  '3F000': 'missing-schema',
  '42703': 'missing-column',
  '42704': 'missing-object',
  '42P01': 'missing-table',
  '42P04': 'name-taken',
  // Other objects with that name, and references to unsuitable objects.
  '42710': 'conflict',
  '42804': 'conflict',
  '42809': 'conflict',
  '42830': 'conflict',
  '42P06': 'conflict',
  '42P07': 'conflict',
  '42P16': 'conflict',
  '53': 'exhausted',
  // A NOTIFY that found the queue full, at the latest with its commit.
  '54000': 'queue-full',
  '55006': 'in-use',
}

function failureOf(code: string | undefined): FailureKind | undefined {
  if (code === undefined || !isSqlState(code)) return undefined
  return failures[code] ?? failures[code.slice(0, 2)]
}

function isRace(code: string | undefined, text: string): boolean {
  return transientPattern.test(code ?? '') || racePattern.test(text)
}

const verifier = /SCRAM-SHA-256\$[^'"\s]*/g

/**
 * Removes verifiers from an error, and cuts its texts. The server quotes the failed statement inside of PL/pgSQL, of a
 * role's change with the verifier of its password; and a value that it refuses, of whatever size a tenant gave it.
 */
function tidy(error: unknown): void {
  if (!(error instanceof Error)) return
  const parts = error as unknown as Record<string, unknown>
  for (const name of ['message', 'stack', 'where', 'internalQuery', 'detail']) {
    const text = parts[name]
    if (typeof text !== 'string') continue
    const short = bounded(text)
    parts[name] = short.includes('SCRAM-SHA-256$') ? short.replaceAll(verifier, '***') : short
  }
}

function poolerMeaning(text: string): Meaning | undefined {
  return poolerMeanings.find(([pattern]) => pattern.test(text))?.[1]
}

function meaningOf(code: string | undefined, text: string, phase: 'connect' | 'query'): Meaning {
  if (code === 'EAI_AGAIN') return systemErrors['ENOTFOUND'] as Meaning
  if (code !== undefined && lostPattern.test(code)) return phase === 'connect' ? unreachable : lost
  if (code !== undefined) {
    const known = (phase === 'connect' ? connectStates[code] : undefined) ?? sqlStates[code] ?? systemErrors[code]
    if (known !== undefined) return known
  }
  if (code !== undefined && isSqlState(code)) return failed
  if (passwordMessage.test(text)) return refused
  if (text === noTlsMessage) return withoutTls
  if (phase === 'connect') return unreachable
  return code !== undefined || lostMessage.test(text) ? lost : failed
}

const failed: Meaning = {
  code: 'query-failed',
  message: ({ database }, text) => `A statement in ${database} failed: ${text}`,
  hint: () => "See the cause for PostgreSQL's own error, with its detail and hint, and sqlState for its code.",
}

/**
 * Returns the first failure. Node tries a host's addresses in turn and reports all failures at once; the first is
 * sufficient.
 */
function firstOf(error: unknown): { code: string | undefined; message: string } {
  if (error instanceof AggregateError && error.errors.length > 0) return firstOf(error.errors[0])
  if (!(error instanceof Error)) return { code: undefined, message: String(error) }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return { code, message: error.message }
}

/**
 * True for an SQLSTATE. They have five characters, as have EPIPE and EPERM of Node's; those begin with E and end in a
 * letter.
 */
function isSqlState(code: string | undefined): code is string {
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code)
}
