import { explained, hasCode, TenantryError } from '../../kernel/errors.ts'
import type { TenantId } from '../../kernel/names.ts'
import { isInService } from '../../catalog/states.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type { LockHolder, Server, Session } from '../../server/port.ts'
import { readStamp, type Stamp } from '../../server/stamp.ts'
import { withSession } from '../../server/with-session.ts'
import { emitChange, type MakingContext, type VerbOptions } from '../context.ts'
import { durably, onServerOf, underLock } from '../locks/locked-work.ts'
import { lookWith, reported } from '../tables/compare-database.ts'
import { comparedWith, knownOrBuilt, lookAtVersion, unknownStructureError } from '../tables/compare-tenant.ts'
import { protectHistory } from '../tables/create-tables.ts'
import { ensureTemplate } from '../templates/template.ts'
import { differencesIn } from '../../structure/comparison.ts'
import { isOfForm, isPrepared } from '../../structure/online.ts'
import { goneError } from '../tenants/make-tenant.ts'
import { foreignError, isStampOf, missingError, tenantStamp } from '../tenants/tenant-names.ts'
import { ensureExtensions, afterPreparation, runSteps, stepOptions } from './apply-steps.ts'
import type { PlannedVersion } from './plan.ts'
import { prepareOnline, type PrepareOptions } from './prepare-online.ts'
import { type TenantLease, whileLeased } from './tenant-lease.ts'
import { runUpdateHook } from './update-hooks.ts'

/** Options of the change of one tenant. */
export interface BringOptions extends VerbOptions, Pick<PrepareOptions, 'olderTimeoutMs'> {
  readonly lockTimeoutMs?: number | undefined
  readonly largeTableBytes?: number | undefined
  /** The right of this process to change the tenant, if other processes may take it over. */
  readonly lease?: TenantLease | undefined
}

/** A tenant to change: its row, if another one of the same id must not be changed in its place. */
export interface TenantToChange {
  readonly id: TenantId
  readonly rowId?: string
}

/** In milliseconds. Short: every statement on the table waits behind a change that waits for its lock. */
const defaultLockTimeoutMs = 400

/**
 * Brings one tenant from an older version to this process's: in one transaction in its database, which also compares the
 * result and writes the stamp. A crash leaves the tenant at one of the versions; where the stamp is newer than the
 * catalog, repeating the call records it, after the service's own step that follows the change.
 *
 * @returns `already-changed` if it has the version of this process; `skipped` if it is not at the older version any more,
 *   or out of service
 * @throws `verification-failed` if its database is not as its version is
 */
export async function bringUpToDate<Handle>(
  context: MakingContext<Handle>,
  { id, rowId }: TenantToChange,
  version: PlannedVersion,
  options: BringOptions,
): Promise<'changed' | 'already-changed' | 'skipped'> {
  const { actor, signal, lease } = options
  const locking = { signal, idleMs: lease?.ms }
  return underLock(context, id, locking, async (locked) => {
    const row = await locked.catalog.find(id)
    if (row === undefined || !isInService(row.state) || (rowId !== undefined && row.rowId !== rowId)) return 'skipped'
    if (row.fingerprint === context.fingerprint) return 'already-changed'
    if (row.fingerprint !== version.fingerprint) return 'skipped'
    return onServerOf(context, locked, row, locking, async (server, admin): Promise<'changed'> => {
      const change = (limited: BringOptions) =>
        withSession(server.connect(row.database, limited), (session) =>
          changeWithHooks(context, { server, session, row, version }, limited),
        )
      await whileLeased([locked.session, admin], options, change)
      const changed = await durably(locked, () =>
        locked.catalog.setVersion(row, context.fingerprint, { verb: 'roll-out', actor }),
      )
      if (changed === undefined) throw goneError()
      emitChange(context, 'roll-out', changed, { from: row.state, to: row.state, since: locked.since })
      return 'changed'
    })
  })
}

interface TenantSite {
  readonly server: Server
  readonly session: Session
  readonly row: TenantRow
  readonly version: PlannedVersion
}

/** Changes a tenant, with the service's own steps before and after. An earlier attempt may have made the change. */
async function changeWithHooks<Handle>(
  context: MakingContext<Handle>,
  site: TenantSite,
  options: BringOptions,
): Promise<void> {
  const { beforeUpdate, fingerprint } = context
  if (beforeUpdate !== undefined && (await stampOfTenant(context, site)).fingerprint !== fingerprint)
    await runUpdateHook(context, 'beforeUpdate', site, options)
  await changeDatabase(context, site, options)
  await runUpdateHook(context, 'afterUpdate', site, options)
}

