import { randomBytes } from 'node:crypto'
import { type Cancellable, untilAborted } from '../kernel/abort.ts'
import { type DomainName, parseDomain } from '../kernel/domain-names.ts'
import { TenantryError } from '../kernel/errors.ts'
import { parseTenantId, type TenantId } from '../kernel/names.ts'
import type { DomainChange, DomainOwner, DomainRow } from '../catalog/domains.ts'
import type { Verb } from '../catalog/audit.ts'
import { stateError } from '../catalog/states.ts'
import { unknownTenant } from '../catalog/tenant.ts'
import { emitChange, type ProvisioningContext, type VerbOptions } from '../provisioning/context.ts'
import { type DomainRecord, isProven, recordOf } from './domain-proof.ts'

/** A domain of a tenant. */
export interface TenantDomain {
  /** In ASCII and lower case. */
  readonly domain: DomainName
  readonly tenant: TenantId
  /** True if requests for it are routed to the tenant. */
  readonly verified: boolean
  readonly addedAt: Date
  readonly verifiedAt: Date | undefined
  /** The record to set in the domain's DNS, as a proof that it is the tenant's. */
  readonly record: DomainRecord
}

/** Options of `verifyDomain`. */
export interface VerifyDomainOptions extends VerbOptions {
  /**
   * The proof that the domain is the tenant's: `dns` looks its record up; with `given` the service has verified it by
   * itself, and nothing is looked up. Default `dns`.
   */
  readonly proof?: 'dns' | 'given'
}

/** Options of `domains`. */
export interface DomainsOptions extends Cancellable {
  /** The largest number of domains. Default 100, at most 1,000. */
  readonly limit?: number
  /** Only domains after this one: the last of the page before. */
  readonly after?: string
}

/** The result of adding a domain. */
export interface AddedDomain {
  readonly outcome: 'added' | 'already-added'
  readonly domain: TenantDomain
}

/** The result of verifying a domain. */
export interface VerifiedDomain {
  /** `not-proven`: the record does not exist, or not yet; nothing was changed. */
  readonly outcome: 'verified' | 'already-verified' | 'not-proven'
  readonly domain: TenantDomain
}

/** The result of removing a domain. */
export interface RemovedDomain {
  readonly outcome: 'removed' | 'already-removed'
}

/**
 * Adds a domain to a tenant. It is reserved for the tenant from then on; requests for it are routed to the tenant once
 * it is verified.
 */
export async function addDomain(
  context: ProvisioningContext,
  id: string,
  domain: string,
  options: VerbOptions,
): Promise<AddedDomain> {
  const [tenant, name] = [parseTenantId(id), parseDomain(domain)]
  const { actor, signal } = options
  const token = randomBytes(16).toString('hex')
  const adding = change(context, tenant, name, 'add-domain', () =>
    context.domains.add(tenant, name, token, { actor, check: refusePurging('add-domain') }),
  )
  const { outcome, row } = await untilAborted(adding, signal)
  if (outcome === 'taken' || row === undefined) throw domainTakenError(name, tenant)
  return { outcome, domain: publicDomain(row) }
}

/** Routes requests for a domain to the tenant, if the domain is proven. */
export async function verifyDomain(
  context: ProvisioningContext,
  id: string,
  domain: string,
  options: VerifyDomainOptions,
): Promise<VerifiedDomain> {
  const [tenant, name] = [parseTenantId(id), parseDomain(domain)]
  const { actor, signal } = options
  const found = await untilAborted(context.domains.find(name), signal)
  if (found?.tenant !== tenant) throw await notTheirs(context, tenant, name)
  if (found.verifiedAt !== undefined) return { outcome: 'already-verified', domain: publicDomain(found) }
  const isSure = options.proof === 'given' || (await isProven(recordOf(name, found.token), { signal }))
  if (!isSure) return { outcome: 'not-proven', domain: publicDomain(found) }
  const verifying = change(context, tenant, name, 'verify-domain', () =>
    context.domains.verify(tenant, name, found.token, { actor, check: refusePurging('verify-domain') }),
  )
  const { outcome, row } = await untilAborted(verifying, signal)
  if (row === undefined) throw unknownDomain(name, tenant)
  return { outcome, domain: publicDomain(row) }
}

