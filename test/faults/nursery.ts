import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Answer, Call, Opening } from './calls.ts'
import type { Order, Report } from './child.ts'

/** A process that carries out orders. */
export class Child {
  readonly #process: ChildProcess
  readonly #exited: Promise<unknown>
  #reported: PromiseWithResolvers<Report> = Promise.withResolvers()
  readonly #ready: Promise<Report>

  constructor() {
    this.#process = fork(join(import.meta.dirname, 'child.ts'), {
      execArgv: [],
      env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'tenantry-faults-cache') },
    })
    this.#exited = once(this.#process, 'exit')
    this.#ready = this.#reported.promise
    this.#process.on('message', (report: Report) => this.#reported.resolve(report))
    void this.#exited.then(() => this.#reported.resolve({ answer: { code: 'killed' } }))
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Opens its Tenantry. @returns undefined if it is open */
  async open(opening: Opening): Promise<Answer | undefined> {
    const report = await this.#tell({ open: opening })
    return 'answer' in report ? report.answer : undefined
  }

  /** @returns the result of the call; the code `killed` if the process ended before it answered */
  async call(call: Call): Promise<Answer> {
    const report = await this.#tell({ call })
    return 'answer' in report ? report.answer : { code: 'unexpected', message: 'No answer.' }
  }

  /** Kills it, and waits for its end. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#exited
  }

  stop(): void {
    this.#process.kill('SIGSTOP')
  }

  goOn(): void {
    this.#process.kill('SIGCONT')
  }

  async #tell(order: Order): Promise<Report> {
    await this.#ready
    this.#reported = Promise.withResolvers()
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return { answer: { code: 'killed' } }
    this.#process.send(order)
    return this.#reported.promise
  }
}

/** Keeps processes ready, since starting one takes longer than most of its work. */
export class Nursery {
  readonly #waiting: Child[] = []
  readonly #inUse = new Set<Child>()
  readonly #size: number

  constructor(size = 2) {
    this.#size = size
  }

  take(): Child {
    while (this.#waiting.length <= this.#size) this.#waiting.push(new Child())
    const child = this.#waiting.shift() as Child
    this.#inUse.add(child)
    return child
  }

  /** Ends a process in any state. */
  async end(child: Child): Promise<void> {
    this.#inUse.delete(child)
    await child.kill()
  }

  async close(): Promise<void> {
    await Promise.all([...this.#waiting.splice(0), ...this.#inUse].map((child) => child.kill()))
  }
}
