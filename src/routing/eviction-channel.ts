import { randomUUID } from 'node:crypto'
import { type Cancellable, pause, poll, untilAborted } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { Identifier, TenantId } from '../kernel/names.ts'
import type { Server, Session } from '../server/port.ts'
import { closedError } from './server-budget.ts'

/** A tenant of which every process is to let go. */
export interface Eviction {
  readonly tenant: TenantId
  /** The name of its server. */
  readonly server: string
  readonly database: Identifier
}

/** What the channel tells its process. */
export interface EvictionListeners {
  readonly onEvict: (eviction: Eviction) => void
  /** A domain was added, verified or removed. */
  readonly onDomain: (domain: string) => void
  /** From now on evictions may be missed. */
  readonly onLost: () => void
}

const channel = 'tenantry'

/** How long what is remembered may be trusted after the listening session was last asked, in milliseconds. */
const trustMs = 5_000
/** How long after a commit its notification may be on its way to who listens, in milliseconds. */
const deliveryMs = 1_000
/** How long the others have to answer, however hurried an eviction is, in milliseconds. */
const answerMs = 1_000

/**
 * How processes of an installation tell each other to let go of a tenant, and know that all have.
 *
 * Each listens in the catalog's database and shows by a shared advisory lock that it does; it answers every eviction.
 * Who evicts waits for an answer from all that hold the lock. One that stays silent (stopped, overloaded, cut off) has to
 * ask the server before it trusts again in what it remembers, and hears then, or hears nothing at all: that is waited for.
 */
export class EvictionChannel {
  readonly #home: Server
  readonly #catalog: Identifier
  readonly #listeners: EvictionListeners
  /** By the eviction's number, the process ids of the sessions that answered. */
  readonly #answers = new Map<string, Set<number>>()
  #starting: Promise<Listening> | undefined
  #renewing: Promise<void> | undefined
  /** Until when the session counts as listening without being asked, by the monotonic clock. */
  #trustedUntil = 0
  #closed = false

  constructor(home: Server, catalog: Identifier, listeners: EvictionListeners) {
    this.#home = home
    this.#catalog = catalog
    this.#listeners = listeners
  }