async function changeDatabase<Handle>(
  context: MakingContext<Handle>,
  site: TenantSite,
  options: BringOptions,
): Promise<void> {
  const { server, session, version } = site
  const forms = version.steps.flatMap(({ online }) => online ?? [])
  try {
    const isOnline = await hasLargeTable(site, options)
    if (isOnline) await prepareTenant(context, site, options)
    try {
      await changeDespiteTemporary(context, site, options, isOnline)
    } catch (error) {
      if (!hasCode(error, 'query-failed', 'verification-failed') || forms.length === 0) throw error
      // Prepared by an earlier attempt, while the table was larger, or by another limit.
      if (isOnline || !isPrepared((await server.structures.read(session)).structure, forms)) throw error
      await prepareTenant(context, site, options)
      await changeAtOnce(context, site, options, true)
    }
  } catch (error) {
    if (hasCode(error, 'lock-timeout')) throw await withHolders(error, server, session, version)
    throw hasCode(error, 'query-failed') ? await withDrift(error, context, site) : error
  }
}

/**
 * Changes a tenant, and again without its sessions if their temporary objects, such as a view on a column, are in the way.
 *
 * @throws `sessions-remain` if these remain
 */
async function changeDespiteTemporary<Handle>(
  context: MakingContext<Handle>,
  site: TenantSite,
  options: BringOptions,
  isOnline: boolean,
): Promise<void> {
  const { server, session, row } = site
  const dependents = () => server.sessions.temporaryDependents(session)
  try {
    await changeAtOnce(context, site, options, isOnline)
  } catch (error) {
    if (!hasCode(error, 'query-failed') || (await dependents()).length === 0) throw error
    const retrying = withSession(server.connect(row.database, options), (beside) =>
      changeAtOnce(context, site, options, isOnline, beside),
    )
    await retrying.catch(async (failure: unknown) => {
      const left = hasCode(failure, 'query-failed') ? await dependents() : []
      throw left.length === 0 ? failure : dependentsError(row, left, failure)
    })
  }
}

function dependentsError({ id, database }: TenantRow, names: readonly string[], cause: unknown): TenantryError {
  const message = `Temporary objects of sessions in ${database} depend on what a step changes: ${names.join(', ')}.`
  return new TenantryError('sessions-remain', message, {
    cause,
    tenant: id,
    hint: `Suspend ${id}, which ends its sessions, and start the rollout again. Drop objects that outlast all sessions as a superuser.`,
  })
}

/** The size of a table, in bytes, that takes noticeable time to read. */
const defaultLargeTableBytes = 32 * 2 ** 20

/** True if a step that has an online form reads a large table of the tenant. */
async function hasLargeTable(
  { server, session, version }: TenantSite,
  { lease, largeTableBytes = defaultLargeTableBytes, lockTimeoutMs = defaultLockTimeoutMs }: BringOptions,
): Promise<boolean> {
  const tables = version.steps.flatMap(({ online, scanned }) => (online === undefined ? [] : scanned))
  if (tables.length === 0) return false
  const look = () => server.structures.largestTable(session, tables)
  return (await session.transaction(look, { readOnly: true, lockTimeoutMs, idleMs: lease?.ms })) >= largeTableBytes
}

async function prepareTenant<Handle>(
  context: MakingContext<Handle>,
  site: TenantSite,
  { signal, olderTimeoutMs, lease, lockTimeoutMs = defaultLockTimeoutMs }: BringOptions,
): Promise<void> {
  const { server, session, row, version } = site
  if ((await stampOfTenant(context, site)).fingerprint === context.fingerprint) return
  await ensureExtensions(context, server, session)
  await prepareOnline(context, { server, database: row.database }, version.steps, {
    signal,
    lockTimeoutMs,
    olderTimeoutMs,
    idleMs: lease?.ms,
  })
}

/** Reads the tenant's stamp. @throws `database-missing`, `verification-failed` if it has none of this tenant */
async function stampOfTenant<Handle>(
  context: MakingContext<Handle>,
  { server, session, row }: TenantSite,
): Promise<Stamp> {
  const [found] = await server.databases.describe(session, [row.database])
  if (found === undefined) throw missingError(row)
  const stamp = readStamp(found.comment)
  if (!isStampOf(context, row, stamp)) throw foreignError(row, 'It has no stamp of this tenant.')
  return stamp
}

/**
 * Runs the steps in one transaction, or what takes their place after the preparation.
 *
 * @param beside another session, from which the tenant's sessions with temporary objects that depend on its tables are ended
 */
