/** A process of its own that takes random leases, and checks in each that the session is the tenant's own. */
import type { Tenantry } from 'tenantry'
import { drive } from '../../../bench/measure/load.ts'
import { Popularity } from '../../../bench/measure/popularity.ts'
import { Random } from '../../faults/random.ts'
import { type Handle, open, type Opening } from './tenants.ts'
import type { Identity } from './traces.ts'
import { isPlanned, Lessee } from './work.ts'

/** The order of a process. */
export interface Order {
  readonly opening: Opening
  readonly tenants: readonly Identity[]
  readonly leases: number
  readonly workers: number
  readonly seed: string
}

/** The report of a process. */
export interface Report {
  /** The number of looks at sessions. */
  readonly looks: number
  /** The number of those at a session that the tenant had used before. */
  readonly used: number
  readonly cancelled: number
  readonly failed: number
  readonly violations: readonly string[]
}

const shownViolations = 20

process.once('message', (order: Order) => {
  // A failure is not caught: the process dies of it, and prints it.
  void carryOut(order).then((report) => process.send?.(report, () => process.disconnect()))
})

async function carryOut({ opening, tenants, leases, workers, seed }: Order): Promise<Report> {
  const tenantry = await open(opening)
  try {
    const random = new Random(seed)
    const lessee = new Lessee()
    const wanted = new Popularity(tenants.length, 1).draw(leases, seed)
    const { errors } = await drive(wanted, workers, (place) =>
      takeOne(tenantry, lessee, random, tenants[place] as Identity),
    )
    const { looks, used, cancelled, failed, violations } = lessee
    const all = [...violations, ...errors.map((error) => `unexpected: ${String(error)}`)]
    return { looks, used, cancelled, failed, violations: all.slice(0, shownViolations) }
  } finally {
    await tenantry.close()
  }
}

/** Takes one lease, with one of its possible ends: it is done, it is cancelled, or it fails as planned. */
async function takeOne(tenantry: Tenantry<Handle>, lessee: Lessee, random: Random, tenant: Identity): Promise<void> {
  const cancelling = random.below(5) === 0 ? AbortSignal.timeout(random.below(40)) : undefined
  const work = lessee.choose(random, cancelling !== undefined)
  try {
    await tenantry.with(tenant.id, (handle) => work(handle, tenant), cancelling && { signal: cancelling })
    await lessee.afterwards(random, tenant)
  } catch (error) {
    if (cancelling?.aborted === true) lessee.cancelled++
    else if (isPlanned(error)) lessee.failed++
    else throw error
  }
}
