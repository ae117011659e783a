import type { TenantCounts } from './catalog-reading.ts'
import { type TenantState, tenantStates } from './states.ts'
import type { SpareCount } from './inventory.ts'
import type { Version } from './versions.ts'
import type { SpareState, TemplateState } from './tables.ts'

/** The figures of an installation. */
export interface Status {
  readonly installation: string
  readonly catalog: {
    readonly server: string
    readonly database: string
    /** The number of its newest migration. */
    readonly migration: number
  }
  /** `separate` if this process gives new tenants roles of their own. */
  readonly roles: 'separate' | 'shared'
  /** The number of tenants without a role of their own, whose work runs as the role of the connection. */
  readonly sharedTenants: number
  /** The number of tenants in each state. */
  readonly tenants: Readonly<Record<TenantState, number>>
  readonly servers: readonly {
    readonly name: string
    readonly state: 'open' | 'closed'
    readonly tenants: number
  }[]
  /**
   * The version that all tenants are to have: the one that `rollouts.setDesired` set, or else the one that a process
   * declared last. Undefined before the first.
   */
  readonly desired: Version | undefined
  /** The versions of the models that tenants have, in their order. */
  readonly versions: readonly {
    readonly number: number
    readonly fingerprint: string
    readonly tenants: number
    /** True for the version of this process's models. */
    readonly current: boolean
    /** True for a version that comes before the desired one. */
    readonly behind: boolean
  }[]
  /** The templates that new tenants' databases are copied from. */
  readonly templates: readonly (PoolKey & { readonly state: TemplateState })[]
  /** The databases that wait to become tenants'. */
  readonly spares: readonly (PoolKey & {
    readonly ready: number
    readonly filling: number
    /** The number that this process keeps; undefined for a version that it does not keep. */
    readonly wanted: number | undefined
  })[]
}

interface PoolKey {
  /** The name of the server. */
  readonly server: string
  /** The version's running number. */
  readonly version: number
  readonly fingerprint: string
}

/** Sums up the catalog's counts. */
export function summarise(
  counts: readonly TenantCounts[],
  currentFingerprint: string,
): Pick<Status, 'tenants' | 'sharedTenants' | 'servers' | 'versions'> {
  return {
    sharedTenants: counts
      .filter(({ state }) => state !== undefined && state !== 'onboarding' && state !== 'purging')
      .reduce((total, { tenants, separate }) => total + tenants - separate, 0),
    tenants: Object.fromEntries(
      tenantStates.map((state) => [state, sum(counts.filter((count) => count.state === state))]),
    ) as Status['tenants'],
    servers: [...Map.groupBy(counts, ({ server }) => server)].map(([name, own]) => ({
      name,
      state: own[0]?.serverState ?? 'open',
      tenants: sum(own),
    })),
    versions: [...Map.groupBy(counts.toSorted(byRank), ({ version }) => version)].flatMap(([number, own]) => {
      const fingerprint = own[0]?.fingerprint
      if (number === undefined || fingerprint === undefined) return []
      const isCurrent = fingerprint === currentFingerprint
      return [{ number, fingerprint, tenants: sum(own), current: isCurrent, behind: own[0]?.isBehind ?? false }]
    }),
  }
}

/** Sums up the inventory. */
export function summariseInventory(
  counts: readonly SpareCount[],
  currentFingerprint: string,
  wanted: number,
): Pick<Status, 'templates' | 'spares'> {
  const templates = counts.filter((it) => it.kind === 'template')
  const spares = counts.filter((it) => it.kind === 'spare')
  return {
    templates: templates.map(({ server, version, fingerprint, state }) => ({ server, version, fingerprint, state })),
    spares: [...Map.groupBy(spares, ({ server, version }) => `${version} ${server}`).values()].map((own) => {
      const { server, version, fingerprint } = own[0] as (typeof own)[number]
      const isKept = wanted > 0 && fingerprint === currentFingerprint
      const inState = (state: SpareState) => own.find((it) => it.state === state)?.count ?? 0
      const [ready, filling] = [inState('ready'), inState('filling')]
      return { server, version, fingerprint, ready, filling, wanted: isKept ? wanted : undefined }
    }),
  }
}

function byRank({ rank: one = 0 }: TenantCounts, { rank: other = 0 }: TenantCounts): number {
  return one - other
}

function sum(counts: readonly TenantCounts[]): number {
  return counts.reduce((total, { tenants }) => total + tenants, 0)
}
