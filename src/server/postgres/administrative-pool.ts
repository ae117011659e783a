import { Pool, type PoolClient, type PoolConfig } from 'pg'
import { untilAborted } from '../../kernel/abort.ts'
import { TenantryError } from '../../kernel/errors.ts'
import { type BlockerPolicy, whileConnecting } from './blockers.ts'
import { type ErrorContext, toTenantryError } from './errors.ts'
import { roomSql } from './occupancy.ts'
import { BoundedClient } from './client.ts'
import { ConnectionQueue } from './connection-queue.ts'

/** The size of a pool, and its behaviour while connections are scarce. */
export interface PoolSize {
  readonly max: number
  /** The longest wait for a connection while the server has none left, in milliseconds. */
  readonly busyMs: number
  /** Gives up all connections but the first while administration has too many: see {@link isCrowded}. */
  readonly yields: boolean
}

/** The time for which an idle connection is kept, in milliseconds: other processes may be waiting for one. */
const idleTimeoutMillis = 3_000

/** The message of pg-pool when all its connections were busy for too long. */
const exhausted = /timeout exceeded when trying to connect/

/**
 * The driver's pool, shared fairly between many processes: each may have its first connection as soon as the server has
 * one, and more of them while administration has less than half of all.
 */
export class AdministrativePool {
  readonly #pool: Pool
  readonly #queue: ConnectionQueue
  readonly #size: PoolSize
  readonly #context: ErrorContext
  readonly #blockers: BlockerPolicy | undefined
  readonly #admitted = new WeakSet<PoolClient>()

  constructor(config: PoolConfig, size: PoolSize, context: ErrorContext, blockers: BlockerPolicy | undefined) {
    this.#pool = new Pool({ ...config, Client: BoundedClient, max: size.max, idleTimeoutMillis, allowExitOnIdle: true })
    this.#queue = new ConnectionQueue(size.busyMs)
    this.#size = size
    this.#context = context
    this.#blockers = blockers
    // An idle connection that the server ends is replaced when the next one is needed.
    this.#pool.on('error', () => undefined)
    // A statement on a leased connection fails by itself; without a listener, the process would end as well.
    this.#pool.on('connect', (client) => client.on('error', () => undefined))
  }

  /** @throws `pool-timeout`, `too-many-connections`, and other errors of a connection */
  connect(signal?: AbortSignal): Promise<PoolClient> {
    const attempt = async (isLast: boolean) => {
      try {
        return await this.#lease(isLast, signal)
      } catch (error) {
        throw this.#toTenantryError(error)
      }
    }
    return this.#queue.connect(attempt, signal)
  }

  end(): Promise<void> {
    return this.#pool.end()
  }

  async #lease(isLast: boolean, signal: AbortSignal | undefined): Promise<PoolClient> {
    const connecting = whileConnecting(this.#blockers, this.#context.database, this.#pool.connect())
    let client: PoolClient
    try {
      client = await untilAborted(connecting, signal)
    } catch (error) {
      // A connection that arrives after its caller has given up is kept for the next.
      connecting.then((late) => late.release()).catch(() => undefined)
      throw error
    }
    try {
      if (!isLast && (await this.#mustYield(client))) throw crowdedError()
      this.#admitted.add(client)
      return client
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  async #mustYield(client: PoolClient): Promise<boolean> {
    return this.#size.yields && this.#pool.totalCount > 1 && !this.#admitted.has(client) && (await isCrowded(client))
  }

  #toTenantryError(error: unknown): TenantryError {
    const { max } = this.#size
    const isExhausted = error instanceof Error && exhausted.test(error.message) && this.#pool.totalCount >= max
    if (!isExhausted) return toTenantryError(error, this.#context, 'connect')
    return new TenantryError('pool-timeout', `All ${max} connections to ${this.#context.database} are busy.`, {
      cause: error,
      hint: 'Start less at once.',
    })
  }
}

/**
 * True if sessions like this one have half of the server's connections. Verbs that hold some of them need others to
 * finish: if all processes took as many as they may at once, each could wait for the others.
 */
async function isCrowded(client: PoolClient): Promise<boolean> {
  const { rows } = await client.query<{ crowded: boolean }>(
    `select count(*) * 2 > ${roomSql} as crowded from pg_catalog.pg_stat_activity
     where datname = current_database() and usename = current_user
       and application_name = current_setting('application_name')`,
  )
  return rows[0]?.crowded === true
}

function crowdedError(): TenantryError {
  return new TenantryError('too-many-connections', 'Administration has half of the connections of the server.')
}
