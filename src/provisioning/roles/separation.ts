import { randomBytes } from 'node:crypto'
import { type ErrorCode, TenantryError } from '../../kernel/errors.ts'
import { type Identifier, type Installation, physicalNames } from '../../kernel/names.ts'
import { Secret } from '../../kernel/secret.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type {
  Change,
  DatabaseInfo,
  GroupRoles,
  LimitedLogin,
  Server,
  Session,
  WhichSessions,
  Login,
} from '../../server/port.ts'
import { readStamp } from '../../server/stamp.ts'
import type { ProvisioningContext, Separation } from '../context.ts'

/** Returns the groups of an installation. */
export function groupRoles(installation: Installation): GroupRoles {
  return {
    owner: physicalNames.owner(installation),
    objects: physicalNames.objects(installation),
    app: physicalNames.app(installation),
  }
}

/** Makes sure that a server has the groups that new databases need; checked once by each process. */
export async function ensureGroups(
  separation: Pick<Separation, 'groups' | 'preparedServers'> | undefined,
  server: Server,
  session: Session,
): Promise<GroupRoles | undefined> {
  if (separation === undefined) return undefined
  const { groups, preparedServers } = separation
  if (preparedServers.has(server.name)) return groups
  await server.roles.ensureGroups(session, groups)
  preparedServers.add(server.name)
  return groups
}

/** A database to make. */
interface NewDatabase {
  readonly server: Server
  readonly admin: Session
  readonly database: Identifier
  readonly template: string
  /** The roles to make it for; undefined for one that belongs to the role that administers. */
  readonly groups: GroupRoles | undefined
  /** Changes before any role can connect to it. */
  readonly also?: readonly Change[]
}

/**
 * Makes a database that PUBLIC can never connect to, not even for a moment: it is closed until CONNECT, which
 * PostgreSQL grants to PUBLIC for every new database, is revoked.
 *
 * @returns false if the name is taken
 * @throws `permission-denied`
 */
export async function createPrivate(making: NewDatabase): Promise<boolean> {
  const { server, admin, database, template, groups, also = [] } = making
  const options = { template, owner: groups?.owner, acceptsConnections: false }
  if (!(await server.databases.create(admin, database, options))) return false
  await server.apply(admin, [{ change: 'make-private', database, groups }, ...also, { change: 'open', database }])
  return true
}

/** True if a database was made for a tenant with a role of its own: it belongs to the group then. */
export function isSeparate({ separation }: ProvisioningContext, info: Pick<DatabaseInfo, 'owner'>): boolean {
  return info.owner === separation?.groups.owner
}

/** Returns 256 random bits, in letters that need no escape in a URL. */
export function newPassword(): Secret {
  return new Secret(randomBytes(32).toString('base64url'))
}

/** A new password for the role of a tenant or a spare, and its encrypted form for the catalog. */
interface NewLogin extends LimitedLogin {
  readonly sealed: string
}

/** Generates a new password for the role of a row on a server. */
export function newLogin(
  installation: Installation,
  { keys, connectionLimit }: Separation,
  server: Server,
  rowId: string,
): NewLogin {
  const user = physicalNames.login(installation, rowId)
  const password = newPassword()
  return { user, password, sealed: keys.seal(password, user), connectionLimit: connectionLimit(server) }
}

/** Returns the change that gives a database its new login, if it gets one. */
export function loginChanges(
  separation: Separation | undefined,
  login: LimitedLogin | undefined,
  database: Identifier,
): Change[] {
  if (separation === undefined || login === undefined) return []
  return [{ change: 'set-login', login, groups: separation.groups, database, mode: 'enabled' }]
}

/**
 * Returns the login of a tenant's work; undefined if it shares the role of the connection.
 *
 * @throws `credentials-unreadable`
 */
export function loginOf(
  { installation, separation }: Pick<ProvisioningContext, 'installation' | 'separation'>,
  { rowId, credential }: TenantRow,
  which: 'current' | 'pending' = 'current',
): Login | undefined {
  const sealed = which === 'current' ? credential?.sealed : credential?.pending
  if (separation === undefined || sealed === undefined) return undefined
  const user = physicalNames.login(installation, rowId)
  return { user, password: separation.keys.open(sealed, user) }
}

/**
 * Drops the role of a tenant or a spare, if it has one, and the temporary roles of its row. A role that may connect to
 * another database than the given one stays: it belongs to a tenant that is unknown to a catalog that was set back to
 * before its claim.
 *
 * @param database its database, unless that was dropped
 */
export async function dropLogin(
  context: ProvisioningContext,
  server: Server,
  admin: Session,
  rowId: string,
  database?: Identifier,
): Promise<void> {
  const { installation } = context
  const helpers = await server.roles.find(admin, physicalNames.helpersOf(installation, rowId))
  for (const user of [...helpers.keys(), physicalNames.login(installation, rowId)]) {
    await dropOurRole(context, server, admin, user, database)
  }
}

/**
 * Drops a role of the installation, with all its privileges; from now on it cannot log in, even if it cannot be
 * dropped. That is reported and prevents nothing else: reconciling tries again.
 *
 * @param database the database that it may connect to
 * @returns false if it stays
 */
export async function dropOurRole(
  context: ProvisioningContext,
  server: Server,
  admin: Session,
  user: Identifier,
  database?: Identifier,
): Promise<boolean> {
  const { installation, installationId } = context
  const heir = (comment: string | undefined) => {
    const stamp = readStamp(comment)
    const isTenants = stamp?.installation === installationId && stamp.kind === 'tenant'
    const login = isTenants ? physicalNames.login(installation, stamp.row) : undefined
    return login === user ? undefined : login
  }
  try {
    return await server.roles.drop(admin, user, { database, heir })
  } catch (error) {
    if (!(error instanceof TenantryError) || endsWork.includes(error.code)) throw error
    context.emit({ event: 'role-kept', server: server.name, role: user, error })
    return false
  }
}

/** Errors after which the session is unusable. */
const endsWork: readonly ErrorCode[] = ['aborted', 'closed', 'connection-lost']

/**
 * Returns the change that disables the login of a tenant's own role, if it has one, and revokes its privilege to connect
 * to its database, under the current name.
 */
export function disableLogin({ installation }: ProvisioningContext, row: TenantRow, database: Identifier): Change[] {
  if (row.credential === undefined) return []
  return [{ change: 'disable-login', user: physicalNames.login(installation, row.rowId), database }]
}

/** Returns the change that enables the login of a tenant's own role again, if it has one. */
export function enableLogin(
  { installation }: ProvisioningContext,
  { credential, rowId, database }: TenantRow,
): Change[] {
  if (credential === undefined) return []
  return [{ change: 'enable-login', user: physicalNames.login(installation, rowId), database }]
}

/** The sessions that may be a tenant's work: also a backup, if the tenant's own role gives its session that name. */
export function workOf({ installation }: ProvisioningContext, { rowId, credential }: TenantRow): WhichSessions {
  return credential === undefined ? 'work' : { workOf: physicalNames.login(installation, rowId) }
}
