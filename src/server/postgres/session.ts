import type { Client, QueryResult as PgQueryResult } from 'pg'
import { abortedError, poll, throwIfAborted, untilAborted } from '../../kernel/abort.ts'
import { TenantryError } from '../../kernel/errors.ts'
import { type Identifier, parseIdentifier } from '../../kernel/names.ts'
import type {
  Cancelled,
  ConnectionPool,
  Creation,
  Listeners,
  PooledConnection,
  QueryResult,
  ScriptOptions,
  Session,
  TransactionOptions,
} from '../port.ts'
import { type BlockerPolicy, BlockerWatch, whileConnecting } from './blockers.ts'
import { cutClient, databaseEncoding, endClient, onCompleted, processId, typeParser } from './client.ts'
import { cancelStatement } from './cancel-statement.ts'
import { type ErrorContext, toTenantryError } from './errors.ts'
import { locateStatement } from './failed-statement.ts'
import { withExtension } from './missing-extension.ts'
import { missingGrants } from './missing-grants.ts'
import { quoteIdentifier } from './quoting.ts'
import { beginText, scriptText } from './script-text.ts'
import type { ConnectionQueue } from './connection-queue.ts'
import { withoutConcurrently } from './structure/without-concurrently.ts'

/** The source of sessions: returns a new, unconnected client at each call. */
export interface SessionSource {
  readonly queue: ConnectionQueue
  readonly newClient: (database: Identifier) => Client
  /** The same without a role that it acts as, which may not cancel statements. Default: that of the sessions. */
  readonly newMessenger?: (database: Identifier) => Client
  readonly context: (database: Identifier) => ErrorContext
  /** Ends the blockers of a connection or statement; without it, they wait until their own limits. */
  readonly blockers?: BlockerPolicy | undefined
  /** True if those of statements are not ended. */
  readonly leavesBlockers?: boolean
}

/** Returns a client to its pool; `isClean` is true if another session may use it. */
export type GiveBack = (isClean: boolean) => void

/** Opens a session on a database; the signal cancels the opening and any later statement. */
export async function openSession(
  source: SessionSource,
  database: Identifier,
  signal: AbortSignal | undefined,
): Promise<Session> {
  throwIfAborted(signal)
  return source.queue.connect(async () => {
    const session = new PostgresSession(source.newClient(database), source, database, signal)
    await session.connect()
    return session
  }, signal)
}

/** Opens a session that receives the notifications of a channel. */
export async function openListener(
  source: SessionSource,
  database: Identifier,
  channel: string,
  { onMessage, onEnd }: Listeners,
): Promise<Session> {
  return source.queue.connect(async () => {
    const client = source.newClient(database)
    client.on('notification', ({ payload = '' }) => onMessage(payload))
    const session = new PostgresSession(client, source, database, undefined)
    await session.connect()
    client.once('end', onEnd)
    try {
      await session.query(`listen ${quoteIdentifier(parseIdentifier(channel, 'channel'))}`)
      return session
    } catch (error) {
      await session.close()
      throw error
    }
  }, undefined)
}

/** Cancels what another connection to a database does, on a connection opened for it alone. */
export async function cancelBeside(
  source: SessionSource,
  database: Identifier,
  processID: number,
  what: Cancelled,
): Promise<void> {
  const session = await openSession(
    { ...source, newClient: source.newMessenger ?? source.newClient },
    database,
    undefined,
  )
  try {
    await session.query(`select pg_catalog.pg_${what === 'statement' ? 'cancel' : 'terminate'}_backend($1)`, [
      processID,
    ])
  } finally {
    await session.close()
  }
}

/** Makes a session on a connected client, which is returned to its pool when the session is closed. */
export function leaseSession(
  client: Client,
  source: SessionSource,
  database: Identifier,
  signal: AbortSignal | undefined,
  giveBack: GiveBack,
): Session {
  return new PostgresSession(client, source, database, signal, giveBack)
}

