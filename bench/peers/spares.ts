import type { Tenantry } from 'tenantry'

/** The part of an open Tenantry that shows its spares. */
type WithSpares = Pick<Tenantry<unknown>, 'status' | 'on'>

const limitMs = 120_000
/** An event wakes the wait as soon as there is something to see; this is for one that was missed. */
const lookAgainMs = 250

/** Waits until all spares are there and none is being made. */
export async function sparesReady(tenantry: WithSpares): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!(await allThere(tenantry))) {
    if (performance.now() > deadline) throw new Error(`The spares were not ready within ${limitMs} ms.`)
    await nextEvent(tenantry)
  }
}

async function allThere(tenantry: WithSpares): Promise<boolean> {
  const { spares } = await tenantry.status()
  const kept = spares.filter(({ wanted }) => wanted !== undefined)
  return kept.length > 0 && kept.every(({ ready, filling, wanted = 0 }) => ready >= wanted && filling === 0)
}

async function nextEvent(tenantry: WithSpares): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, lookAgainMs)
  const stop = tenantry.on(() => resolve())
  await promise
  stop()
  clearTimeout(timer)
}
