import { TenantryError } from '../kernel/errors.ts'
import { parseTenantId, type TenantId } from '../kernel/names.ts'
import type { CapturedTenant } from '../api.ts'
import type { Asked, Said, TenantSource } from './sources.ts'

/**
 * The tenant that a request is for. Every source is asked, in their order; those that say something must say the same.
 * Whether there is such a tenant is not looked up.
 *
 * @throws `tenant-unresolved` where none says anything, `tenant-mismatch`, and `tenant-unknown` for what cannot be an id
 */
export async function resolveTenant<Request>(
  sources: readonly TenantSource<Request>[],
  asked: Asked<Request>,
): Promise<CapturedTenant> {
  let found: { readonly said: NonNullable<Said>; readonly by: string } | undefined
  let isHostRead = false
  for (const source of sources) {
    if (source.readsHost && isHostRead) continue
    const said: Said = await source.find(asked)
    if (said === undefined && source.required) throw unclaimed(source.name)
    if (said === undefined) continue
    isHostRead ||= source.readsHost
    if (found !== undefined && idOf(found.said) !== idOf(said)) throw mismatch(found.by, source.name)
    // What was captured says more than an id.
    found = { said: typeof said === 'string' && found !== undefined ? found.said : said, by: source.name }
  }
  if (found === undefined) throw unresolved(sources)
  const id = parse(idOf(found.said))
  return typeof found.said === 'string' ? { tenant: id } : { ...found.said, tenant: id }
}

function idOf(said: NonNullable<Said>): string {
  return typeof said === 'string' ? said : said.tenant
}

/** To who asks, an id that cannot be is one that is not there. */
function parse(said: string): TenantId {
  try {
    return parseTenantId(said)
  } catch (error) {
    throw new TenantryError('tenant-unknown', 'The request is for what cannot be a tenant.', { cause: error })
  }
}

function unclaimed(name: string): TenantryError {
  return new TenantryError('tenant-mismatch', `The ${name} of the request names no tenant.`, {
    hint: 'Authenticate before the tenant is looked for; for requests that nobody is logged in to, say optional: true.',
  })
}

function mismatch(one: string, other: string): TenantryError {
  return new TenantryError('tenant-mismatch', `The ${one} and the ${other} of the request name different tenants.`, {
    hint: "Somebody may be using one tenant's token for another.",
  })
}

function unresolved(sources: readonly TenantSource<never>[]): TenantryError {
  const names = sources.map(({ name }) => name).join(', ')
  return new TenantryError('tenant-unresolved', `Nothing in the request says which tenant it is for (${names}).`, {
    hint: 'For routes that need no tenant, use the option exempt.',
  })
}
