import { hasCode, hasFailure, messageOf, TenantryError } from '../../kernel/errors.ts'
import { physicalNames } from '../../kernel/names.ts'
import type { Server, Session } from '../../server/port.ts'
import { connectToAdministration } from '../locks/administration.ts'
import type { KeepingFailedEvent, MakingContext } from '../context.ts'
import { lockedBy, onServer } from '../locks/locked-work.ts'
import { declarationLock, dropDiscarded, retireVersions } from './retire.ts'
import { discardUnready, fillSpare, ownPool, spareLock, type SpareSite } from './spare.ts'

/** The interval of looks for spares that other processes, which fill none, have used, in milliseconds. */
const lookMs = 60_000
/** The interval of looks for the remains of versions that no process declares any more, in milliseconds. */
const retireMs = 600_000
/** The time before another attempt while another process is filling, in milliseconds. */
const busyMs = 1_000
/**
 * The time before another attempt after an error: at first, at most, and if the server is at a limit; in milliseconds.
 */
const retryMs = { first: 1_000, most: 60_000, limit: 300_000 }
/** The time without onboarding before a spare is filled, and the longest wait for it, in milliseconds. */
const quietMs = { many: 100, few: 0, most: 10_000 }

/** The state of one server. */
interface PoolState {
  failures: number
  /** The time of the next attempt, by the monotonic clock. */
  dueAt: number
}

/**
 * Keeps spares of this process's version ready on every server. It declares the version by a lock that all such
 * processes share; another lock decides which of them fills a pool of spares. It gives way to onboarding, and backs off
 * after an error.
 */
export class Keeper<Handle> {
  readonly #context: MakingContext<Handle>
  readonly #wanted: number
  readonly #states: ReadonlyMap<Server, PoolState>
  readonly #ending = new AbortController()
  #session: Session | undefined
  #running: Promise<void> | undefined
  #clearing: Promise<void> | undefined
  #isEnding = false
  #isPoked = false
  #isBackingOff = false
  #wake: (() => void) | undefined
  /** The smallest number of spares on a server at the last look. */
  #fewest = 0
  #retireAt = 0
  #clearAt = 0
  #isClearDue = false

  /** @param wanted the number of spares for each server */
  constructor(context: MakingContext<Handle>, wanted: number) {
    this.#context = context
    this.#wanted = wanted
    this.#states = new Map([...context.servers.values()].map((server) => [server, { failures: 0, dueAt: 0 }]))
  }

  /** The number of spares for each server; 0 while it does not keep any. */
  get wanted(): number {
    return this.#running === undefined || this.#isEnding ? 0 : this.#wanted
  }