/** Removes a domain from a tenant: it is free for others then. If the tenant does not have it, that is an outcome. */
export async function removeDomain(
  context: ProvisioningContext,
  id: string,
  domain: string,
  options: VerbOptions,
): Promise<RemovedDomain> {
  const [tenant, name] = [parseTenantId(id), parseDomain(domain)]
  const { actor, signal } = options
  const removing = change(context, tenant, name, 'remove-domain', () => context.domains.remove(tenant, name, { actor }))
  const { outcome } = await untilAborted(removing, signal)
  return { outcome }
}

/** Returns a tenant's domains, in their order. */
export async function domainsOf(
  { catalog, domains }: ProvisioningContext,
  id: string,
  options: DomainsOptions,
): Promise<readonly TenantDomain[]> {
  const tenant = parseTenantId(id)
  const { limit = 100, after, signal } = options
  const listing = domains.list(tenant, Math.min(limit, 1_000), after === undefined ? undefined : parseDomain(after))
  const rows = await untilAborted(listing, signal)
  if (rows.length === 0 && (await untilAborted(catalog.find(tenant), signal)) === undefined) throw unknownTenant(tenant)
  return rows.map(publicDomain)
}

/** Returns a domain of any tenant, verified or not. */
export async function domainNamed(
  { domains }: ProvisioningContext,
  domain: string,
  { signal }: Cancellable,
): Promise<TenantDomain | undefined> {
  const row = await untilAborted(domains.find(parseDomain(domain)), signal)
  return row && publicDomain(row)
}

/** Makes a change, forgets outdated answers of this process, and emits the event. */
async function change<Outcome extends string>(
  context: ProvisioningContext,
  id: TenantId,
  domain: DomainName,
  verb: Verb,
  make: () => Promise<DomainChange<Outcome> | undefined>,
): Promise<DomainChange<Outcome>> {
  const since = performance.now()
  const made = await make()
  if (made === undefined) throw unknownTenant(id)
  const { outcome, owner } = made
  if (!isChange.has(outcome)) return made
  context.forgetDomains(domain)
  emitChange(context, verb, owner, { from: owner.state, to: owner.state, since, domain })
  return made
}

const isChange: ReadonlySet<string> = new Set(['added', 'verified', 'removed'])

function refusePurging(verb: string) {
  return ({ id, state }: DomainOwner) => {
    if (state === 'purging') throw stateError(verb, id, state)
  }
}

function publicDomain({ domain, tenant, token, addedAt, verifiedAt }: DomainRow): TenantDomain {
  const verified = verifiedAt !== undefined
  return { domain, tenant, verified, addedAt, verifiedAt, record: recordOf(domain, token) }
}

/**
 * Returns the error of a domain that another tenant has. It does not name the other: it may be shown to a person who
 * must not know.
 */
function domainTakenError(domain: DomainName, tenant: TenantId): TenantryError {
  return new TenantryError('domain-taken', `The domain ${domain} is another tenant's.`, {
    tenant,
    hint: 'domains.get() and "tenantry domains --find" show whose it is. An unverified domain is only reserved: removing it frees it.',
  })
}

async function notTheirs({ catalog }: ProvisioningContext, id: TenantId, domain: DomainName): Promise<TenantryError> {
  return (await catalog.find(id)) === undefined ? unknownTenant(id) : unknownDomain(domain, id)
}

function unknownDomain(domain: DomainName, tenant: TenantId): TenantryError {
  return new TenantryError('domain-unknown', `The tenant ${tenant} has no domain ${domain}.`, {
    tenant,
    hint: 'Add it first.',
  })
}