  /**
   * Makes sure that this process listens: what is read from the catalog from then on is known to hold until an eviction.
   * It asks the server when it has not for some seconds; otherwise it costs nothing.
   */
  async start(): Promise<void> {
    const starting = this.#start()
    const { session } = await starting
    if (performance.now() < this.#trustedUntil) return
    this.#renewing ??= this.#renew(starting, session).finally(() => {
      this.#renewing = undefined
    })
    await this.#renewing
  }

  /**
   * Makes every process let go of a tenant, this one first.
   *
   * @param limitMs how long the others may take, in milliseconds; at least a second
   */
  async evict(eviction: Eviction, limitMs: number, { signal }: Cancellable = {}): Promise<void> {
    // Asked first: what is said on a session that is cut off reaches nobody.
    await untilAborted(this.start(), signal)
    this.#listeners.onEvict(eviction)
    const number = randomUUID()
    const answers = new Set<number>()
    this.#answers.set(number, answers)
    let saidAt = Infinity
    let failure: unknown
    try {
      const haveAnswered = async () => {
        const starting = this.#start()
        try {
          const { session, processId } = await untilAborted(starting, signal)
          answers.add(processId)
          // Said again each time: who began to listen in between has shown itself by its lock, and heard nothing.
          await untilAborted(send(session, { evict: number, ...eviction }), signal)
          saidAt = Math.min(saidAt, performance.now())
          return (await untilAborted(present(session), signal)).every((pid) => answers.has(pid)) || undefined
        } catch (error) {
          // Since it was asked, the session ended. On another one all is said again.
          if (!(error instanceof TenantryError) || error.code !== 'connection-lost') throw error
          failure = error
          this.#lose(starting)
          return undefined
        }
      }
      if (await poll(haveAnswered, Math.max(limitMs, answerMs), signal)) return
      if (saidAt === Infinity) throw failure
      await pause(Math.max(0, saidAt + trustMs + deliveryMs - performance.now()), signal)
    } finally {
      this.#answers.delete(number)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const listening = await this.#starting?.catch(() => undefined)
    await listening?.session.close()
  }

  #start(): Promise<Listening> {
    if (this.#closed) return Promise.reject(closedError())
    if (this.#starting !== undefined) return this.#starting
    const starting = this.#listen(() => this.#lose(starting))
    starting.catch(() => this.#lose(starting))
    this.#starting = starting
    return starting
  }

  /** Asks whether the session still stands; one that does not answer in time counts as lost. */
  async #renew(listening: Promise<Listening>, session: Listening['session']): Promise<void> {
    const askedAt = performance.now()
    const gone = setTimeout(() => void session.close(), trustMs)
    try {
      await session.query('select 1')
      this.#trustedUntil = askedAt + trustMs
    } catch {
      this.#lose(listening)
      await this.#start()
    } finally {
      clearTimeout(gone)
    }
  }

  async #listen(onEnd: () => void): Promise<Listening> {
    const askedAt = performance.now()
    const onMessage = (payload: string) => void this.#receive(payload)
    const session = await this.#home.listen(this.#catalog, channel, { onMessage, onEnd })
    try {
      const { rows } = await session.query<{ pid: number }>(
        `select pg_backend_pid() as pid, pg_advisory_lock_shared(${presenceKey})`,
      )
      this.#trustedUntil = askedAt + trustMs
      return { session: inTurn(session), processId: rows[0]?.pid ?? 0 }
    } catch (error) {
      await session.close()
      throw error
    }
  }

  #lose(listening: Promise<Listening> | undefined): void {
    // Another one may stand by now.
    if (this.#closed || listening === undefined || this.#starting !== listening) return
    this.#starting = undefined
    this.#listeners.onLost()
  }

  async #receive(payload: string): Promise<void> {
    const message = readMessage(payload)
    if (message === undefined) return
    if ('domain' in message) return this.#listeners.onDomain(message.domain)
    if ('answer' in message) {
      this.#answers.get(message.answer)?.add(message.processId)
      return
    }
    // What this process itself said, it has done before.
    if (this.#answers.has(message.evict)) return
    this.#listeners.onEvict(message)
    const listening = await this.#starting?.catch(() => undefined)
    // An answer that cannot be sent goes with its session, and is not waited for then.
    if (listening !== undefined) {
      await send(listening.session, { answer: message.evict, processId: listening.processId }).catch(() => undefined)
    }
  }
}

interface Listening {
  readonly session: Pick<Session, 'query' | 'close'>
  /** The server's process id of the session. */
  readonly processId: number
}

type Message =
  | ({ readonly evict: string } & Eviction)
  | { readonly answer: string; readonly processId: number }
  // Sent by the catalog itself, with what it tells of.
  | { readonly domain: string }

/** Whoever may connect to the catalog can send something there. What is not ours is passed over. */
function readMessage(payload: string): Message | undefined {
  const value = parseJson(payload)
  const isOurs =
    typeof value === 'object' &&
    value !== null &&
    ('answer' in value || ('evict' in value && 'tenant' in value) || 'domain' in value)
  return isOurs ? (value as Message) : undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The key of the lock that every listening session shares. */
const presenceKey = `hashtextextended('tenantry:presence', 0)`

async function present(session: Pick<Session, 'query'>): Promise<number[]> {
  const { rows } = await session.query<{ pid: number }>(
    `select pid from pg_catalog.pg_locks
     where locktype = 'advisory' and objsubid = 1 and granted and mode = 'ShareLock'
       and database = (select oid from pg_catalog.pg_database where datname = current_database())
       and (classid::bigint << 32 | objid::bigint) = ${presenceKey}`,
  )
  return rows.map(({ pid }) => pid)
}

async function send(session: Pick<Session, 'query'>, message: Message): Promise<void> {
  await session.query('select pg_notify($1, $2)', [channel, JSON.stringify(message)])
}

/** The same session for callers that know nothing of each other. */
function inTurn(session: Session): Pick<Session, 'query' | 'close'> {
  let last: Promise<unknown> = Promise.resolve()
  return {
    query: (sql, params) => {
      const next = last.then(() => session.query<never>(sql, params))
      last = next.catch(() => undefined)
      return next
    },
    close: () => session.close(),
  }
}
