import type { Identifier } from '../../kernel/names.ts'
import type { DiagnosisRequest, ServerDiagnosis } from '../diagnosis.ts'
import type { Occupancy, OccupancyQuestion } from '../occupancy.ts'
import type {
  Cancelled,
  Change,
  ConnectionPool,
  Coordination,
  Databases,
  Listeners,
  Login,
  OpenOptions,
  PoolOptions,
  Roles,
  Server,
  ServerConnection,
  Session,
  SessionOptions,
  SessionPool,
  Sessions,
  SessionState,
  TenantSessions,
} from '../port.ts'
import { withSession } from '../with-session.ts'
import { lockHolders } from './lock-holders.ts'
import { applyChanges } from './changes.ts'
import { endLogins } from './logins.ts'
import { rollBackPrepared, whileConnecting } from './blockers.ts'
import { freeNotificationQueue } from './notification-queue.ts'
import { clientConfig, type ConnectionLimits, newClient } from './client.ts'
import type { ConnectionFields } from './connection-fields.ts'
import { ConnectionQueue, isServerFull } from './connection-queue.ts'
import { createDatabase, missingToCreate } from './create-database.ts'
import {
  checkCreateOptions,
  commentedDatabases,
  describeDatabases,
  findDatabases,
  schemasOpenToPublic,
} from './databases.ts'
import { examine } from './diagnosis/examine.ts'
import type { ProbeLogin } from './diagnosis/probe-context.ts'
import { dropDatabase } from './drop-database.ts'
import { dropRole, ownsAnything, reassignOwned } from './drop-role.ts'
import { connectionEnvironment } from './environment.ts'
import { type ErrorContext, isCancellation } from './errors.ts'
import { openPool } from './pool.ts'
import type { Pooler } from './pooler.ts'
import { createMissingGroups, findRoles } from './roles.ts'
import { openRoutedConnection } from './routed-connection.ts'
import { stateOf, unlessSilent } from './examine-session.ts'
import { joinProcesses } from './membership.ts'
import { occupancyOf } from './occupancy.ts'
import { cancelBeside, openListener, openSession, type SessionSource } from './session.ts'
import { openSessionPool } from './session-pool.ts'
import { clock, endSessions, endSessionsBefore, sessionsIn } from './sessions.ts'
import { structureAccess } from './structure/structure-access.ts'
import { endTemporaryDependents, temporaryDependents } from './temporary-objects.ts'

const noLimit = 0
/** The time to connect to a database before another one is tried, in milliseconds. */
const besideMs = 2_000
/** The time limit of a connection that waits until tenants' sessions before it were ended, in milliseconds. */
const entranceMs = 4_000

/**
 * The isolation of administration. A single statement is a transaction as well, and must wait for others; at a stricter
 * level it would fail.
 */
const administrative = { isolationLevel: 'read committed' } as const

/** Settings of a server, besides its connection fields. */
export interface ServerSettings {
  readonly name: Identifier
  readonly maxConnections: number
  readonly maintenanceDatabase: Identifier
  readonly limits: ConnectionLimits
  readonly busyMs: number
  readonly pooler: Pooler | undefined
  readonly tenants?: TenantSessions
}

/** PostgreSQL behind the port. */
export class PostgresServer implements Server {
  readonly name: Identifier
  readonly description: string
  readonly isLocal: boolean
  readonly maxConnections: number
  readonly maintenanceDatabase: Identifier
  readonly databases: Databases
  readonly roles: Roles
  readonly sessions: Sessions
  readonly coordination: Coordination
  readonly structures = structureAccess
  readonly isCancellation = isCancellation
  readonly capabilities = { transactionalChanges: true, copies: true, renames: true, logins: true }
  readonly #fields: ConnectionFields
  readonly #settings: ServerSettings
  readonly #limits: ConnectionLimits
  readonly #pooler: Pooler | undefined
  readonly #busyMs: number
  readonly #queue: ConnectionQueue
  readonly #workQueue: ConnectionQueue
  /** For sessions of tenants' roles: one at its own limit must keep no other waiting. */
  readonly #loginQueue: ConnectionQueue
  readonly #sessions: SessionSource

