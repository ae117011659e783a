import type { EntityManager } from '@mikro-orm/postgresql'
import type { Tenantry } from 'tenantry'

/** Whether this Tenantry has spares and templates. The one switch: once it has, this and what asks for it goes. */
export const hasSpares: boolean = false

interface SpareStatus {
  readonly ready: number
  readonly filling: number
  /** Undefined for a version of the models that is not kept any more. */
  readonly wanted: number | undefined
}

export function spareOption(spares: number): { readonly spares?: number } {
  return hasSpares ? { spares } : {}
}

const limitMs = 120_000
/** An event wakes the wait as soon as there is something to see; this is for one that was missed. */
const lookAgainMs = 250

/** Waits until all spares are there and none is being made. */
export async function sparesReady(tenantry: Tenantry<EntityManager>): Promise<void> {
  if (!hasSpares) return
  const deadline = performance.now() + limitMs
  while (!(await allThere(tenantry))) {
    if (performance.now() > deadline) throw new Error(`The spares were not ready within ${limitMs} ms.`)
    await nextEvent(tenantry)
  }
}

async function allThere(tenantry: Tenantry<EntityManager>): Promise<boolean> {
  const status = await tenantry.status()
  const { spares = [] } = status as { readonly spares?: readonly SpareStatus[] }
  const kept = spares.filter(({ wanted }) => wanted !== undefined)
  return kept.length > 0 && kept.every(({ ready, filling, wanted = 0 }) => ready >= wanted && filling === 0)
}

async function nextEvent(tenantry: Tenantry<EntityManager>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, lookAgainMs)
  const stop = tenantry.on(() => resolve())
  await promise
  stop()
  clearTimeout(timer)
}
