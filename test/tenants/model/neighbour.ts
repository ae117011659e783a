import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Request } from './calls.ts'
import type { Answer, Opening, Participant } from './participant.ts'
import type { Order, Reply } from './worker.ts'

type Orders = Order extends infer One ? (One extends Order ? Omit<One, 'number'> : never) : never

/** A participant in a process of its own. */
export class Neighbour implements Pick<Participant, 'open' | 'perform' | 'close'> {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #last = 0

  constructor() {
    this.#child = fork(`${import.meta.dirname}/worker.ts`, { execArgv: [] })
    this.#child.on('message', (reply: Reply) => this.#settle(reply))
    this.#child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('The other process ended.'))
    })
  }

  async open(opening: Opening): Promise<void> {
    await this.#send({ open: opening })
  }

  async perform(request: Request): Promise<Answer> {
    return (await this.#send({ perform: request })) as Answer
  }

  async close(): Promise<void> {
    await this.#send({ close: true })
  }

  /** Ends the process: it ends by itself when no more messages can reach it. */
  async end(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.disconnect()
    await exited
  }

  #send(order: Orders): Promise<unknown> {
    const number = ++this.#last
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(number, waiting)
    // A search that was broken off may still send requests when the process has ended.
    this.#child.send({ ...order, number }, (error) => {
      if (error !== null) waiting.reject(error)
    })
    return waiting.promise
  }

  #settle({ number, value, error }: Reply): void {
    const waiting = this.#waiting.get(number)
    this.#waiting.delete(number)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(new Error(error))
  }
}
