import type { Cancellable } from './kernel/abort.ts'
import { ConcurrencyLimit } from './kernel/concurrency.ts'
import { WorkUnderWay } from './kernel/work-under-way.ts'
import { closedError } from './routing/closed-error.ts'
import { routerError } from './opening.ts'
import { type Call, readCallOptions } from './verb-options.ts'

/** Runs the calls of an open Tenantry that take options of their own; a few of those that change something at once. */
export class Calls {
  readonly #isRouter: boolean
  readonly #turns: ConcurrencyLimit
  readonly #underWay = new WorkUnderWay()
  #isClosed = false

  /** @param atOnce the number of changes at once */
  constructor(mode: 'full' | 'router', atOnce: number) {
    this.#isRouter = mode === 'router'
    this.#turns = new ConcurrencyLimit(atOnce)
  }

  /** Reads the options of a call. @throws `closed`, `invalid-option` */
  read<Options extends object>(call: Call, options = {} as Options): Options {
    this.refuseClosed()
    return readCallOptions(call, options)
  }

  /** @throws `closed` after {@link refuseNew} */
  refuseClosed(): void {
    if (this.#isClosed) throw closedError()
  }

  /** Runs a call that changes something, in its turn; the caller's signal or {@link end} ends it. */
  async change<Options extends Cancellable, T>(
    call: Call,
    options: Options | undefined,
    verb: (checked: Options) => Promise<T>,
    turns = this.#turns,
  ): Promise<T> {
    const read = this.read(call, options)
    if (this.#isRouter) throw routerError()
    return this.run((signal) => turns.run(() => verb({ ...read, signal }), signal), read.signal)
  }

  /** Runs work that needs no turn; the signal or {@link end} ends it. */
  run<T>(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#underWay.run(work, signal)
  }

  /** Runs work of this process's own that changes something, in its turn. */
  inTurn<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.run((signal) => this.#turns.run(() => work(signal), signal))
  }

  /** Refuses new calls with `closed`. */
  refuseNew(): void {
    this.#isClosed = true
  }

  /** Waits for the calls under way, and ends them after a number of milliseconds. */
  end(deadlineMs: number): Promise<void> {
    return this.#underWay.end(deadlineMs, new Error('Tenantry was closed.'))
  }
}
