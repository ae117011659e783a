import { hostname } from 'node:os'
import { type Cancellable, pause } from '../../kernel/abort.ts'
import { hasCode, TenantryError } from '../../kernel/errors.ts'
import type { RolloutRow } from '../../catalog/rollout-records.ts'
import type { LeasedTarget, TargetReport } from '../../catalog/rollout-targets.ts'
import type { RolloutState, TargetError } from '../../catalog/tables.ts'
import type { MakingContext, VerbOptions } from '../context.ts'
import { ensureTemplate } from '../templates/template.ts'
import { mayPass } from './apply-steps.ts'
import { bringUpToDate } from './bring-up-to-date.ts'
import { readPlan, type RolloutPlan } from './plan.ts'

/** Options of the work of one process on a rollout. */
export interface TakePartOptions extends VerbOptions {
  /** The number of tenants that this process changes at once. Default: that of the rollout, for each server. */
  readonly concurrency?: number
  /** Called at most twice a second, and at the end. */
  readonly onProgress?: (progress: RolloutProgress) => void
}

/** The progress of a rollout, in all processes together. */
export interface RolloutProgress {
  readonly changed: number
  readonly failed: number
  /** The number of tenants of the rollout. */
  readonly total: number
}

/** The number of attempts for one tenant, and the pauses between them, in milliseconds. */
const attempts = 6
const pauseMs = { first: 100, most: 3_000 }
/** The time between two looks for tenants that other processes leave, in milliseconds. */
const pollMs = 500

/** The work of one process on one rollout. */
export class RolloutWork<Handle> {
  /** The errors that this process saw, with their causes, by tenant. */
  readonly errors = new Map<string, TenantryError>()
  readonly #context: MakingContext<Handle>
  readonly #rollout: RolloutRow
  readonly #plan: RolloutPlan
  readonly #options: TakePartOptions
  readonly #running = new Set<Promise<void>>()
  readonly #worker = `${hostname()}:${process.pid}`
  /** An error that ends the work: of the catalog, or a fault. */
  #failure: Error | undefined
  #reportedAt = -Infinity

  constructor(context: MakingContext<Handle>, rollout: RolloutRow, options: TakePartOptions) {
    this.#context = context
    this.#rollout = rollout
    this.#plan = readPlan(JSON.parse(rollout.plan))
    this.#options = options
  }