  /** Starts; does nothing if it runs already. */
  start(): void {
    if (this.#wanted > 0) this.#running ??= this.#run()
  }

  /** Notifies it that a spare may have been used. */
  poke(): void {
    this.#fewest--
    this.#isPoked = true
    // A recent failure is not retried for every tenant that comes.
    if (!this.#isBackingOff) this.#wake?.()
  }

  /** Ends: after the spare that is being made, or at the deadline, in milliseconds. It cannot be started again. */
  async stop(deadlineMs: number): Promise<void> {
    this.#isEnding = true
    this.#wake?.()
    const deadline = setTimeout(() => this.#ending.abort(new Error('Tenantry was closed.')), deadlineMs)
    await this.#running
    await this.#clearing
    clearTimeout(deadline)
  }

  async #run(): Promise<void> {
    while (!this.#isEnding) {
      let waitMs = lookMs
      this.#isBackingOff = false
      try {
        await this.#quiet()
        this.#isPoked = false
        waitMs = await this.#round(await this.#declared())
      } catch (error) {
        waitMs = this.#fail(this.#context.home, error)
        this.#isBackingOff = true
      }
      if (!this.#isEnding && (this.#isBackingOff || !this.#isPoked)) await this.#rest(waitMs)
    }
    await this.#session?.close()
  }

  /** Returns the session that declares the version, connected if there is none. */
  async #declared(): Promise<Session> {
    if (this.#session !== undefined) return this.#session
    const { home, installation, fingerprint } = this.#context
    const session = await home.connect(physicalNames.catalog(installation), { signal: this.#ending.signal })
    try {
      // Refused only while the remains of this version are being dropped, which an earlier process left.
      if (!(await session.tryLock(declarationLock(fingerprint), 'shared'))) throw beingRetired()
    } catch (error) {
      await session.close()
      throw error
    }
    this.#session = session
    return session
  }

  /** Fills every server that has too few. @returns the time until the next look, in milliseconds */
  async #round(session: Session): Promise<number> {
    const ready = await lockedBy(session).inventory.readySpares(this.#context.fingerprint)
    const countOn = ({ name }: Server) => ready.get(name) ?? 0
    this.#fewest = Math.min(...[...this.#states.keys()].map(countOn))
    for (const [server, state] of this.#states) {
      const isDue = performance.now() >= state.dueAt
      if (this.#isEnding || !isDue || countOn(server) >= this.#wanted) continue
      try {
        state.dueAt = (await this.#fill(session, server)) ? 0 : performance.now() + busyMs
        state.failures = 0
      } catch (error) {
        this.#fail(server, error)
      }
    }
    this.#clearLater()
    return this.#untilDue()
  }

  /** Fills one server. @returns false if another process is filling it */
  async #fill(session: Session, server: Server): Promise<boolean> {
    const lock = spareLock(ownPool(this.#context, server))
    if (!(await session.tryLock(lock, 'exclusive'))) return false
    try {
      const there = `${this.#context.installationId}:${lock}`
      const { signal } = this.#ending
      // Sessions of its own: it must not take those kept for onboarding, and then wait for a pause in onboarding.
      const connect = (other: Server) => connectToAdministration(this.#context, other, { signal })
      const options = { signal, connect }
      await onServer(this.#context, lockedBy(session), server, there, options, (admin) =>
        this.#fillUp({ locked: lockedBy(session), server, admin }),
      )
      return true
    } finally {
      await session.unlock(lock, 'exclusive').catch(() => this.#forget())
    }
  }

  async #fillUp(site: SpareSite): Promise<void> {
    const sparePool = ownPool(this.#context, site.server)
    await discardUnready(site, sparePool)
    for (;;) {
      this.#fewest = (await site.locked.inventory.spares(sparePool, ['ready'])).length
      if (this.#isEnding || this.#fewest >= this.#wanted) return
      await this.#quiet()
      await fillSpare(this.#context, site, { signal: this.#ending.signal })
    }
  }

  /**
   * Waits for a pause in onboarding while there are enough spares; when they run out, for a moment without onboarding.
   */
  #quiet(): Promise<void> {
    const { many, few, most } = quietMs
    const hasMany = this.#fewest >= this.#wanted / 2
    return this.#context.onboarding.quiet(hasMany ? many : few, most, this.#ending.signal)
  }

  /** Drops what is not used any more, beside all else: a drop can take long, and spares are to be filled meanwhile. */
  #clearLater(): void {
    if (this.#isEnding || performance.now() < this.#clearAt) return
    this.#isClearDue = true
    this.#clearing ??= this.#clearWhileDue().finally(() => {
      this.#clearing = undefined
    })
  }

  async #clearWhileDue(): Promise<void> {
    while (this.#isClearDue && !this.#isEnding) {
      this.#isClearDue = false
      await this.#clear()
    }
  }

  async #clear(): Promise<void> {
    const { signal } = this.#ending
    try {
      if (performance.now() < this.#retireAt) return await dropDiscarded(this.#context, { signal })
      this.#retireAt = performance.now() + retireMs
      await retireVersions(this.#context, { signal })
    } catch (error) {
      this.#clearAt = performance.now() + retryMs.most
      this.#report('retiring-failed', this.#context.home, asTenantryError(error), retryMs.most)
    }
  }

  /** Reports an error, and backs off. @returns the time to wait, in milliseconds */
  #fail(server: Server, error: unknown): number {
    const state = this.#states.get(server) as PoolState
    const backOff = Math.min(retryMs.most, retryMs.first * 2 ** state.failures++)
    const retryInMs = isLimit(error) ? retryMs.limit : backOff
    state.dueAt = performance.now() + retryInMs
    const cause = asTenantryError(error)
    if (cause.code === 'connection-lost') this.#forget()
    this.#report('filling-failed', server, cause, retryInMs)
    return retryInMs
  }

  #report(event: KeepingFailedEvent['event'], server: Server, error: TenantryError, retryInMs: number): void {
    // An abort by the keeper's own end is no failure.
    if (this.#isEnding) return
    this.#context.emit({ event, server: server.name, fingerprint: this.#context.fingerprint, error, retryInMs })
  }

  /** Forgets a session that is no longer reliable; the next round connects anew. */
  #forget(): void {
    void this.#session?.close()
    this.#session = undefined
  }

  #untilDue(): number {
    const waits = [...this.#states.values()].map(({ dueAt }) => dueAt - performance.now()).filter((ms) => ms > 0)
    return Math.max(1, Math.min(lookMs, ...waits))
  }

  /** Waits for a time or for a poke. */
  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      timer.unref()
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** True if no disk, memory or connection is left, or a privilege is missing: a short wait does not help. */
function isLimit(error: unknown): boolean {
  return hasCode(error, 'permission-denied') || hasFailure(error, 'exhausted')
}

function beingRetired(): TenantryError {
  return new TenantryError('lock-timeout', 'The remains of this version are being dropped.', {
    hint: 'Spares are filled as soon as that is done.',
  })
}

function asTenantryError(error: unknown): TenantryError {
  if (error instanceof TenantryError) return error
  return new TenantryError('query-failed', messageOf(error), { cause: error })
}
