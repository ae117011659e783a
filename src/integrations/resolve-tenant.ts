import { TenantryError } from '../kernel/errors.ts'
import { parseTenantId, type TenantId } from '../kernel/names.ts'
import type { CapturedTenant } from '../api.ts'
import type { SourceInput, NamedTenant, TenantSource } from './sources.ts'

/**
 * Returns the tenant of a request. Every source is read, in order; all that name a tenant must name the same. The
 * tenant may not exist: it is not looked up.
 *
 * @throws `tenant-unresolved` if no source names a tenant, `tenant-mismatch`, and `tenant-unknown` for an invalid id
 */
export async function resolveTenant<Request>(
  sources: readonly TenantSource<Request>[],
  input: SourceInput<Request>,
): Promise<CapturedTenant> {
  let found: { readonly named: NonNullable<NamedTenant>; readonly by: string } | undefined
  let isHostRead = false
  for (const source of sources) {
    if (source.readsHost && isHostRead) continue
    const named: NamedTenant = await source.find(input)
    if (named === undefined && source.required) throw unclaimed(source.name)
    if (named === undefined) continue
    isHostRead ||= source.readsHost
    if (found !== undefined && tenantIdOf(found.named) !== tenantIdOf(named)) throw mismatch(found.by, source.name)
    // A captured tenant is more specific than an id.
    found = { named: typeof named === 'string' && found !== undefined ? found.named : named, by: source.name }
  }
  if (found === undefined) throw unresolved(sources)
  const id = parseSource(tenantIdOf(found.named))
  return typeof found.named === 'string' ? { tenant: id } : { ...found.named, tenant: id }
}

function tenantIdOf(named: NonNullable<NamedTenant>): string {
  return typeof named === 'string' ? named : named.tenant
}

/** Parses an id. To clients, an invalid id is one that does not exist. */
function parseSource(named: string): TenantId {
  try {
    return parseTenantId(named)
  } catch (error) {
    throw new TenantryError('tenant-unknown', 'The request names no valid tenant id.', { cause: error })
  }
}

function unclaimed(name: string): TenantryError {
  return new TenantryError('tenant-mismatch', `The ${name} of the request names no tenant.`, {
    hint: 'Authenticate before the tenant is resolved; for anonymous requests, set optional: true.',
  })
}

function mismatch(one: string, other: string): TenantryError {
  return new TenantryError('tenant-mismatch', `The ${one} and the ${other} of the request name different tenants.`, {
    hint: "Check the client: it may be using one tenant's token for another.",
  })
}

function unresolved(sources: readonly TenantSource<never>[]): TenantryError {
  const names = sources.map(({ name }) => name).join(', ')
  return new TenantryError('tenant-unresolved', `Nothing in the request says which tenant it is for (${names}).`, {
    hint: 'For routes that need no tenant, use the option exempt.',
  })
}
