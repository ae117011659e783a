import { randomUUID } from 'node:crypto'
import type { Cancellable } from '../../kernel/abort.ts'
import { TenantryError } from '../../kernel/errors.ts'
import { type Identifier, parseIdentifier, parseTenantId, physicalNames } from '../../kernel/names.ts'
import { isInService, nextTransition } from '../../catalog/states.ts'
import { publicTenant, type Tenant, type TenantRow } from '../../catalog/tenant.ts'
import type { Change, DatabaseInfo, GroupRoles, Login, Server, Session } from '../../server/port.ts'
import { withSession } from '../../server/with-session.ts'
import { readStamp } from '../../server/stamp.ts'
import type { GroupsInUse } from '../../server/structure.ts'
import type { WrongPrivileges } from '../../server/wrong-privileges.ts'
import { refuseAnother } from './existing-tenant.ts'
import { emitChange, type MakingContext, type ProvisioningContext } from '../context.ts'
import { lookAtTenant, unknownStructureError } from '../tables/compare-tenant.ts'
import { endAllSessions, remainError } from '../drain.ts'
import { runHook } from '../hooks.ts'
import { goneError } from './make-tenant.ts'
import { durablyBoth, type LockedWork, onServerOf, underLock } from '../locks/locked-work.ts'
import { withHelper } from '../roles/helper-login.ts'
import { ensureGroups, loginChanges, newLogin } from '../roles/separation.ts'
import { refuseMismatch, reported } from '../tables/compare-database.ts'
import { protectHistory } from '../tables/create-tables.ts'
import { ensureTemplate } from '../templates/template.ts'
import { isStampOf, tenantStamp } from './tenant-names.ts'
import { type NewTenantOptions, placeNewTenant } from './tenant-options.ts'

/** Options of `adopt`. */
export interface AdoptOptions extends NewTenantOptions {
  /** The name of the database to take over. It keeps it. */
  readonly database: string
  /** The name of the server that it is on. Default: the first one of the configuration. */
  readonly server?: string
}

/** The outcome of adopting a database. */
export interface Adopted {
  readonly outcome: 'adopted' | 'already-adopted'
  readonly tenant: Tenant
}

/**
 * Makes a tenant of a database that is there and that nobody's stamp is on. It must match the models; it keeps its name,
 * its data, and in the stamp the comment that it had.
 */
export async function adopt<Handle>(
  context: MakingContext<Handle>,
  id: string,
  options: AdoptOptions,
): Promise<Adopted> {
  const tenantId = parseTenantId(id)
  const database = adoptable(context, options.database)
  const wanted = placeNewTenant(options, [...context.servers.keys()])
  const place = { ...wanted, servers: wanted.servers.slice(0, 1) }

  return underLock(context, tenantId, options, async (locked) => {
    const known = await locked.catalog.find(tenantId)
    if (known !== undefined) {
      const isThere = known.database === database && known.server === place.servers[0]
      const isSame = isThere && (isInService(known.state) || known.origin === 'adopt')
      const hint = `Its database is ${known.database}, on the server ${known.server}.`
      refuseAnother('adopt', known, { isSame, hint })
      if (isInService(known.state)) return { outcome: 'already-adopted', tenant: publicTenant(known) }
    }
    // Looked at before anything is written, so that what cannot be adopted leaves no trace.
    const site = await checkAdoptable(context, place.servers[0] ?? '', database, known, options)
    const { row, isNew } = await locked.catalog.intend(
      { rowId: randomUUID(), id: tenantId, database, origin: 'adopt', source: database, ...place },
      options,
    )
    if (isNew) emitChange(context, 'adopt', row, { from: undefined, to: 'onboarding', since: locked.since })
    const made = await takeOver(context, locked, row, site.comment, options)
    return { outcome: 'adopted', tenant: publicTenant(made) }
  })
}

function adoptable({ installation, home }: ProvisioningContext, name: string): Identifier {
  const database = parseIdentifier(name, 'database')
  const ours = [physicalNames.catalog(installation), physicalNames.administration(installation)]
  const own = [...ours, home.maintenanceDatabase, 'template0', 'template1', 'postgres']
  if (!own.includes(database)) return database
  throw new TenantryError('invalid-option', `The database ${database} cannot be a tenant's.`, {
    hint: 'Name a database with the tables of the models.',
  })
}

/** Checks that a database may be adopted: it is nobody's, it is ours to change, and it matches the models. */
async function checkAdoptable<Handle>(
  context: MakingContext<Handle>,
  serverName: string,
  database: Identifier,
  known: TenantRow | undefined,
  options: AdoptOptions,
): Promise<{ comment: string | undefined }> {
  const server = context.servers.get(serverName) as Server
  return withSession(server.connect(database, options), async (session) => {
    const [found] = await server.databases.describe(session, [database])
    const stamp = readStamp(found?.comment)
    const isBegun = known !== undefined && isStampOf(context, known, stamp)
    if (stamp !== undefined && !isBegun && stamp.installation === context.installationId)
      throw databaseTakenError(database)
    if (stamp !== undefined && !isBegun) {
      throw new TenantryError('foreign-database', `The database ${database} has a stamp of Tenantry's already.`, {
        hint: 'It belongs to a tenant of another installation. It was not touched.',
      })
    }
    refuseUnlessOurs(session, found)
    await checkHistory(context, session)
    await checkMatch(context, server, session, options)
    return { comment: stamp === undefined ? found?.comment : stamp.comment }
  })
}

