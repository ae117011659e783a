import { type Identifier, parseIdentifier } from '../../kernel/names.ts'
import { positiveInteger, refuseUnknownOptions } from '../../kernel/options.ts'
import type { DiagnosisRequest, ServerDiagnosis } from '../diagnosis.ts'
import type { Occupancy } from '../occupancy.ts'
import type {
  ConnectionPool,
  CreateDatabaseOptions,
  DatabaseChange,
  DatabaseInfo,
  DatabaseSearch,
  Listeners,
  Login,
  OpenOptions,
  Server,
  ServerConnection,
  Session,
  SessionDefaults,
  SessionOptions,
  SessionPool,
  StampedDatabase,
  WhichSessions,
} from '../port.ts'
import { clientConfig, type ConnectionLimits, graceMs, newClient } from './client.ts'
import { type ConnectionFields, parseConnectionUrl } from './connection-fields.ts'
import { createDatabase, missingToCreate } from './create-database.ts'
import {
  alterDatabaseStatement,
  checkCreateOptions,
  commentedDatabases,
  describeDatabases,
  findDatabases,
} from './databases.ts'
import { examine } from './diagnosis/examine.ts'
import type { ProbeLogin } from './diagnosis/probe-context.ts'
import { dropDatabase } from './drop-database.ts'
import { connectionEnvironment } from './environment.ts'
import type { ErrorContext } from './errors.ts'
import { quoteIdentifier, quoteLiteral } from './quoting.ts'
import { openPool } from './pool.ts'
import { parsePooler, type Pooler, type PoolerOptions } from './pooler.ts'
import { roleAdministration } from './roles.ts'
import { openRoutedConnection } from './routed-connection.ts'
import { occupancyOf } from './occupancy.ts'
import { openListener, openSession, runBeside, type SessionSource } from './session.ts'
import { openSessionPool } from './session-pool.ts'
import { endSessions, sessionsIn } from './sessions.ts'
import { structureDigest } from './structure-digest.ts'

/** How a PostgreSQL server is reached and used. */
export interface PostgresOptions {
  /** `postgresql://user:password@host:port/maintenance-database`; what it leaves out comes from PGHOST and so on. */
  readonly url: string | URL
  /** The name by which the catalog knows the server: chosen once, not changed. Default `main`. */
  readonly name?: string
  /**
   * How many connections tenants' work may hold on this server at once, in all processes of the installation together.
   * Default 50, as far as the server has room.
   */
  readonly maxConnections?: number
  /** Where CREATE DATABASE is issued from. Default: the database of the URL, or `postgres`. */
  readonly maintenanceDatabase?: string
  /** Time limit for a connection to stand, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number
  /** Time limit for one administrative statement, in milliseconds. Default 60,000; 0 for none. */
  readonly statementTimeoutMs?: number
  /**
   * The pooler, such as PgBouncer, that tenants' work goes through. All else goes to the server itself. Default: none.
   */
  readonly pooler?: PoolerOptions
}

const knownOptions = [
  'url',
  'name',
  'maxConnections',
  'maintenanceDatabase',
  'connectTimeoutMs',
  'statementTimeoutMs',
  'pooler',
]
const noLimit = 0

/**
 * A PostgreSQL server, by its URL. Nothing is connected yet.
 *
 * @throws `invalid-url`, `invalid-name`, `invalid-option`
 */
export function postgres(options: PostgresOptions): Server {
  refuseUnknownOptions('postgres()', options, knownOptions)
  const fields = parseConnectionUrl(options.url)
  return new PostgresServer(fields, {
    name: parseIdentifier(options.name ?? 'main', 'server'),
    maxConnections: positiveInteger('maxConnections', options.maxConnections ?? 50),
    maintenanceDatabase: parseIdentifier(
      options.maintenanceDatabase ?? fields.database ?? 'postgres',
      'maintenance database',
    ),
    limits: {
      connectMs: positiveInteger('connectTimeoutMs', options.connectTimeoutMs ?? 10_000),
      statementMs: orZero('statementTimeoutMs', options.statementTimeoutMs ?? 60_000),
      graceMs,
      lockMs: 30_000,
    },
    pooler: options.pooler === undefined ? undefined : parsePooler(options.pooler),
  })
}

/** A single statement is a transaction as well, and must wait for others where a stricter level would fail. */
const administrative = { isolationLevel: 'read committed' } as const

interface Settings {
  readonly name: Identifier
  readonly maxConnections: number
  readonly maintenanceDatabase: Identifier
  readonly limits: ConnectionLimits
  readonly pooler: Pooler | undefined
}

class PostgresServer implements Server {
  readonly name: Identifier
  readonly description: string
  readonly isLocal: boolean
  readonly maxConnections: number
  readonly maintenanceDatabase: Identifier
  readonly roles = roleAdministration
  readonly #fields: ConnectionFields
  readonly #limits: ConnectionLimits
  readonly #pooler: Pooler | undefined
  readonly #sessions: SessionSource = {
    newClient: (name) => newClient(this.#fields, name, this.#limits),
    context: (name) => this.#context(name),
  }

  constructor(fields: ConnectionFields, settings: Settings) {
    this.name = settings.name
    this.description = `${fields.host}:${fields.port}`
    this.isLocal = isLocal(fields.host)
    this.maxConnections = settings.maxConnections
    this.maintenanceDatabase = settings.maintenanceDatabase
    this.#fields = fields
    this.#limits = settings.limits
    this.#pooler = settings.pooler
  }

  get pooling(): 'session' | 'transaction' | undefined {
    return this.#pooler?.mode
  }

