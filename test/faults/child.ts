/** A process of its own that carries out calls, and may be killed or stopped at any moment. */
import { type Answer, answerTo, type Call, open, type Opened, type Opening } from './calls.ts'

/** A message to a child. */
export type Order = { readonly open: Opening } | { readonly call: Call }

/** A message of a child. */
export type Report = { readonly ready: true } | { readonly opened: true } | { readonly answer: Answer }

let tenantry: Opened | undefined

async function obey(order: Order): Promise<Report> {
  if ('call' in order) {
    if (tenantry === undefined) throw new Error('Nothing is open.')
    return { answer: await answerTo(tenantry, order.call) }
  }
  tenantry = await open(order.open)
  return { opened: true }
}

function say(report: Report): void {
  process.send?.(report)
}

process.on('message', (order: Order) => {
  obey(order).then(say, (error: unknown) => say({ answer: { code: 'unexpected', message: String(error) } }))
})
process.on('disconnect', () => {
  if (tenantry === undefined) process.exitCode = 0
  else void tenantry.close({ deadlineMs: 0 })
})
say({ ready: true })