function databaseTakenError(database: Identifier): TenantryError {
  return new TenantryError('tenant-exists', `The database ${database} is another tenant's already.`, {
    hint: 'tenants.list() and "tenantry list" show which tenant has which database.',
  })
}

/** Refuses a database that the session's role may not change. @throws `permission-denied` */
export function refuseUnlessOurs({ user }: Pick<Session, 'user'>, found: DatabaseInfo | undefined): void {
  if (found?.mayAlter !== false) return
  const { name, owner } = found
  throw new TenantryError('permission-denied', `${user} may not take over ${name}: it belongs to ${owner}.`, {
    hint: `As a superuser, or as its owner: ALTER DATABASE "${name}" OWNER TO "${user}"; or: GRANT "${owner}" TO "${user}";`,
  })
}

/** Refuses a database with a history that is not the one of the models. @throws `schema-conflict`, `verification-failed` */
async function checkHistory<Handle>({ models }: MakingContext<Handle>, session: Session): Promise<void> {
  const pending = await models.schema.pending?.(session)
  if (pending === undefined || pending === 'newer' || pending.length === 0) return
  const names = pending.map(({ name }) => name)
  throw new TenantryError('verification-failed', `${session.database} lacks migrations: ${names.join(', ')}.`, {
    hint: 'Nothing was changed. Apply them to it with the tool that made them, then adopt it again.',
  })
}

/**
 * Checks that a database matches the models.
 *
 * @returns the objects that the groups of `usedBy` cannot use
 * @throws `verification-failed` where it differs
 */
export async function checkMatch<Handle>(
  context: MakingContext<Handle>,
  server: Server,
  session: Session,
  options: Cancellable,
  usedBy?: GroupsInUse,
): Promise<readonly WrongPrivileges[]> {
  const build = () => ensureTemplate(context, server, options)
  const look = await lookAtTenant(context, { server, session, usedBy, build })
  refuseMismatch(session.database, reported(look, context.models.schema))
  if (!look.isKnown) throw unknownStructureError(session.database)
  return look.live.wrongPrivileges
}

/** Initialises, stamps, and makes the tenant active. */
function takeOver<Handle>(
  context: MakingContext<Handle>,
  locked: LockedWork,
  row: TenantRow,
  comment: string | undefined,
  options: AdoptOptions,
): Promise<TenantRow> {
  return onServerOf(context, locked, row, options, async (server, admin) => {
    const { initialise, fingerprint, separation } = context
    const target = { server, database: row.database, tenant: publicTenant(row) }
    const groups = await ensureGroups(separation, server, admin)
    if (groups !== undefined) {
      await closeToTenants(server, admin, row.database, options)
      await handOver(context, server, groups, row.database, options)
    }
    if (initialise !== undefined) {
      const run = (by?: Login) => runHook(context, 'initialise', initialise, { ...target, login: by }, options)
      await (separation === undefined
        ? run()
        : withHelper(context, separation, { server, admin, database: row.database, rowId: row.rowId }, run))
    }
    const transition = nextTransition(row.transition)
    const stamp = tenantStamp(context, row, { fingerprint, state: 'active', transition, comment })
    const login = separation && newLogin(context.installation, separation, server, row.rowId)
    const made = await durablyBoth(
      locked,
      admin,
      () =>
        server.apply(admin, [
          { change: 'stamp', database: row.database, comment: stamp },
          ...loginChanges(separation, login, row.database),
        ]),
      async () => {
        if (login !== undefined) await locked.credentials.put(row.rowId, login.sealed)
        const change = { verb: 'adopt', to: 'active', fingerprint, transition, actor: options.actor } as const
        return locked.catalog.take('activate', row.rowId, change)
      },
    )
    if (made === undefined) throw goneError()
    emitChange(context, 'adopt', made, { from: 'onboarding', to: 'active', since: locked.since })
    return made
  })
}

/**
 * Revokes public access to a database, and ends the sessions that tenants have in it: once it is handed over, their roles
 * have privileges on what it contains.
 *
 * @throws `sessions-remain`, `permission-denied`
 */
export async function closeToTenants(
  server: Server,
  admin: Session,
  database: Identifier,
  { signal }: Cancellable,
): Promise<void> {
  await server.apply(admin, [{ change: 'make-private', database, groups: undefined }])
  if (!(await server.sessions.endLogins(admin, { database }))) throw remainError(database)
  await endAllSessions(server, admin, { database, which: 'tenants', signal })
  await server.sessions.rollBackPrepared(admin, database)
}

/**
 * Makes a database like one of ours, which a tenant's role can use and does not own. Names that are looked up there are
 * PostgreSQL's own: anybody may have put a function of the same name where it would be found first.
 */
export async function handOver(
  { models }: Pick<ProvisioningContext, 'models'>,
  server: Server,
  groups: GroupRoles,
  database: Identifier,
  options: Cancellable,
): Promise<void> {
  const takingOver: readonly Change[] = [
    { change: 'take-over', database, groups },
    ...protectHistory(models.schema, groups),
  ]
  await withSession(server.connect(database, options), (session) =>
    session.transaction(() => server.apply(session, takingOver), { schema: 'pg_catalog' }),
  )
}