  connect(database: Identifier, { signal, ...who }: SessionOptions = {}): Promise<Session> {
    return openSession(this.#as(who), database, signal)
  }

  sessionPool(database: Identifier, max: number): SessionPool {
    const config = clientConfig(this.#fields, database, this.#limits, administrative)
    return openSessionPool(config, max, this.#sessions, database)
  }

  pool(
    database: Identifier,
    max: number,
    { login, ...options }: Pick<SessionDefaults, 'isolationLevel'> & Pick<SessionOptions, 'login' | 'role'> = {},
  ): ConnectionPool {
    const config = clientConfig({ ...this.#fields, ...login }, database, this.#limits, options)
    return openPool(config, max, this.#context(database, login?.user), (sql) => this.#beside(database, sql, login))
  }

  async control(database: Identifier, sql: string, login?: Login): Promise<void> {
    if (await this.#pooler?.cancel(sql)) return
    await this.#beside(database, sql, login)
  }

  open(database: Identifier, { session = {}, login, mark }: OpenOptions = {}): Promise<ServerConnection> {
    // A tenant's statements take as long as the service wants them to.
    const limits = {
      connectMs: this.#limits.connectMs,
      statementMs: session.statementTimeoutMs ?? noLimit,
      lockMs: session.lockTimeoutMs ?? noLimit,
      idleInTransactionMs: session.idleInTransactionTimeoutMs ?? noLimit,
    }
    const fields = { ...this.#fields, ...login }
    if (this.#pooler !== undefined) return this.#pooler.open(fields, database, limits, session)
    const client = newClient(fields, database, limits, { ...session, mark })
    return openRoutedConnection(client, this.#context(database, fields.user))
  }

  async occupancy(session: Pick<Session, 'query'>, family: string): Promise<Occupancy> {
    // What is on the server is the pooler's, whose room nobody tells.
    if (this.#pooler !== undefined) return { room: Infinity, sessions: new Map() }
    return occupancyOf(session, family)
  }

  listen(database: Identifier, channel: string, listeners: Listeners): Promise<Session> {
    return openListener(this.#sessions, database, channel, listeners)
  }

  sessions(
    session: Session,
    database: Identifier,
    which: WhichSessions,
    how: 'busy' | 'any' = 'any',
  ): Promise<readonly number[]> {
    return sessionsIn(session, database, which, how)
  }

  endSessions(session: Session, processIds: readonly number[]): Promise<void> {
    return endSessions(session, processIds)
  }

  environment(database: Identifier, as?: Pick<SessionOptions, 'login' | 'role'>): Readonly<Record<string, string>> {
    return connectionEnvironment(this.#fields, database, as)
  }

  describe(session: Session, databases: readonly Identifier[]): Promise<readonly DatabaseInfo[]> {
    return describeDatabases(session, databases)
  }

  find(session: Session, search: DatabaseSearch): Promise<readonly DatabaseInfo[]> {
    return findDatabases(session, search)
  }

  commented(session: Session, text: string): Promise<readonly StampedDatabase[]> {
    return commentedDatabases(session, text)
  }

  structureDigest(session: Session, grantee?: Identifier): Promise<string> {
    return structureDigest(session, grantee)
  }

  create(session: Session, database: Identifier, options: CreateDatabaseOptions): Promise<boolean> {
    return createDatabase(session, this.#fields.user, database, checkCreateOptions(options))
  }

  missingToCreate(session: Session): Promise<readonly string[]> {
    return missingToCreate(session, this.#fields.user)
  }

  diagnose(request: DiagnosisRequest): Promise<ServerDiagnosis> {
    const { user, ssl } = this.#fields
    const patient = {
      name: this.name,
      description: this.description,
      maintenanceDatabase: this.maintenanceDatabase,
      user,
      nature: { isEncrypted: ssl !== undefined && ssl !== false, isLocal: this.isLocal },
      connect: this.connect.bind(this),
      listen: this.listen.bind(this),
      connectAs: (login: ProbeLogin, database: Identifier, { signal }: Pick<DiagnosisRequest, 'signal'> = {}) => {
        const fields = { ...this.#fields, ...login }
        const source = {
          newClient: (name: Identifier) => newClient(fields, name, this.#limits),
          context: (name: Identifier) => ({ ...this.#context(name), user: login.user }),
        }
        return openSession(source, database, signal)
      },
    }
    return examine(patient, request)
  }

  renameStatement(from: Identifier, to: Identifier): string {
    return `alter database ${quoteIdentifier(from)} rename to ${quoteIdentifier(to)}`
  }

  alterStatement(database: Identifier, change: DatabaseChange): string {
    return alterDatabaseStatement(database, change)
  }

  extensionStatement(name: Identifier): string {
    return `create extension if not exists ${quoteIdentifier(name)} cascade`
  }

  drop(session: Session, database: Identifier): Promise<void> {
    return dropDatabase(session, database)
  }

  commentStatement(database: Identifier, comment: string): string {
    return `comment on database ${quoteIdentifier(database)} is ${quoteLiteral(comment)}`
  }

  #beside(database: Identifier, sql: string, login: Login | undefined): Promise<void> {
    return runBeside(this.#as({ login }), database, sql)
  }

  /** Sessions as another login, or as a role that the login acts as. */
  #as({ login, role }: Pick<SessionOptions, 'login' | 'role'>): SessionSource {
    if (login === undefined && role === undefined) return this.#sessions
    const fields = { ...this.#fields, ...login }
    return {
      newClient: (database) => newClient(fields, database, this.#limits, { role }),
      context: (database) => this.#context(database, fields.user),
    }
  }

  #context(database: Identifier, user = this.#fields.user): ErrorContext {
    return { server: this.description, user, database }
  }
}

/** A socket's directory, or a loopback address. */
function isLocal(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host)
}

function orZero(option: string, value: number): number {
  return value === 0 ? value : positiveInteger(option, value)
}
