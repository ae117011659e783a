import type { AuditEntry, Tenant, TenantState } from '../index.ts'
import { coloured, pairs, shown, table } from './report.ts'
import { versionText } from './version-text.ts'

const colours = {
  onboarding: 'yellow',
  active: 'green',
  suspended: 'yellow',
  offboarded: 'dim',
  purging: 'red',
} as const satisfies Record<TenantState, string>

/** Returns a state in its colour. */
function stateText(state: TenantState): string {
  return coloured(colours[state], state)
}

/** Returns one line with the outcome of a verb. */
export function outcomeLine(outcome: string, { id, state, database, server }: Tenant): string {
  const stateOnly = outcome.replace('already-', '') === state
  const where =
    state === 'offboarded' ? `its database archived on ${shown(server)}` : `in ${shown(database)} on ${shown(server)}`
  return [`${coloured('bold', id)}: ${outcome}`, ...(stateOnly ? [] : [stateText(state)]), where].join(', ')
}

/** Returns tenants, one a line. */
export function tenantTable(tenants: readonly Tenant[]): string[] {
  return table([
    ['ID', 'STATE', 'SERVER', 'VERSION', 'DISPLAY NAME'],
    ...tenants.map((tenant) => [
      tenant.id,
      tenant.state,
      shown(tenant.server),
      String(tenant.version ?? '-'),
      shown(tenant.displayName ?? ''),
    ]),
  ])
}

/** Returns all fields of one tenant. */
export function tenantPairs(tenant: Tenant, domains: string | undefined): string[] {
  const { version: number, fingerprint = '' } = tenant
  return pairs({
    id: tenant.id,
    'display name': tenant.displayName && shown(tenant.displayName),
    state: `${stateText(tenant.state)} since ${time(tenant.stateSince)}`,
    server: shown(tenant.server),
    database: shown(tenant.database),
    domains,
    version: number === undefined ? undefined : versionText({ number, fingerprint }),
    metadata: shown(JSON.stringify(tenant.metadata)),
    created: time(tenant.createdAt),
    'purge after': tenant.purgeAfter && time(tenant.purgeAfter),
  })
}

/** Returns the audit trail of a tenant, one entry a line. */
export function historyTable(entries: readonly AuditEntry[]): string[] {
  return table([
    ['AT', 'VERB', 'FROM', 'TO', 'BY'],
    ...entries.map(({ at, verb, from, to, actor, role, error, domain }) => [
      time(at),
      [verb, ...(domain === undefined ? [] : [domain]), ...(error === undefined ? [] : [`(${error})`])].join(' '),
      from ?? '-',
      to ?? '-',
      shown(actor === undefined ? role : `${actor} as ${role}`),
    ]),
  ])
}

/** Returns a time to the second, in UTC. */
export function time(date: Date): string {
  return date.toISOString().slice(0, 19).replace('T', ' ')
}
