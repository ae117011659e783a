import { TenantryError } from '../../kernel/errors.ts'
import { parseTenantId, physicalNames } from '../../kernel/names.ts'
import { stateError } from '../../catalog/states.ts'
import { publicTenant, type Tenant, type TenantRow, unknownTenant } from '../../catalog/tenant.ts'
import type { Change, DatabaseInfo } from '../../server/port.ts'
import { readStamp } from '../../server/stamp.ts'
import { despiteRaces } from '../drain.ts'
import { checkMatch, closeToTenants, handOver, refuseUnlessOurs } from './adopt.ts'
import type { MakingContext, ProvisioningContext, VerbOptions } from '../context.ts'
import { durably, onServerOf, underLock, type ServerSite } from '../locks/locked-work.ts'
import { enableLogin, disableLogin } from '../roles/separation.ts'
import { foreignError, isStampOf, missingError, tenantStamp } from './tenant-names.ts'

/** Options of `restamp`. */
export interface RestampOptions extends VerbOptions {
  /** The treatment of a database that differs from the models. Default `refuse`. */
  readonly differences?: 'allow' | 'refuse'
}

/** The outcome of stamping a tenant's database again. */
export interface Restamped {
  readonly outcome: 'restamped' | 'already-stamped'
  readonly tenant: Tenant
}

/**
 * Renews the stamp of a tenant's database that has lost it, for example by `pg_restore`. The database must have the
 * tenant's name, bear no other stamp and match the models. It is transferred to the installation's roles, and public
 * access is revoked.
 */
export async function restamp<Handle>(
  context: MakingContext<Handle>,
  id: string,
  options: RestampOptions,
): Promise<Restamped> {
  const tenantId = parseTenantId(id)
  const { differences = 'refuse' } = options
  return underLock(context, tenantId, options, async (locked) => {
    const row = await locked.catalog.find(tenantId)
    if (row === undefined) throw unknownTenant(tenantId)
    if (row.state === 'onboarding' || row.state === 'purging') throw stateError('restamp', tenantId, row.state)
    return onServerOf(context, locked, row, options, async (server, admin) => {
      const [found] = await server.databases.describe(admin, [row.database])
      if (found === undefined) throw missingError(row)
      const stamp = readStamp(found.comment)
      if (isStampOf(context, row, stamp)) return { outcome: 'already-stamped', tenant: publicTenant(row) }
      if (stamp !== undefined) throw foreignError(row, 'It bears the stamp of another tenant.')
      await inspect(context, { server, admin }, { row, found }, differences, options)
      const { database } = row
      const which = row.credential ? { of: physicalNames.login(context.installation, row.rowId) } : 'tenants'
      await despiteRaces(server, admin, { database, which, signal: options.signal }, () =>
        server.apply(admin, changesFor(context, row, found)),
      )
      await durably(locked, () => locked.catalog.note(row, 'restamp', options))
      return { outcome: 'restamped', tenant: publicTenant(row) }
    })
  })
}

/** Checks a database, and transfers its objects. */
async function inspect<Handle>(
  context: MakingContext<Handle>,
  { server, admin }: ServerSite,
  { row, found }: { readonly row: TenantRow; readonly found: DatabaseInfo },
  differences: 'allow' | 'refuse',
  options: RestampOptions,
): Promise<void> {
  const session = await server.connect(row.database, options)
  try {
    refuseUnlessOurs(session, found)
    if (differences === 'refuse') await checkMatch(context, server, session, options)
  } catch (error) {
    throw error instanceof TenantryError ? error.forTenant(row.id) : error
  } finally {
    await session.close()
  }
  const { separation } = context
  if (separation !== undefined && row.credential !== undefined) {
    await closeToTenants(server, admin, row.database, options)
    await handOver(context, server, separation.groups, row.database, options)
  }
}

function changesFor(context: ProvisioningContext, row: TenantRow, found: DatabaseInfo): readonly Change[] {
  const { state, fingerprint = context.fingerprint } = row
  // An offboarding that has not archived the database: its last state on the server was the one before.
  const now =
    state === 'offboarded'
      ? { state: row.restingState ?? 'active', transition: 0 }
      : { state, transition: row.transition }
  const { separation } = context
  const isSeparate = separation !== undefined && row.credential !== undefined
  const { database } = row
  return [
    { change: 'make-private', database, groups: isSeparate ? separation.groups : undefined },
    ...(state === 'active' ? enableLogin(context, row) : disableLogin(context, row, database)),
    { change: 'stamp', database, comment: tenantStamp(context, row, { ...now, fingerprint, comment: found.comment }) },
  ]
}
