import { TenantryError } from '../../kernel/errors.ts'
import { parseTenantId } from '../../kernel/names.ts'
import { publicTenant, type Tenant, type TenantRow } from '../../catalog/tenant.ts'
import type { Server, Session } from '../../server/port.ts'
import { readStamp } from '../../server/stamp.ts'
import { withSession } from '../../server/with-session.ts'
import type { WrongPrivileges } from '../../server/wrong-privileges.ts'
import { emitChange, type MakingContext, type VerbOptions } from '../context.ts'
import { despiteRaces } from '../drain.ts'
import { durablyBoth, onServerOf, type ServerSite, underLock } from '../locks/locked-work.ts'
import { structuresOf } from '../tables/compare-tenant.ts'
import { ensureTemplate } from '../templates/template.ts'
import { checkMatch } from './adopt.ts'
import { groupsInUse } from './check-tenant.ts'
import { findInService } from './existing-tenant.ts'
import { foreignError, isStampOf, missingError, tenantStamp } from './tenant-names.ts'
import { goneError } from './make-tenant.ts'

/** The result of accepting the tables that a tenant has. */
export interface Accepted {
  /** `already-accepted` if the catalog has the tenant at this process's version. */
  readonly outcome: 'accepted' | 'already-accepted'
  readonly tenant: Tenant
  /** The objects whose owner or privileges were changed such that the tenant can use them. */
  readonly repaired: readonly WrongPrivileges[]
}

/**
 * Records that a tenant has this process's version, after its tables were changed by hand. Its database must match the
 * models. Objects that the tenant cannot use, since another role made them, are transferred to the objects role.
 */
export async function accept<Handle>(
  context: MakingContext<Handle>,
  id: string,
  options: VerbOptions,
): Promise<Accepted> {
  const tenantId = parseTenantId(id)
  return underLock(context, tenantId, options, async (locked) => {
    const row = await findInService(locked.catalog, 'accept', tenantId, options)
    return onServerOf(context, locked, row, options, async (server, admin) => {
      const [found] = await server.databases.describe(admin, [row.database])
      if (found === undefined) throw missingError(row)
      const stamp = readStamp(found.comment)
      if (!isStampOf(context, row, stamp)) throw foreignError(row, 'It has no stamp of this tenant.')
      const repaired = await verify(context, { server, admin }, row, options)
      const { fingerprint } = context
      if (row.fingerprint === fingerprint) return { outcome: 'already-accepted', tenant: publicTenant(row), repaired }
      const { state, transition } = row
      const comment = tenantStamp(context, row, { fingerprint, state, transition, comment: stamp?.comment })
      const accepted = await durablyBoth(
        locked,
        admin,
        () => server.apply(admin, [{ change: 'stamp', database: row.database, comment }]),
        () => locked.catalog.setVersion(row, fingerprint, { verb: 'accept', actor: options.actor }),
      )
      if (accepted === undefined) throw goneError()
      emitChange(context, 'accept', accepted, { from: state, to: state, since: locked.since })
      return { outcome: 'accepted', tenant: publicTenant(accepted), repaired }
    })
  })
}

/** Checks that a tenant's database matches the models, and repairs owners and privileges. @returns those repaired */
async function verify<Handle>(
  context: MakingContext<Handle>,
  { server, admin }: ServerSite,
  row: TenantRow,
  options: VerbOptions,
): Promise<readonly WrongPrivileges[]> {
  try {
    // The tables that tenants must be able to use are those of the template.
    if ((await structuresOf(context)).size === 0) await ensureTemplate(context, server, options)
    const usedBy = await groupsInUse(context, row)
    return await withSession(server.connect(row.database, options), async (session) => {
      const wrong = await checkMatch(context, server, session, options, usedBy)
      if (wrong.length === 0) return wrong
      const racing = { database: row.database, which: 'tenants', signal: options.signal } as const
      await despiteRaces(server, admin, racing, () => repair(server, session, wrong))
      const { wrongPrivileges: left } = await server.structures.read(session, { usedBy })
      if (left.length > 0) throw unrepairedError(session, left)
      return wrong
    })
  } catch (error) {
    throw error instanceof TenantryError ? error.forTenant(row.id) : error
  }
}

async function repair(server: Server, session: Session, objects: readonly WrongPrivileges[]): Promise<void> {
  const repairing = [{ change: 'repair-privileges', objects }] as const
  try {
    await session.transaction(() => server.apply(session, repairing), { schema: 'pg_catalog' })
  } catch (error) {
    throw error instanceof TenantryError && error.code === 'permission-denied'
      ? unrepairedError(session, objects, error)
      : error
  }
}

function unrepairedError({ user, database }: Session, wrong: readonly WrongPrivileges[], cause?: Error): TenantryError {
  const names = wrong.map(({ kind, name }) => `${kind} ${name}`).join(', ')
  return new TenantryError('permission-denied', `${user} may not repair the privileges on ${names} in ${database}.`, {
    cause,
    hint: `As a superuser, or as the owner, in ${database}: ${wrong.flatMap(({ statements }) => statements).join(' ')}`,
  })
}
