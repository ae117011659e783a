import { TenantryError } from '../kernel/errors.ts'
import type { Server } from '../server/port.ts'
import type { Lease } from './lease.ts'

/** The state of a budget when no connection became free. */
export interface Scarcity {
  readonly server: Pick<Server, 'name' | 'maxConnections'>
  /** The longest wait for a connection, in milliseconds. */
  readonly waitMs: number
  readonly capacity: number
  /** The number of other processes that have a part of it. */
  readonly others: number
  readonly leases: readonly Lease[]
}

/** Returns the error for a request that waited too long for a connection. */
export function busyError({ row }: Lease, { server, waitMs, capacity, others, leases }: Scarcity): TenantryError {
  const shared =
    others > 0 ? ` (of ${server.maxConnections}, shared with ${countOf(others, 'other process', 'es')})` : ''
  const message = `All ${capacity} connections to the server ${server.name}${shared} were busy for ${waitMs} ms: ${holders(leases)}.`
  const hint =
    'Hold connections for less long (a transaction holds one from its begin to its commit), or raise maxConnections.'
  return new TenantryError('pool-timeout', message, { tenant: row.id, hint })
}

const holdersShown = 3

/** Lists the tenants with the most connections, and the age of their oldest lease. */
function holders(leases: readonly Lease[]): string {
  if (leases.length === 0) return 'none of them is leased in this process'
  const now = performance.now()
  const byTenant = [...Map.groupBy(leases, ({ row }) => row.id)].toSorted(
    ([, one], [, other]) => other.length - one.length,
  )
  const shown = byTenant.slice(0, holdersShown).map(([tenant, own]) => {
    const longest = Math.max(...own.map(({ since }) => now - since))
    return `${tenant} has ${own.length}, for up to ${Math.round(longest)} ms`
  })
  const rest = byTenant.length - shown.length
  return [...shown, ...(rest > 0 ? [`${countOf(rest, 'other', 's')} the rest`] : [])].join('; ')
}

function countOf(count: number, word: string, plural: string): string {
  return `${count} ${word}${count === 1 ? '' : plural}`
}
