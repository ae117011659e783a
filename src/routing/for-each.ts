import { type Cancellable, untilAborted } from '../kernel/abort.ts'
import { TenantryError, hasCode } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import { eachOf } from '../kernel/pages.ts'
import { cancellable, durationMs, functionOption, optionsOf, positiveInteger, readOptions } from '../kernel/options.ts'
import { filterSchemas, type ListOptions, readListOptions } from '../catalog/list-options.ts'
import type { TenantFilter } from '../catalog/listing.ts'
import { publicTenant, type Tenant, type TenantRow } from '../catalog/tenant.ts'

/** A filter on the active tenants that a fleet query visits. */
export type FleetFilter = Pick<ListOptions, 'server' | 'version' | 'metadata' | 'search'>

/** The result of a fleet query for one tenant. */
export type TenantResult<T> =
  | { readonly tenant: TenantId; readonly outcome: 'done'; readonly value: T }
  /** `work` threw, or the tenant's database could not be reached. */
  | { readonly tenant: TenantId; readonly outcome: 'failed'; readonly error: unknown }
  /**
   * The tenant was taken out of service after it was listed; `error` is the symptom, before `work` began or inside of
   * it.
   */
  | { readonly tenant: TenantId; readonly outcome: 'skipped'; readonly error: unknown }
  /** The signal came while `work` was running. */
  | { readonly tenant: TenantId; readonly outcome: 'aborted'; readonly error: unknown }

/** The progress of a fleet query: the number of tenants when it began, and the number of each outcome so far. */
export interface FleetProgress {
  readonly total: number
  readonly done: number
  readonly failed: number
  readonly skipped: number
  readonly aborted: number
}

/** The result of a fleet query. It contains the results so far even if the query ended early. */
export type FleetResult<T> = FleetProgress & {
  /** One for each tenant that was begun, in the order in which they ended. */
  readonly results: readonly TenantResult<T>[]
} & (
    | { readonly ended: 'complete' }
    /** The signal came before it was over. */
    | { readonly ended: 'aborted' }
    /** The next tenants could not be listed, or Tenantry was closed. */
    | { readonly ended: 'interrupted'; readonly error: unknown }
  )

/** Options of `forEach`. */
export interface ForEachOptions<T> extends Cancellable {
  /**
   * The number of tenants of each server that are worked on at once, at most; the share of the budget is a limit as
   * well. Default 4.
   */
  readonly concurrency?: number
  /**
   * The time that the work for one tenant may take, in milliseconds; 0 for no limit. Default 300,000, five minutes.
   * After it the tenant's queries are cancelled and its outcome is `failed` with `timeout`, even if `work` itself
   * continues.
   */
  readonly tenantTimeoutMs?: number
  /** Restricts the query to tenants that meet every given condition, as for `list`. */
  readonly filter?: FleetFilter
  /** Called after each tenant, with its result. */
  readonly onProgress?: (progress: FleetProgress, last: TenantResult<T>) => void
}

/** The signals that end the work for one tenant. */
export interface TenantLimits {
  /** Cancels its queries. */
  readonly signal: AbortSignal | undefined
  /** Ends the wait for it. */
  readonly giveUp: AbortSignal | undefined
}

/** The operations that a fleet query needs. */
export interface Fleet<T> {
  /** Returns the number of tenants on each server that has any, by the server's name. */
  readonly count: (filter: TenantFilter) => Promise<ReadonlyMap<string, number>>
  readonly list: (filter: TenantFilter, limit: number, after: string | undefined) => Promise<TenantRow[]>
  /** Runs `part` in its turn on that server. */
  readonly inTurn: <R>(server: string, part: () => Promise<R>, signal: AbortSignal | undefined) => Promise<R>
  readonly work: (row: TenantRow, tenant: Tenant, limits: TenantLimits) => Promise<T>
  readonly isInService: (row: TenantRow) => Promise<boolean>
  /** True if an error results from the end of work by this signal. */
  readonly isAbortion: (error: unknown, signal: AbortSignal | undefined) => boolean
}

const schema = optionsOf<ForEachOptions<unknown>>({
  concurrency: positiveInteger,
  tenantTimeoutMs: durationMs,
  filter: optionsOf<FleetFilter>(filterSchemas),
  onProgress: functionOption<NonNullable<ForEachOptions<unknown>['onProgress']>>(
    'It gets how far it is, and the last result: (progress, last) => { ... }',
  ),
  ...cancellable,
})
const pageSize = 200
/** The time that work has to end after its queries were cancelled, in milliseconds. */
const endingMs = 2_000

/** Works on every active tenant that matches the filter. @throws `invalid-option`, and the errors of the first query */
export async function forEachTenant<T>(fleet: Fleet<T>, options: ForEachOptions<T>): Promise<FleetResult<T>> {
  return new FleetQuery(fleet, checkForEachOptions(options)).run()
}

interface Checked<T> {
  readonly concurrency: number
  readonly tenantTimeoutMs: number
  readonly filter: TenantFilter
  readonly onProgress: ForEachOptions<T>['onProgress'] | undefined
  readonly signal: AbortSignal | undefined
}

function checkForEachOptions<T>(options: ForEachOptions<T>): Checked<T> {
  const {
    concurrency = 4,
    tenantTimeoutMs = 300_000,
    filter = {},
    onProgress,
    signal,
  } = readOptions('forEach', schema, options) as ForEachOptions<T>
  const inService = readListOptions({ ...filter, state: 'active' })
  return { concurrency, tenantTimeoutMs, filter: inService.filter, onProgress, signal }
}