async function changeAtOnce<Handle>(
  context: MakingContext<Handle>,
  site: TenantSite,
  options: BringOptions,
  isOnline: boolean,
  beside?: Session,
): Promise<void> {
  const { fingerprint } = context
  const { server, session, row, version } = site
  const { lockTimeoutMs = defaultLockTimeoutMs } = options
  const work = async () => {
    const stamp = await stampOfTenant(context, site)
    const isChanged = stamp.fingerprint === fingerprint
    if (!isChanged) {
      // First, while no table is locked: a session that keeps the database locked is ended, which takes a second.
      const { state, transition } = row
      const comment = tenantStamp(context, row, { fingerprint, state, transition, comment: stamp.comment })
      await server.apply(session, [{ change: 'stamp', database: row.database, comment }])
      await ensureExtensions(context, server, session)
      const { separation, models } = context
      if (beside !== undefined) {
        const locking = { role: separation?.groups.objects, lockTimeoutMs }
        await server.sessions.endTemporaryDependents(session, beside, tablesOf(version), locking)
      }
      await runSteps(context, session, isOnline ? afterPreparation(version.steps) : version.steps, lockTimeoutMs)
      if (separation !== undefined && row.credential !== undefined)
        await server.apply(session, protectHistory(models.schema, separation.groups))
    }
    await refuseDrift(context, site, options)
  }
  // Outside of the transaction it holds no lock, and may be idle: while the tenant is prepared in another session.
  await session.transaction(work, { ...stepOptions(context), durable: true, idleMs: options.lease?.ms })
}

/** Adds the holders of the locks that a change did not get. */
async function withHolders(
  failure: TenantryError,
  server: Server,
  session: Session,
  version: PlannedVersion,
): Promise<TenantryError> {
  // The first error counts, also if this look fails.
  const holders = await server.sessions.lockHolders(session, tablesOf(version)).catch(() => [])
  if (holders.length === 0) return failure
  return explained(failure, 'lock-timeout', failure.message, {
    hint: `Locks on the tables are held by: ${holders.map(holderText).join('; ')}.`,
  })
}

/** Returns the tables that the steps lock. */
function tablesOf({ steps }: PlannedVersion): readonly string[] {
  return steps.flatMap(({ locks }) => locks.map(({ table }) => table))
}

function holderText({ processId, user, state, heldMs, query }: LockHolder): string {
  const who = processId === undefined ? 'a prepared transaction' : `session ${processId}`
  const role = user === undefined ? '' : ` of ${user}`
  const since = heldMs === undefined ? '' : ` for ${Math.round(heldMs)} ms`
  const last = query === undefined || query === '' ? '' : `, last statement: ${query}`
  return `${who}${role}${state === undefined ? '' : `, ${state}`}${since}${last}`
}

/**
 * Compares the changed database with the desired version, in the transaction that changed it. Tables of the tenant's
 * own that the models do not declare may be there, as after `adopt`; parts of the models' tables may not.
 */
async function refuseDrift<Handle>(
  context: MakingContext<Handle>,
  { server, session, row }: TenantSite,
  options: BringOptions,
): Promise<void> {
  const live = await server.structures.read(session, { where: 'transaction' })
  const desired = await knownOrBuilt(context, live, () => ensureTemplate(context, server, options))
  if (desired === undefined) throw unknownStructureError(session.database)
  const look = await lookWith(live, desired, comparedWith(context, server))
  const found = differencesIn(reported(look, context.models.schema))
  if (found.length > 0) throw driftError(row, `after the steps of the plan, ${found.join(', ')}`)
}

/** Finds out if a statement failed because the database was changed by hand. */
async function withDrift<Handle>(
  failure: TenantryError,
  context: MakingContext<Handle>,
  { server, session, row, version }: TenantSite,
): Promise<TenantryError> {
  const look = await lookAtVersion(context, { server, session }, row.fingerprint ?? '').catch(() => undefined)
  const forms = version.steps.flatMap(({ online }) => online ?? [])
  if (look === undefined) return failure
  // What was prepared differs from the version, and was not made by hand.
  const differences = look.differences.filter((it) => !isOfForm(it.change === 'extra' ? it.found : it.expected, forms))
  const found = differencesIn(reported({ ...look, differences }, context.models.schema))
  return found.length === 0 ? failure : driftError(row, `${found.join(', ')} (${failure.message})`, failure)
}

function driftError({ id, database, version }: TenantRow, what: string, cause?: Error): TenantryError {
  return new TenantryError('verification-failed', `${database} is not as version ${version} made it: ${what}.`, {
    cause,
    tenant: id,
    hint: `It was changed by hand, and keeps its version. "tenantry drift ${id}" shows how. Repair it, or bring it to the desired version by hand and run "tenantry accept ${id}".`,
  })
}