  constructor(fields: ConnectionFields, settings: ServerSettings) {
    this.name = settings.name
    this.description = `${fields.host}:${fields.port}`
    this.isLocal = isLocal(fields.host)
    this.maxConnections = settings.maxConnections
    this.maintenanceDatabase = settings.maintenanceDatabase
    this.#fields = fields
    this.#settings = settings
    this.#limits = settings.limits
    this.#busyMs = settings.busyMs
    this.#queue = new ConnectionQueue(settings.busyMs)
    this.#workQueue = new ConnectionQueue(settings.limits.connectMs, isServerFull)
    this.#loginQueue = new ConnectionQueue(settings.busyMs, isServerFull)
    this.#pooler = settings.pooler
    this.#sessions = this.#source(fields)
    this.databases = this.#administerDatabases()
    this.roles = this.#administerRoles()
    this.sessions = this.#administerSessions()
    this.coordination = this.#coordinate()
  }

  overTenants(tenants: TenantSessions): Server {
    return new PostgresServer(this.#fields, { ...this.#settings, tenants })
  }

  get pooling(): 'session' | 'transaction' | undefined {
    return this.#pooler?.mode
  }

  connect(database: Identifier, { signal, blockers, ...who }: SessionOptions = {}): Promise<Session> {
    return openSession({ ...this.#as(who), leavesBlockers: blockers === 'leave' }, database, signal)
  }

  sessionPool(database: Identifier, max: number): SessionPool {
    const config = clientConfig(this.#fields, database, this.#limits, administrative)
    return openSessionPool(config, { max, busyMs: this.#busyMs, yields: true }, this.#sessions, database)
  }

  pool(database: Identifier, max: number, { login, ...options }: PoolOptions = {}): ConnectionPool {
    const config = clientConfig({ ...this.#fields, ...login }, database, this.#limits, options)
    const size = { max, busyMs: this.#busyMs, yields: options.purpose !== 'service' }
    const cancel: ConnectionPool['cancel'] = (processID, what) =>
      cancelBeside(this.#as({ login }), database, processID, what)
    return openPool(config, size, this.#context(database, login?.user), cancel, this.#sessions.blockers)
  }

  async cancel(database: Identifier, processID: number, what: Cancelled, login?: Login): Promise<void> {
    if (this.#pooler !== undefined) await this.#pooler.cancel(processID, what)
    else await cancelBeside(this.#as({ login }), database, processID, what)
  }

  open(database: Identifier, { session = {}, login, mark }: OpenOptions = {}): Promise<ServerConnection> {
    // A tenant's statements have no time limit here; the service sets one.
    const limits = {
      connectMs: this.#limits.connectMs,
      statementMs: session.statementTimeoutMs ?? noLimit,
      lockMs: session.lockTimeoutMs ?? noLimit,
      idleInTransactionMs: session.idleInTransactionTimeoutMs ?? noLimit,
    }
    const fields = { ...this.#fields, ...login }
    if (this.#pooler !== undefined) return this.#pooler.open(fields, database, limits, session)
    const openOne = () => {
      const client = newClient(fields, database, limits, { ...session, mark, purpose: 'service' })
      const opening = openRoutedConnection(client, this.#context(database, fields.user))
      return whileConnecting(this.#sessions.blockers, database, opening)
    }
    return this.#workQueue.connect(openOne, undefined)
  }

  examine(database: Identifier, processId: number | undefined, login?: Login): Promise<SessionState> {
    if (this.#pooler === undefined) return stateOf(this.connect(database, { login }), processId)
    return unlessSilent(this.open(database, { login }), async () => 'busy')
  }

  async occupancy(session: Pick<Session, 'query'>, question: OccupancyQuestion): Promise<Occupancy> {
    // The connections on the server are the pooler's, whose room is unknown.
    if (this.#pooler !== undefined) return { room: Infinity, sessions: [] }
    return occupancyOf(session, question)
  }

  environment(database: Identifier, as?: Pick<SessionOptions, 'login' | 'role'>): Readonly<Record<string, string>> {
    return connectionEnvironment(this.#fields, database, as)
  }

  diagnose(request: DiagnosisRequest): Promise<ServerDiagnosis> {
    const { user, ssl } = this.#fields
    const target = {
      name: this.name,
      description: this.description,
      maintenanceDatabase: this.maintenanceDatabase,
      user,
      nature: { isEncrypted: ssl !== undefined && ssl !== false, isLocal: this.isLocal },
      connect: this.connect.bind(this),
      listen: (database: Identifier, channel: string, listeners: Listeners) =>
        openListener(this.#sessions, database, channel, listeners),
      connectAs: (login: ProbeLogin, database: Identifier, { signal }: Pick<DiagnosisRequest, 'signal'> = {}) =>
        this.connect(database, { login, signal }),
    }
    return examine(target, request)
  }

  apply(session: Session, changes: readonly Change[]): Promise<void> {
    return applyChanges(session, changes)
  }

  #coordinate(): Coordination {
    const { blockers } = this.#sessions
    return {
      join: (database, listeners) => joinProcesses(this.#sessions, database, listeners),
      makeRoom: async (session) => {
        if (blockers !== undefined) await freeNotificationQueue(session, blockers)
      },
    }
  }

  #administerDatabases(): Databases {
    const { user } = this.#fields
    return {
      create: (session, database, options) => createDatabase(session, user, database, checkCreateOptions(options)),
      drop: dropDatabase,
      describe: describeDatabases,
      find: findDatabases,
      commented: commentedDatabases,
      missingToCreate: (session) => missingToCreate(session, user),
      schemasOpenToPublic,
    }
  }

  #administerRoles(): Roles {
    const connect = (database: Identifier) => this.connect(database)
    return {
      ensureGroups: createMissingGroups,
      find: findRoles,
      drop: (session, user, options) => dropRole(session, user, options, { connect, tenants: this.#settings.tenants }),
      ownsAnything: (session, database, user) => ownsAnything(session, user, database),
      reassignOwned: (database, from, to) =>
        withSession(connect(database), (session) => reassignOwned(session, from, to)),
    }
  }

  #administerSessions(): Sessions {
    const { blockers } = this.#sessions
    const tenantRoles = this.#settings.tenants?.rolePrefix
    return {
      list: (session, database, which, how = 'any') => sessionsIn(session, database, { which, how, tenantRoles }),
      lockHolders,
      temporaryDependents,
      endTemporaryDependents: async (session, beside, tables, options) =>
        blockers !== undefined && endTemporaryDependents(session, beside, tables, { ...options, policy: blockers }),
      end: endSessions,
      clock,
      endBefore: endSessionsBefore,
      endLogins: async (session, whose) => tenantRoles === undefined || endLogins(session, whose, tenantRoles),
      rollBackPrepared: async (session, database, user) => {
        if (blockers !== undefined) await rollBackPrepared(session, database, user, blockers)
      },
    }
  }

  /** Returns sessions of another login, or of a role that the login acts as. */
  #as({ login, role, lockTimeoutMs }: Pick<SessionOptions, 'login' | 'role' | 'lockTimeoutMs'>): SessionSource {
    if (login === undefined && role === undefined && lockTimeoutMs === undefined) return this.#sessions
    const queue = login === undefined ? this.#queue : this.#loginQueue
    return { ...this.#source({ ...this.#fields, ...login }, role, lockTimeoutMs), queue }
  }

  #source(fields: ConnectionFields, role?: Identifier, lockMs = this.#limits.lockMs): SessionSource {
    const { tenants } = this.#settings
    return {
      queue: this.#queue,
      newClient: (database) => newClient(fields, database, { ...this.#limits, lockMs }, { role }),
      newMessenger: (database) => newClient(fields, database, this.#limits),
      context: (database) => this.#context(database, fields.user),
      blockers: tenants && {
        tenantRoles: tenants.rolePrefix,
        tenantGroup: tenants.group,
        onEnded: tenants.onEnded,
        connect: (database) => this.#connectBeside([tenants.closedDatabase, database, ...this.#commonDatabases()]),
        connectThere: (database) => this.#connectBeside([database], entranceMs),
        connectElsewhere: (database) => {
          const others = [tenants.closedDatabase, ...this.#commonDatabases()].filter((name) => name !== database)
          return this.#connectBeside([...others, database])
        },
      },
    }
  }

  /**
   * Opens a session of the role that administers, to watch over another one. A tenant can block all connections to one
   * database, and to each with another session: so others are tried.
   */
  async #connectBeside(databases: readonly Identifier[], connectMs = besideMs): Promise<Session> {
    const limits = { ...this.#limits, connectMs }
    const source = {
      // It is useful only now.
      queue: new ConnectionQueue(0),
      newClient: (name: Identifier) => newClient(this.#fields, name, limits),
      context: (name: Identifier) => this.#context(name),
    }
    let first: unknown
    for (const name of new Set(databases)) {
      try {
        return await openSession(source, name, undefined)
      } catch (error) {
        first ??= error
      }
    }
    throw first
  }

  /** Returns databases that a server usually has. */
  #commonDatabases(): readonly Identifier[] {
    return [this.maintenanceDatabase, 'postgres' as Identifier, 'template1' as Identifier]
  }

  #context(database: Identifier, user = this.#fields.user): ErrorContext {
    return { server: this.description, user, database }
  }
}

/** True for a socket's directory, or a loopback address. */
function isLocal(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host)
}
