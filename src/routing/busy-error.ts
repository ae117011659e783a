import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import type { Server } from '../server/port.ts'
import type { Lent } from './target.ts'

/** What there was to be had of a budget when none of it became free. */
interface Scarcity {
  readonly capacity: number
  /** How many other processes have a part of it. */
  readonly others: number
  readonly lent: readonly Lent[]
}

/** The error of who waited too long for a connection. */
export function busyError(
  tenant: TenantId,
  { server, waitMs }: { readonly server: Server; readonly waitMs: number },
  { capacity, others, lent }: Scarcity,
): TenantryError {
  const shared =
    others > 0 ? ` (of ${server.maxConnections}, shared with ${counted(others, 'other process', 'es')})` : ''
  const message = `All ${capacity} connections to the server ${server.name}${shared} were busy for ${waitMs} ms: ${holders(lent)}.`
  const hint =
    'Hold connections for less long (a transaction holds one from its begin to its commit), or raise maxConnections.'
  return new TenantryError('pool-timeout', message, { tenant, hint })
}

const holdersShown = 3

/** Who holds most, and how long already. */
function holders(lent: readonly Lent[]): string {
  if (lent.length === 0) return 'none of them is lent in this process'
  const now = performance.now()
  const byTenant = [...Map.groupBy(lent, ({ asking }) => asking.target.tenant)].toSorted(
    ([, one], [, other]) => other.length - one.length,
  )
  const shown = byTenant.slice(0, holdersShown).map(([tenant, own]) => {
    const longest = Math.max(...own.map(({ since }) => now - since))
    return `${tenant} has ${own.length}, for up to ${Math.round(longest)} ms`
  })
  const rest = byTenant.length - shown.length
  return [...shown, ...(rest > 0 ? [`${counted(rest, 'other', 's')} the rest`] : [])].join('; ')
}

function counted(count: number, word: string, plural: string): string {
  return `${count} ${word}${count === 1 ? '' : plural}`
}
