import { randomUUID } from 'node:crypto'
import { hasFailure, TenantryError } from '../../kernel/errors.ts'
import { type Identifier, physicalNames } from '../../kernel/names.ts'
import { makingVerbs } from '../../catalog/audit.ts'
import { nextTransition } from '../../catalog/states.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type { Change, Server, Session } from '../../server/port.ts'
import { readStamp, writeStamp } from '../../server/stamp.ts'
import { withSession } from '../../server/with-session.ts'
import { emitChange, type ProvisioningContext, type VerbOptions } from '../context.ts'
import { endAllSessions } from '../drain.ts'
import { durablyBoth, type LockedWork, onServerOf, underLock, type ServerSite } from '../locks/locked-work.ts'
import { refuseMismatch, reported } from '../tables/compare-database.ts'
import { lookAtVersion } from '../tables/compare-tenant.ts'
import { dropLogin, dropOurRole, isSeparate, loginChanges, newLogin } from '../roles/separation.ts'
import { disagreeError, foreignError, isStampOf, namesOf, tenantStamp } from './tenant-names.ts'

/** The steps that make a tenant's database under its building name. */
export interface Recipe {
  /** The version of the models that it will match. */
  readonly fingerprint: string
  /** True if the tenant gets a role of its own. */
  readonly isSeparate: boolean
  /** @returns false if the building name is taken */
  create(server: Server, admin: Session, building: Identifier): Promise<boolean>
  /** Completes it: makes tables or anonymises a copy, and runs the service's hooks. */
  fill(server: Server, admin: Session, building: Identifier): Promise<void>
}

/**
 * Makes the database of a tenant with a row, and the tenant active. The database is made under a name of its own and
 * gets the tenant's name only when it is complete, together with the row if both are on one server. A later call
 * finishes an interrupted one.
 *
 * @throws `foreign-database`, after all that was made has been removed, if the tenant's name belongs to another
 *   database
 */
export function makeTenant(
  context: ProvisioningContext,
  locked: LockedWork,
  row: TenantRow,
  recipe: Recipe,
  options: VerbOptions,
): Promise<TenantRow> {
  return onServerOf(context, locked, row, options, async (server, admin) => {
    const site: MakingSite = { context, locked, row, server, admin }
    const made = await nameOrMake(site, recipe, options)
    emitChange(context, makingVerbs[row.origin], made, { from: 'onboarding', to: 'active', since: locked.since })
    return made
  })
}

/**
 * Makes a tenant active whose database has its name and stamp, if it is the same tenant, and not active yet. An adopted
 * database is compared with its version first, as by `adopt`: others are copies of a database that was.
 *
 * @throws `verification-failed`
 */
export function finishMaking(context: ProvisioningContext, tenant: TenantRow, options: VerbOptions): Promise<void> {
  return underLock(context, tenant.id, options, async (locked) => {
    const row = await locked.catalog.find(tenant.id)
    if (row?.rowId !== tenant.rowId || row.state !== 'onboarding') return
    await onServerOf(context, locked, row, options, async (server, admin) => {
      const site: MakingSite = { context, locked, row, server, admin }
      const named = await findNamed(site, options)
      if (named === undefined) return
      if (row.origin === 'adopt') await verifyAdopted(site, named, options)
      const made = await nowMade(site, named, [], options)
      emitChange(context, makingVerbs[row.origin], made, { from: 'onboarding', to: 'active', since: locked.since })
    })
  })
}

function verifyAdopted(
  { context, row, server }: MakingSite,
  { fingerprint }: Made,
  options: VerbOptions,
): Promise<void> {
  const connecting = server.connect(row.database, options)
  return withSession(connecting, async (session) => {
    const look = await lookAtVersion(context, { server, session }, fingerprint)
    if (look !== undefined) refuseMismatch(session.database, reported(look, context.models.schema))
  })
}

async function nameOrMake(site: MakingSite, recipe: Recipe, options: VerbOptions): Promise<TenantRow> {
  const named = await findNamed(site, options)
  if (named !== undefined) return nowMade(site, named, [], options)
  await buildDatabase(site, recipe, options)
  const { fingerprint, isSeparate: hasRole } = recipe
  const transition = nextTransition(site.row.transition)
  return takeName(site, { fingerprint, isSeparate: hasRole, transition }, options)
}

/** The place of the work, and the tenant. */
interface MakingSite extends ServerSite {
  readonly context: ProvisioningContext
  readonly locked: LockedWork
  readonly row: TenantRow
}

/** The purpose of a database, and the number of the transition that makes its tenant active. */
type Made = Pick<Recipe, 'fingerprint' | 'isSeparate'> & { readonly transition: number }

/** Returns the purpose of the database, if an earlier call has given it its name. */
async function findNamed(site: MakingSite, options: VerbOptions): Promise<Made | undefined> {
  const { context, row, server, admin } = site
  const { pendingDrop } = namesOf(context, row)
  const databases = await server.databases.describe(admin, [row.database, pendingDrop])
  // The remains of a purge that was interrupted before the row knew: no other code would ever drop it.
  if (databases.some(({ name }) => name === pendingDrop)) await discard(site, pendingDrop, options)
  const found = databases.find(({ name }) => name === row.database)
  if (found === undefined) return undefined
  const stamp = readStamp(found.comment)
  if (isStampOf(context, row, stamp) && stamp.kind === 'tenant') {
    const { fingerprint, state = 'active', transition = nextTransition(row.transition) } = stamp
    if (state !== 'active') throw disagreeError(row, { name: found.name, stamp })
    return { fingerprint, isSeparate: isSeparate(context, found), transition }
  }
  throw await withdraw(site, options)
}

