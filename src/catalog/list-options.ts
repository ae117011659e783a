import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { parseTenantId } from '../kernel/names.ts'
import {
  cancellable,
  optionsOf,
  parsed,
  positiveInteger,
  readOptions,
  type Schemas,
  trueOrFalse,
} from '../kernel/options.ts'
import { show } from '../kernel/printable.ts'
import { storableMetadata, storableText } from '../kernel/storable.ts'
import type { TenantFilter } from './listing.ts'
import { type TenantState, tenantStates } from './states.ts'

/** Filters of a list of tenants; a tenant has to meet every given one. */
export interface ListOptions extends Cancellable {
  /** The largest number of tenants. Default 100, at most 1,000. */
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
  /** Only tenants that `purgeExpired` would take: offboarded with their retention at its end, or half purged. */
  readonly expired?: boolean
}

const mostAtOnce = 1_000

/** The conditions that a fleet query has as well. */
export const filterSchemas = {
  server: storableText,
  version: parsed(readModelsVersion),
  metadata: storableMetadata,
  search: storableText,
} satisfies Partial<Schemas<ListOptions>>

const listSchema = optionsOf<ListOptions>({
  limit: positiveInteger,
  after: parsed(parseTenantId),
  state: parsed(checkStates),
  ...filterSchemas,
  expired: trueOrFalse,
  ...cancellable,
})

/** Reads list options. @throws `invalid-option`, `invalid-tenant-id` */
export function readListOptions(options: ListOptions): {
  readonly filter: TenantFilter
  readonly limit: number
  readonly after: string | undefined
  readonly signal: AbortSignal | undefined
} {
  const { limit = 100, after, signal, state, ...filter } = readOptions('list', listSchema, options)
  const states = state as readonly TenantState[] | undefined
  return { filter: { ...filter, states }, limit: Math.min(limit, mostAtOnce), after, signal }
}

/** The largest number of a version in the catalog. */
const mostVersions = 2 ** 31 - 1

/** Reads the number or the fingerprint of a version. @throws `invalid-option` */
export function readModelsVersion(version: string | number): string | number {
  if (typeof version === 'string') return readOptions('version', storableText, version)
  const number = readOptions('version', positiveInteger, version)
  if (number <= mostVersions) return number
  throw new TenantryError('invalid-option', `version must be at most ${mostVersions}.`, {
    hint: 'Give the number or the fingerprint of a version that status() shows.',
  })
}

function checkStates(state: TenantState | readonly TenantState[]): readonly TenantState[] {
  const states = Array.isArray(state) ? [...(state as readonly TenantState[])] : [state as TenantState]
  const unknown = states.find((it) => !tenantStates.includes(it))
  if (unknown === undefined && states.length > 0) return states
  throw new TenantryError('invalid-option', `state cannot be ${show(unknown ?? [])}.`, {
    hint: `It is one or more of ${tenantStates.join(', ')}.`,
  })
}