/** The statements that release the locks of a session, and reset its limits. */
const cleaning =
  'select pg_advisory_unlock_all(); reset idle_session_timeout; reset idle_in_transaction_session_timeout'

class PostgresSession implements Session {
  readonly database: Identifier
  readonly user: Identifier
  readonly #client: Client
  readonly #source: SessionSource
  readonly #signal: AbortSignal | undefined
  readonly #giveBack: GiveBack | undefined
  readonly #watch: BlockerWatch | undefined
  readonly #onError = (error: Error) => {
    this.#lost = error
  }
  /** True if an advisory lock was taken that lasts as long as the session. */
  #mustClean = false
  /** The schema of the open transaction. */
  #schema: Identifier | undefined
  #lost: Error | undefined
  #closed = false

  constructor(
    client: Client,
    source: SessionSource,
    database: Identifier,
    signal: AbortSignal | undefined,
    giveBack?: GiveBack,
  ) {
    this.#client = client
    this.#source = source
    this.database = database
    this.user = source.context(database).user
    this.#signal = signal
    this.#giveBack = giveBack
    const blockers = source.leavesBlockers ? undefined : source.blockers
    this.#watch = blockers && new BlockerWatch(blockers, { database, processId: () => processId(client) })
    // Without a listener, a connection that the server ends between two statements would end the process.
    client.on('error', this.#onError)
  }

  get encoding(): string | undefined {
    return databaseEncoding(this.#client)
  }

  async connect(): Promise<void> {
    const connecting = this.#client.connect()
    try {
      await untilAborted(whileConnecting(this.#source.blockers, this.database, connecting), this.#signal)
    } catch (error) {
      // The attempt leaves nothing open, neither if it was given up nor if our side refused half-way.
      connecting.catch(() => undefined)
      cutClient(this.#client)
      throw toTenantryError(error, this.#context(), 'connect')
    }
  }

  async query<Row extends object>(sql: string, params?: readonly unknown[]): Promise<QueryResult<Row>> {
    const result = await this.#send(() => this.#client.query(sql, params === undefined ? undefined : [...params]))
    return result as PgQueryResult<Row>
  }

  async script(statements: readonly string[], options: ScriptOptions = {}): Promise<void> {
    if (statements.length === 0) return
    // Sent as one simple query: PostgreSQL runs all of it in one transaction.
    const plain = await Promise.all(statements.map(withoutConcurrently))
    const text = scriptText(plain, { schema: this.#schema, ...options })
    let completed = 0
    const stopCounting = onCompleted(this.#client, () => completed++)
    try {
      await this.#send(() => this.#client.query(text))
    } catch (error) {
      locateStatement(error, { statements: plain, text, completed })
      throw error
    } finally {
      stopCounting()
    }
  }

  async transaction<T>(work: () => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const schema = options.schema === undefined ? undefined : parseIdentifier(options.schema, 'schema')
    await this.query(beginText(options))
    let value: T
    try {
      this.#schema = schema
      value = await work()
    } catch (error) {
      await this.#rollBack()
      throw error
    } finally {
      this.#schema = undefined
    }
    const { command } = await this.query('commit')
    if (command === 'COMMIT') return value
    throw new TenantryError('query-failed', `A transaction in ${this.database} was rolled back at its commit.`, {
      hint: 'A statement in it failed before; nothing of it took effect.',
    })
  }

  async lock(name: string, scope: 'transaction' | 'session', limitMs: number): Promise<void> {
    if (scope === 'session') this.#mustClean = true
    const locked = await poll(() => this.#tryLock(name, scope), limitMs, this.#signal)
    if (locked) return
    throw new TenantryError('lock-timeout', `The lock "${name}" in ${this.database} was held for over ${limitMs} ms.`, {
      hint: 'Another process is at the same work; pg_locks (locktype advisory) shows which. Try again, or allow more time.',
    })
  }

  async tryLock(name: string, mode: 'exclusive' | 'shared'): Promise<boolean> {
    this.#mustClean = true
    return this.#callLock(`pg_try_advisory_lock${mode === 'shared' ? '_shared' : ''}`, name)
  }

  async unlock(name: string, mode: 'exclusive' | 'shared'): Promise<void> {
    await this.#callLock(`pg_advisory_unlock${mode === 'shared' ? '_shared' : ''}`, name)
  }

  async limitIdle(ms: number): Promise<void> {
    this.#mustClean = true
    const limit = Math.ceil(ms)
    const settings = `set idle_session_timeout = ${limit}; set idle_in_transaction_session_timeout = ${limit}`
    await this.#send(() => this.#client.query(settings))
  }

  missingGrants(creation: Creation): Promise<readonly string[]> {
    return missingGrants(this, creation)
  }

  explain(error: TenantryError): Promise<TenantryError> {
    return withExtension(this, error)
  }

  asPool(): ConnectionPool {
    const query = (text: unknown, values?: unknown): Promise<unknown> =>
      this.#send(() => this.#client.query(text as string, values as unknown[]))
    const connection: PooledConnection = {
      processID: processId(this.#client),
      query,
      getTypeParser: (oid, format) => typeParser(this.#client, oid, format),
      release: () => undefined,
    }
    return {
      options: {},
      query,
      cancel: (processID, what) => cancelBeside(this.#source, this.database, processID, what),
      connect: async () => connection,
      end: async () => undefined,
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#giveBack === undefined) return endClient(this.#client)
    const isClean = await this.#clean()
    this.#client.off('error', this.#onError)
    this.#giveBack(isClean)
  }

  /** Clears a client's state for the next user; false if that is not certain. */
  async #clean(): Promise<boolean> {
    if (this.#lost !== undefined || this.#signal?.aborted || this.#client.getTransactionStatus() !== 'I') return false
    if (!this.#mustClean) return true
    try {
      await this.#client.query(cleaning)
      return true
    } catch {
      return false
    }
  }

  async #tryLock(name: string, scope: 'transaction' | 'session'): Promise<true | undefined> {
    const attempt = scope === 'session' ? 'pg_try_advisory_lock' : 'pg_try_advisory_xact_lock'
    return (await this.#callLock(attempt, name)) || undefined
  }

  async #callLock(call: string, name: string): Promise<boolean> {
    const { rows } = await this.query<{ done: boolean }>(`select ${call}(hashtextextended($1, 0)) as done`, [
      `tenantry:${name}`,
    ])
    return rows[0]?.done === true
  }

  async #send<T>(run: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new TenantryError('closed', `The session on ${this.database} is closed.`)
    throwIfAborted(this.#signal)
    if (this.#lost !== undefined) throw toTenantryError(this.#lost, this.#context(), 'query')
    const running = run()
    const stopListening = onAbort(this.#signal, () => void cancelStatement(this.#client, this.#newMessenger(), running))
    const stopWatching = this.#watch?.start()
    try {
      return await running
    } catch (error) {
      const raised = toTenantryError(error, this.#context(), 'query')
      const failure = this.#watch?.explain(raised) ?? raised
      if (failure.code === 'connection-lost') this.#lose(failure)
      throw this.#signal?.aborted ? abortedError(this.#signal) : failure
    } finally {
      stopListening()
      stopWatching?.()
    }
  }

  #newMessenger(): Client {
    return (this.#source.newMessenger ?? this.#source.newClient)(this.database)
  }

  /** Stops waiting for a server that does not answer any more. */
  #lose(error: TenantryError): void {
    this.#lost ??= error
    cutClient(this.#client)
  }

  async #rollBack(): Promise<void> {
    if (this.#lost !== undefined || this.#closed) return
    // Not through #send: an aborted call must be able to roll back. If it fails, ending the session does the same.
    await this.#client.query('rollback').catch(() => this.close())
  }

  #context(): ErrorContext {
    return this.#source.context(this.database)
  }
}

function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  signal?.addEventListener('abort', listener, { once: true })
  return () => signal?.removeEventListener('abort', listener)
}