  /** Changes tenants until none is left, or the rollout is not running. @returns `stopped` by the signal */
  async run(): Promise<Exclude<RolloutState, 'running'> | 'stopped'> {
    try {
      const state = await this.#work()
      if (state !== undefined) return await this.#ended(state)
    } catch (error) {
      if (this.#options.signal?.aborted !== true || !hasCode(error, 'aborted')) this.#fail(error)
    }
    // Also after an error: no tenant is under way once the call has ended.
    await Promise.all(this.#running)
    if (this.#failure !== undefined) throw this.#failure
    return this.#ended('stopped')
  }

  /** @returns the state that ended the work; undefined for the signal, or an error */
  async #work(): Promise<Exclude<RolloutState, 'running'> | undefined> {
    const { signal } = this.#options
    const isEnding = () => signal?.aborted === true || this.#failure !== undefined
    await this.#buildTemplates()
    while (!isEnding()) {
      const free = this.#most - this.#running.size
      const claimed = free > 0 ? await this.#claim(free) : []
      for (const target of claimed) this.#begin(target)
      await this.#reportProgress()
      if (this.#running.size === this.#most) await Promise.race(this.#running)
      else if (this.#running.size > 0)
        await Promise.race([...this.#running, pause(pollMs, signal).catch(() => undefined)])
      else {
        const state = await this.#settle()
        if (state !== 'running') return state
        await pause(pollMs, signal).catch(() => undefined)
      }
    }
    return undefined
  }

  async #ended<State>(state: State): Promise<State> {
    await this.#reportProgress(true)
    return state
  }

  get #most(): number {
    return this.#options.concurrency ?? this.#rollout.concurrency * this.#context.servers.size
  }

  /** Builds what tenants are compared with before one is changed: not while a change holds its locks. */
  async #buildTemplates(): Promise<void> {
    const names = new Set(this.#plan.from.flatMap(({ tenants }) => Object.keys(tenants)))
    for (const server of this.#context.servers.values()) {
      if (names.has(server.name)) await ensureTemplate(this.#context, server, this.#options)
    }
  }

  #claim(free: number): Promise<readonly LeasedTarget[]> {
    const { rolloutTargets, servers } = this.#context
    const claim = () => rolloutTargets.claim(this.#rollout.number, this.#worker, free, [...servers.keys()])
    return withRetries(claim, this.#options)
  }

  #settle(): Promise<RolloutState> {
    const from = this.#plan.from.map(({ fingerprint }) => fingerprint)
    return withRetries(() => this.#context.rolloutRecords.settle(this.#rollout.number, from), this.#options)
  }

  #begin(target: LeasedTarget): void {
    const one = this.#change(target)
      .then((report) => withRetries(() => this.#context.rolloutTargets.report(target, report), {}))
      .catch((error: unknown) => this.#fail(error))
      .then(() => void this.#running.delete(one))
    this.#running.add(one)
  }

  async #change(target: LeasedTarget): Promise<TargetReport> {
    const { rolloutTargets } = this.#context
    const { leaseMs, lockTimeoutMs, largeTableBytes } = this.#rollout
    const version = this.#plan.from.find(({ fingerprint }) => fingerprint === target.fingerprint)
    if (version === undefined) return { state: 'skipped' }
    try {
      const { signal, actor = this.#rollout.actor } = this.#options
      const lease = { ms: leaseMs, renew: () => rolloutTargets.renew(target) }
      const result = await bringUpToDate(this.#context, { id: target.tenant, rowId: target.rowId }, version, {
        signal,
        ...(actor !== undefined && { actor }),
        lockTimeoutMs,
        largeTableBytes,
        lease,
      })
      this.errors.delete(target.tenant)
      return { state: result === 'skipped' ? 'skipped' : 'changed' }
    } catch (error) {
      if (!(error instanceof TenantryError)) {
        this.#fail(error)
        return { state: 'waiting', pauseMs: 0, error: undefined }
      }
      return this.#reportOf(target, error)
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error))
  }

  #reportOf({ tenant, attempts: tried }: LeasedTarget, error: TenantryError): TargetReport {
    if (this.#options.signal?.aborted || hasCode(error, 'aborted')) {
      return { state: 'waiting', pauseMs: 0, error: undefined }
    }
    const { code, message, hint } = error
    const recorded: TargetError = { code, message, ...(hint !== undefined && { hint }) }
    if (tried < attempts && mayPass(error)) return { state: 'waiting', pauseMs: backoffMs(tried), error: recorded }
    this.errors.set(tenant, error)
    return { state: 'failed', error: recorded }
  }

  async #reportProgress(isLast = false): Promise<void> {
    const { onProgress } = this.#options
    if (onProgress === undefined || (!isLast && performance.now() - this.#reportedAt < pollMs)) return
    this.#reportedAt = performance.now()
    const counts = withRetries(() => this.#context.rolloutTargets.counts(this.#rollout.number), {})
    const { changed, failed, waiting, running, skipped } = await counts
    onProgress({ changed, failed, total: changed + failed + waiting + running + skipped })
  }
}

/** Returns the pause before the next attempt, in milliseconds, with jitter. */
function backoffMs(tried: number): number {
  return Math.min(pauseMs.most, pauseMs.first * 2 ** tried) * (0.5 + Math.random())
}

/** Repeats a call to the catalog after errors that may pass. */
async function withRetries<T>(call: () => Promise<T>, { signal }: Cancellable): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await call()
    } catch (error) {
      if (tried === attempts || !mayPass(error)) throw error
      await pause(backoffMs(tried), signal)
    }
  }
}