/** One call of `forEach`. Each server has its own workers, so that a slow one keeps no other waiting. */
class FleetQuery<T> {
  readonly #fleet: Fleet<T>
  readonly #options: Checked<T>
  readonly #results: TenantResult<T>[] = []
  readonly #counts = { total: 0, done: 0, failed: 0, skipped: 0, aborted: 0 }
  /** The reason not to begin further tenants. */
  #interruption: { readonly error: unknown; readonly isCallers: boolean } | undefined

  constructor(fleet: Fleet<T>, options: Checked<T>) {
    this.#fleet = fleet
    this.#options = options
  }

  async run(): Promise<FleetResult<T>> {
    const { filter, concurrency, signal } = this.#options
    const servers = await this.#unlessAborted(() => untilAborted(this.#fleet.count(filter), signal))
    const workers: Promise<void>[] = []
    for (const [server, tenants] of servers ?? []) {
      this.#counts.total += tenants
      const rows = this.#tenantsOn(server)
      for (let i = 0; i < Math.min(concurrency, tenants); i++) workers.push(this.#work(server, rows))
    }
    await Promise.all(workers)
    const interruption = this.#interruption
    // An error of the caller's own function is thrown to the caller.
    if (interruption?.isCallers) throw interruption.error
    const result = { ...this.#counts, results: this.#results }
    if (interruption !== undefined) return { ...result, ended: 'interrupted', error: interruption.error }
    return { ...result, ended: signal?.aborted ? 'aborted' : 'complete' }
  }

  /** Lists tenants page by page, so that memory does not grow with the fleet. */
  #tenantsOn(server: string): AsyncGenerator<TenantRow, void> {
    const filter = { ...this.#options.filter, server }
    return eachOf(pageSize, (after) =>
      untilAborted(this.#fleet.list(filter, pageSize, after?.id), this.#options.signal),
    )
  }

  /** Takes one tenant after the other, each in its turn. It never fails. */
  async #work(server: string, rows: AsyncGenerator<TenantRow, void>): Promise<void> {
    const { signal } = this.#options
    const next = () => this.#unlessAborted(() => this.#fleet.inTurn(server, () => this.#next(rows), signal))
    try {
      while (await next());
    } catch (error) {
      this.#interruption ??= { error, isCallers: false }
    }
  }

  /** @returns false when there is no other tenant to work on */
  async #next(rows: AsyncGenerator<TenantRow, void>): Promise<boolean> {
    if (this.#interruption !== undefined) return false
    const { value: row } = await rows.next()
    if (row === undefined) return false
    if (this.#options.signal?.aborted) return false
    this.#note(await this.#visit(row))
    return true
  }

  async #visit(row: TenantRow): Promise<TenantResult<T>> {
    const tenant = row.id
    const limit = this.#limit(tenant)
    try {
      return { tenant, outcome: 'done', value: await this.#fleet.work(row, publicTenant(row), limit) }
    } catch (error) {
      if (hasCode(error, 'closed')) throw error
      const outcome = await this.#outcomeOf(error, row)
      return { tenant, outcome, error: outcome === 'failed' ? limit.reasonOf(error, this.#fleet) : error }
    } finally {
      limit.end()
    }
  }

  #limit(tenant: TenantId): TenantLimit {
    const { tenantTimeoutMs, signal } = this.#options
    return new TenantLimit(tenant, tenantTimeoutMs, signal)
  }

  async #outcomeOf(error: unknown, row: TenantRow): Promise<'failed' | 'skipped' | 'aborted'> {
    const { signal } = this.#options
    if (signal?.aborted && (hasCode(error, 'aborted') || this.#fleet.isAbortion(error, signal))) return 'aborted'
    return (await this.#fleet.isInService(row)) ? 'failed' : 'skipped'
  }

  #note(result: TenantResult<T>): void {
    this.#results.push(result)
    this.#counts[result.outcome]++
    try {
      this.#options.onProgress?.({ ...this.#counts }, result)
    } catch (error) {
      this.#interruption ??= { error, isCallers: true }
    }
  }

  /** Returns the result of `step`; undefined if the signal comes first. */
  async #unlessAborted<R>(step: () => Promise<R>): Promise<R | undefined> {
    const { signal } = this.#options
    try {
      return await step()
    } catch (error) {
      if (!signal?.aborted || !hasCode(error, 'aborted')) throw error
      return undefined
    }
  }
}

/** The limits of the work for one tenant, in its turn. */
class TenantLimit implements TenantLimits {
  readonly signal: AbortSignal | undefined
  readonly giveUp: AbortSignal | undefined
  readonly #late = new AbortController()
  #timer: NodeJS.Timeout | undefined

  /** @param signal the caller's */
  constructor(tenant: TenantId, limitMs: number, signal: AbortSignal | undefined) {
    this.signal = signal
    if (limitMs === 0) return
    const givingUp = new AbortController()
    this.signal = AbortSignal.any([this.#late.signal, ...(signal === undefined ? [] : [signal])])
    this.giveUp = givingUp.signal
    this.#timer = setTimeout(() => {
      this.#late.abort(lateError(tenant, limitMs))
      this.#timer = setTimeout(() => givingUp.abort(), endingMs)
    }, limitMs)
  }

  /** Returns the error of work that the limit ended, in place of its symptom. */
  reasonOf(error: unknown, { isAbortion }: Pick<Fleet<unknown>, 'isAbortion'>): unknown {
    const { signal } = this.#late
    return signal.aborted && (hasCode(error, 'aborted') || isAbortion(error, signal)) ? signal.reason : error
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}

function lateError(tenant: TenantId, limitMs: number): TenantryError {
  return new TenantryError('timeout', `The work for the tenant ${tenant} took longer than ${limitMs} ms.`, {
    tenant,
    hint: 'Allow more time (tenantTimeoutMs), or do less for each tenant. The others had their turn.',
  })
}
