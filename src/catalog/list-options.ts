import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { parseTenantId } from '../kernel/names.ts'
import { positiveInteger, refuseUnknownOptions } from '../kernel/options.ts'
import { show } from '../kernel/printable.ts'
import { checkMetadata, refuseUnstorable } from '../kernel/storable.ts'
import type { TenantFilter } from './listing.ts'
import { type TenantState, tenantStates } from './states.ts'

/** Which tenants to list; each filter that is given must hold. */
export interface ListOptions extends Cancellable {
  /** How many at most. Default 100, at most 1,000. */
  readonly limit?: number
  /** Only those after this id: the last one of the page before. */
  readonly after?: string
  readonly state?: TenantState | readonly TenantState[]
  /** The name of a server. */
  readonly server?: string
  /** The fingerprint of the models that they have, or its version's running number. */
  readonly version?: string | number
  /** Metadata that theirs contains: `{ plan: 'pro' }`; objects are looked into. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** Text that the id or the display name contains, in upper or lower case. */
  readonly search?: string
  /** Only those that `purgeExpired` would take: offboarded with their retention at its end, or half purged. */
  readonly expired?: boolean
}

const knownOptions = ['limit', 'after', 'state', 'server', 'version', 'metadata', 'search', 'expired', 'signal']
const mostAtOnce = 1_000

/** Checks what to list. @throws `invalid-option`, `invalid-tenant-id` */
export function checkListOptions(options: ListOptions): {
  readonly filter: TenantFilter
  readonly limit: number
  readonly after: string | undefined
} {
  refuseUnknownOptions('list', options, knownOptions)
  const { limit, after, state, server, version, metadata, search, expired } = options
  if (server !== undefined) refuseUnstorable('server', server)
  if (version !== undefined) checkVersion(version)
  if (search !== undefined) refuseUnstorable('search', search)
  return {
    filter: {
      states: state === undefined ? undefined : checkStates(state),
      server,
      version,
      metadata: metadata === undefined ? undefined : checkMetadata(metadata),
      search,
      expired,
    },
    limit: Math.min(positiveInteger('limit', limit ?? 100), mostAtOnce),
    after: after === undefined ? undefined : parseTenantId(after),
  }
}

/** What the catalog counts versions by. */
const mostVersions = 2 ** 31 - 1

function checkVersion(version: string | number): void {
  if (typeof version === 'string') return refuseUnstorable('version', version)
  if (positiveInteger('version', version) <= mostVersions) return
  throw new TenantryError('invalid-option', `version must be at most ${mostVersions}.`, {
    hint: 'Give the number or the fingerprint of a version that status() shows.',
  })
}

function checkStates(state: TenantState | readonly TenantState[]): readonly TenantState[] {
  const states = Array.isArray(state) ? (state as readonly TenantState[]) : [state as TenantState]
  const unknown = states.find((it) => !tenantStates.includes(it))
  if (unknown === undefined && states.length > 0) return states
  throw new TenantryError('invalid-option', `state cannot be ${show(unknown ?? [])}.`, {
    hint: `It is one or more of ${tenantStates.join(', ')}.`,
  })
}