/** Removes the row and the database, since the name is taken. Only the row identifies a building database. */
async function withdraw(site: MakingSite, options: VerbOptions): Promise<TenantryError> {
  const { context, locked, row } = site
  const { actor } = options
  await discardBuilding(site, options)
  const isGone = await locked.catalog.remove(row.rowId, 'onboarding', 'withdraw', { actor })
  if (isGone) emitChange(context, 'withdraw', row, { from: 'onboarding', to: undefined, since: locked.since })
  return foreignError(row, 'Rename it, or give the tenant another id.')
}

/**
 * Makes the database under its building name, which proves its tenant until it has a stamp. A database that an
 * interrupted call left may have been made for other models: it is discarded, which its random name permits.
 */
async function buildDatabase(site: MakingSite, recipe: Recipe, options: VerbOptions): Promise<void> {
  const { server, admin } = site
  const { building } = namesOf(site.context, site.row)
  if (!(await recipe.create(server, admin, building))) {
    await discardBuilding(site, options)
    await recipe.create(server, admin, building)
  }
  await recipe.fill(server, admin, building)
}

/** Takes what an interrupted or refused call made out of the way, and drops the tenant's role. */
async function discardBuilding(site: MakingSite, options: VerbOptions): Promise<void> {
  const { context, row, server, admin } = site
  const discarded = await discard(site, namesOf(context, row).building, options)
  if (discarded !== undefined) {
    await dropOurRole(context, server, admin, physicalNames.login(context.installation, row.rowId), discarded)
  }
  await dropLogin(context, server, admin, row.rowId)
}

/**
 * Takes a database out of the way. A drop can take long, and a caller waits: so it becomes a discarded spare, which is
 * dropped with others. A clone is dropped at once: it is a copy of a tenant's data, and there may be no process that keeps
 * spares.
 *
 * @returns the name that it has now; undefined where there is none
 */
async function discard(
  { context, locked, row, server, admin }: MakingSite,
  database: Identifier,
  { signal }: VerbOptions,
): Promise<Identifier | undefined> {
  if (row.origin === 'clone') await server.databases.drop(admin, database)
  if ((await server.databases.describe(admin, [database])).length === 0) return undefined
  const { installation, installationId, fingerprint } = context
  const rowId = randomUUID()
  const name = physicalNames.spare(installation, rowId)
  await locked.inventory.addSpare({ server: server.name, fingerprint }, rowId, name)
  await locked.inventory.discardSpares([rowId])
  const stamp = writeStamp({ installation: installationId, kind: 'spare', row: rowId, fingerprint })
  const rename = () =>
    server.apply(admin, [
      { change: 'rename', database, to: name },
      { change: 'stamp', database: name, comment: stamp },
    ])
  try {
    await rename()
  } catch (error) {
    if (!hasFailure(error, 'in-use')) throw error
    await endAllSessions(server, admin, { database, which: 'all', signal })
    await rename()
  }
  return name
}

/** Gives the database its name and stamp, and makes the tenant active. */
async function takeName(site: MakingSite, made: Made, options: VerbOptions): Promise<TenantRow> {
  const { context, row, server, admin } = site
  try {
    return await nameOnce(site, made, options)
  } catch (error) {
    if (isNameTaken(error)) throw await withdraw(site, options)
    if (!hasFailure(error, 'in-use')) throw error
    // A hook of the service left a connection, or another program is connected.
    const { building } = namesOf(context, row)
    await endAllSessions(server, admin, { database: building, which: 'all', signal: options.signal })
    return nameOnce(site, made, options)
  }
}

function nameOnce(site: MakingSite, made: Made, options: VerbOptions): Promise<TenantRow> {
  const { context, row } = site
  const { database } = row
  const naming: readonly Change[] = [
    { change: 'rename', database: namesOf(context, row).building, to: database },
    { change: 'stamp', database, comment: tenantStamp(context, row, { ...made, state: 'active' }) },
  ]
  return nowMade(site, made, naming, options)
}

/** Makes the last changes to the database, gives the tenant its role, and makes it active. */
async function nowMade(
  site: MakingSite,
  made: Made,
  last: readonly Change[],
  options: VerbOptions,
): Promise<TenantRow> {
  const { context, locked, row, server, admin } = site
  const { installation } = context
  const separation = made.isSeparate ? context.separation : undefined
  const login = separation && newLogin(installation, separation, server, row.rowId)
  return durablyBoth(
    locked,
    admin,
    () => server.apply(admin, [...last, ...loginChanges(separation, login, row.database)]),
    async () => {
      if (login !== undefined) await locked.credentials.put(row.rowId, login.sealed)
      return activate(site, made, options)
    },
  )
}

async function activate(
  { locked, row }: MakingSite,
  { fingerprint, transition }: Made,
  { actor }: VerbOptions,
): Promise<TenantRow> {
  const change = { verb: makingVerbs[row.origin], to: 'active', fingerprint, transition, actor } as const
  const active = await locked.catalog.take('activate', row.rowId, change)
  if (active === undefined) throw goneError()
  return active
}

/** True if RENAME found the new name taken, even if since a moment. */
export function isNameTaken(error: unknown): boolean {
  return hasFailure(error, 'name-taken', 'duplicate')
}

/** Returns the error of a tenant whose row was removed during the work. */
export function goneError(): TenantryError {
  return new TenantryError(
    'tenant-unknown',
    'The tenant was taken from the catalog, or changed, while it was worked on.',
    {
      hint: 'Repeat the call, if it is still wanted.',
      retryable: true,
    },
  )
}
