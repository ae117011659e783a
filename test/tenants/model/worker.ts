/** The process beside the test's own: it carries out its orders, and answers under the same number. */
import type { Request } from './calls.ts'
import { type Opening, Participant } from './participant.ts'

/** An order. */
export type Order = { readonly number: number } & (
  | { readonly open: Opening }
  | { readonly perform: Request }
  | { readonly close: true }
)

/** An answer: the result of one order, or the error. */
export interface Reply {
  readonly number: number
  readonly value?: unknown
  readonly error?: string
}

const participant = new Participant()

process.on('message', (order: Order) => void answer(order))

async function answer(order: Order): Promise<void> {
  try {
    reply({ number: order.number, value: await carryOut(order) })
  } catch (error) {
    reply({ number: order.number, error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  }
}

function carryOut(order: Order): Promise<unknown> {
  if ('open' in order) return participant.open(order.open)
  return 'perform' in order ? participant.perform(order.perform) : participant.close()
}

function reply(message: Reply): void {
  process.send?.(message)
}
