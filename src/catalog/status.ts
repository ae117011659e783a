import type { TenantCounts } from './catalog.ts'
import { type TenantState, tenantStates } from './states.ts'

/** What an installation has, in numbers. */
export interface Status {
  readonly installation: string
  readonly catalog: {
    readonly server: string
    readonly database: string
    /** The number of its newest migration. */
    readonly migration: number
  }
  /** How many tenants are in each state. */
  readonly tenants: Readonly<Record<TenantState, number>>
  readonly servers: readonly {
    readonly name: string
    readonly state: 'open' | 'closed'
    readonly tenants: number
  }[]
  /** The versions of the models that tenants have, in the order in which they were first seen. */
  readonly versions: readonly {
    readonly number: number
    readonly fingerprint: string
    readonly tenants: number
    /** Whether it is that of this process's models. */
    readonly current: boolean
  }[]
}

/** Sums up what the catalog counted. */
export function summarise(
  counts: readonly TenantCounts[],
  currentFingerprint: string,
): Pick<Status, 'tenants' | 'servers' | 'versions'> {
  return {
    tenants: Object.fromEntries(
      tenantStates.map((state) => [state, sum(counts.filter((count) => count.state === state))]),
    ) as Status['tenants'],
    servers: [...Map.groupBy(counts, ({ server }) => server)].map(([name, own]) => ({
      name,
      state: own[0]?.serverState ?? 'open',
      tenants: sum(own),
    })),
    versions: [...Map.groupBy(counts, ({ version }) => version)]
      .flatMap(([number, own]) => {
        const fingerprint = own[0]?.fingerprint
        if (number === undefined || fingerprint === undefined) return []
        return [{ number, fingerprint, tenants: sum(own), current: fingerprint === currentFingerprint }]
      })
      .toSorted((one, other) => one.number - other.number),
  }
}

function sum(counts: readonly TenantCounts[]): number {
  return counts.reduce((total, { tenants }) => total + tenants, 0)
}
