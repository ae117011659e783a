import { untilAborted } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { parseTenantId, physicalNames } from '../kernel/names.ts'
import { stateError } from '../catalog/states.ts'
import { publicTenant, type Tenant, type TenantRow } from '../catalog/tenant.ts'
import { announce, type MakingContext } from './context.ts'
import { makeTables } from './create-tables.ts'
import { runHook } from './hooks.ts'
import { makeTenant, type Recipe } from './make-tenant.ts'
import { underLock } from './tenant-lock.ts'
import { checkNewTenant, type OnboardOptions } from './tenant-options.ts'

/** What came of onboarding a tenant. */
export interface Onboarded {
  /** `onboarded` by this very call, or there already; then display name, metadata and server are as they were. */
  readonly outcome: 'onboarded' | 'already-exists'
  readonly tenant: Tenant
}

/**
 * Makes a tenant: a row in the catalog and a database that matches the models.
 *
 * @throws `invalid-tenant-id`, `invalid-option`, `no-open-server`, `tenant-exists`, `tenant-not-active`,
 *   `tenant-state`, `foreign-database`, `verification-failed`, `hook-failed`, `lock-timeout`, `permission-denied` and
 *   what may be wrong with a connection
 */
export async function onboard<Handle>(
  context: MakingContext<Handle>,
  id: string,
  options: OnboardOptions,
): Promise<Onboarded> {
  const tenantId = parseTenantId(id)
  const wanted = checkNewTenant('onboard', options, [...context.servers.keys()], ['server', 'existing'])
  const known = await untilAborted(context.catalog.find(tenantId), options.signal)
  if (known !== undefined && known.state !== 'onboarding') return alreadyThere(known, options)

  return underLock(context, tenantId, options, async (locked) => {
    const database = physicalNames.tenant(context.installation, tenantId)
    const { row, isNew } = await locked.catalog.intend({ id: tenantId, database, origin: 'models', ...wanted }, options)
    if (isNew) announce(context, 'onboard', row, { from: undefined, to: 'onboarding', since: locked.since })
    if (row.state !== 'onboarding') return alreadyThere(row, options)
    if (row.origin !== 'models') throw stateError('onboard', tenantId, row.state)
    const made = await makeTenant(context, locked, row, fromModels(context, row, options), options)
    return { outcome: 'onboarded', tenant: publicTenant(made) }
  })
}

/** An id that exists is an outcome, be its tenant suspended or not; one that is only reserved is not. */
function alreadyThere(row: TenantRow, { existing }: OnboardOptions): Onboarded {
  const { id, state } = row
  if (existing === 'refuse') {
    throw new TenantryError('tenant-exists', `The tenant ${id} exists already.`, {
      tenant: id,
      hint: 'Give the new one another id, or leave out the option `existing`.',
    })
  }
  if (state === 'active' || state === 'suspended') return { outcome: 'already-exists', tenant: publicTenant(row) }
  throw new TenantryError('tenant-not-active', `The tenant ${id} exists and is ${state}.`, {
    tenant: id,
    hint: 'Its id stays reserved until it is purged. Restore it, or purge it and onboard it anew.',
  })
}

/** From template0, so that nothing is in the database but what the models declare. */
function fromModels<Handle>(context: MakingContext<Handle>, row: TenantRow, options: OnboardOptions): Recipe {
  const { models, fingerprint, initialise } = context
  return {
    fingerprint,
    create: (server, admin, building) => server.create(admin, building, { template: 'template0' }),
    fill: async (server, building) => {
      const session = await server.connect(building, options)
      try {
        await makeTables(session, models)
      } finally {
        await session.close()
      }
      if (initialise === undefined) return
      await runHook(
        context,
        'initialise',
        initialise,
        { server, database: building, tenant: publicTenant(row) },
        options,
      )
    },
  }
}
