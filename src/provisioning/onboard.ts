import { type Cancellable, untilAborted } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { type Installation, parseTenantId, physicalNames } from '../kernel/names.ts'
import { Catalog, publicTenant, type Tenant, type TenantRow } from '../catalog/catalog.ts'
import type { Models } from '../models/port.ts'
import type { Server, Session } from '../server/port.ts'
import { requireServer } from '../server/require-server.ts'
import { checkOnboardOptions, type OnboardOptions } from './onboard-options.ts'
import { TenantDatabase } from './tenant-database.ts'

/** What came of onboarding a tenant. */
export interface Onboarded {
  /** `onboarded` by this very call, or there already; then display name, metadata and server are as they were. */
  readonly outcome: 'onboarded' | 'already-exists'
  readonly tenant: Tenant
}

/** What onboarding works with. */
export interface OnboardingContext {
  readonly installation: Installation
  readonly installationId: string
  readonly catalog: Catalog
  /** The server that the catalog is on. */
  readonly home: Server
  readonly servers: ReadonlyMap<string, Server>
  readonly models: Models<unknown>
  readonly fingerprint: string
  /** How long another process may take to onboard the same tenant, in milliseconds. */
  readonly lockTimeoutMs: number
}

/**
 * Makes a tenant: a row in the catalog and a database that matches the models.
 *
 * The database is made under a name of its own and gets the tenant's name only when it is whole, together with the row
 * where both are on one server. Whoever comes later finishes what an interrupted call began.
 *
 * @throws `invalid-tenant-id`, `invalid-option`, `no-open-server`, `tenant-not-active`, `foreign-database`,
 *   `verification-failed`, `lock-timeout`, `permission-denied` and what may be wrong with a connection
 */
export async function onboard(context: OnboardingContext, id: string, options: OnboardOptions): Promise<Onboarded> {
  const tenantId = parseTenantId(id)
  const wanted = checkOnboardOptions(options, [...context.servers.keys()])
  const known = await untilAborted(context.catalog.find(tenantId), options.signal)
  if (known !== undefined && known.state !== 'onboarding') return alreadyThere(known)

  const session = await context.home.connect(physicalNames.catalog(context.installation), options)
  try {
    await session.lock(`tenant:${tenantId}`, 'session', context.lockTimeoutMs)
    const catalog = new Catalog(session.asPool())
    const database = physicalNames.tenant(context.installation, tenantId)
    const row = await catalog.intend({ id: tenantId, database, ...wanted })
    if (row.state !== 'onboarding') return alreadyThere(row)
    return { outcome: 'onboarded', tenant: await finish(context, session, catalog, row, options) }
  } catch (error) {
    throw error instanceof TenantryError ? error.forTenant(tenantId) : error
  } finally {
    await session.close()
  }
}

function alreadyThere(row: TenantRow): Onboarded {
  const tenant = publicTenant(row)
  if (tenant.state === 'active') return { outcome: 'already-exists', tenant }
  throw new TenantryError('tenant-not-active', `The tenant ${tenant.id} exists and is ${tenant.state}.`, {
    tenant: tenant.id,
    hint: 'Its id stays reserved.',
  })
}

async function finish(
  context: OnboardingContext,
  session: Session,
  catalog: Catalog,
  row: TenantRow,
  { signal }: Cancellable,
): Promise<Tenant> {
  const server = requireServer(context.servers, row.server, row.id)
  if (server === context.home) {
    const database = new TenantDatabase(context, server, session, row)
    await makeAtHome(context, session, catalog, database, signal)
  } else {
    await makeElsewhere(context, session, catalog, server, row, signal)
  }
  const made = await catalog.find(row.id)
  if (made === undefined) {
    throw new TenantryError('tenant-unknown', `The tenant ${row.id} was removed meanwhile.`, {
      hint: 'Onboard it again, if it is still wanted.',
    })
  }
  return publicTenant(made)
}

/** On the catalog's own server the name, the stamp and the row come about in one transaction. */
async function makeAtHome(
  context: OnboardingContext,
  session: Session,
  catalog: Catalog,
  database: TenantDatabase,
  signal: AbortSignal | undefined,
): Promise<void> {
  const named = await database.findNamed(catalog)
  if (named !== undefined) return catalog.activate(database.rowId, named)
  await database.build(signal)
  await database.takeName(catalog, (name) =>
    session.transaction(
      async () => {
        await name()
        await catalog.activate(database.rowId, context.fingerprint)
      },
      { durable: true },
    ),
  )
}

/** On another server the name comes first, and the row follows; a call in between finds the name and its stamp. */
async function makeElsewhere(
  context: OnboardingContext,
  session: Session,
  catalog: Catalog,
  server: Server,
  row: TenantRow,
  signal: AbortSignal | undefined,
): Promise<void> {
  const admin = await server.connect(server.maintenanceDatabase, { signal })
  try {
    // The lock in the catalog ends with that session; what a process that lost it still has here must end as well.
    await admin.lock(`tenant:${row.rowId}`, 'session', context.lockTimeoutMs)
    const database = new TenantDatabase(context, server, admin, row)
    let fingerprint = await database.findNamed(catalog)
    if (fingerprint === undefined) {
      await database.build(signal)
      await database.takeName(catalog, (name) => admin.transaction(name, { durable: true }))
      fingerprint = context.fingerprint
    }
    const made = fingerprint
    await session.transaction(() => catalog.activate(row.rowId, made), { durable: true })
  } finally {
    await admin.close()
  }
}
