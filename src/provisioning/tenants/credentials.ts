import type { Cancellable } from '../../kernel/abort.ts'
import { TenantryError, hasCode } from '../../kernel/errors.ts'
import { type Identifier, parseTenantId, physicalNames, type TenantId } from '../../kernel/names.ts'
import type { Secret } from '../../kernel/secret.ts'
import { eachOf } from '../../kernel/pages.ts'
import { replaceKeyCheck } from '../../catalog/key-check.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type { Change, Login, Server } from '../../server/port.ts'
import { withSession } from '../../server/with-session.ts'
import { requireServer } from '../../server/require-server.ts'
import { emitChange, type ProvisioningContext, type Separation, type VerbOptions } from '../context.ts'
import { despiteRaces, type Drain, endAllSessions, remainError } from '../drain.ts'
import { durably, durablyBoth, lockedBy, onServerOf, underLock, type ServerSite } from '../locks/locked-work.ts'
import { loginOf, newLogin } from '../roles/separation.ts'
import { findInService } from './existing-tenant.ts'
import { disagreeError, findDatabase, type FoundDatabase, isNewer } from './tenant-names.ts'

/** The credentials of a tenant's own role. */
export interface TenantCredentials {
  readonly user: Identifier
  /** Shows as `***`; `reveal()` returns it. */
  readonly password: Secret
  readonly database: Identifier
  /** The name of the server. */
  readonly server: string
}

/** The result of rotating a tenant's password. */
export interface RotatedCredentials {
  readonly outcome: 'rotated'
  readonly tenant: TenantId
}

/** Options of `rotateCredentials`. */
export interface RotateOptions extends VerbOptions {
  /** Ends the sessions that began with the old password, the default: it may have been stolen. */
  readonly endSessions?: boolean
}

/** The time that sessions with the old password have to end by themselves, in milliseconds. */
const quietMs = 1_000

/** The result of encrypting passwords with the current key. */
export interface ReencryptedCredentials {
  /** The number of passwords that were encrypted again, without those that had the current key already. */
  readonly reencrypted: number
  /** The number of passwords that no configured key can read: their tenants need new passwords. */
  readonly unreadable: number
}

/** Returns the credentials of a tenant's own role. */
export async function credentialsOf(
  context: ProvisioningContext,
  id: string,
  options: Cancellable,
): Promise<TenantCredentials> {
  const row = await findInService(context.catalog, 'connecting', parseTenantId(id), options)
  return { ...ownLogin(context, row), database: row.database, server: row.server }
}

/** Returns the environment in which a program connects to a tenant's database. It holds the password. */
export async function environmentOf(
  context: ProvisioningContext,
  id: string,
  options: Cancellable & { readonly as?: 'administrator' | 'owner' | 'tenant' },
): Promise<Readonly<Record<string, string>>> {
  const row = await findInService(context.catalog, 'connecting', parseTenantId(id), options)
  const server = requireServer(context.servers, row.server, row.id)
  switch (options.as ?? 'administrator') {
    case 'tenant':
      return server.environment(row.database, { login: ownLogin(context, row) })
    case 'owner':
      // If tenants share the role of the connection, it is the owner.
      return server.environment(row.database, { role: row.credential && context.separation?.groups.objects })
    case 'administrator':
      return server.environment(row.database)
    default:
      throw new TenantryError('invalid-option', 'as must be "administrator", "owner" or "tenant".', {
        hint: 'Leave it out for the role that administers.',
      })
  }
}

function ownLogin(context: ProvisioningContext, row: TenantRow): Login {
  const login = loginOf(context, row)
  if (login === undefined) throw sharedError(row)
  return login
}

/**
 * Gives a tenant's role a new password. It also repairs a role that was dropped, or whose password was changed by hand,
 * and replaces a password that no key can read any more.
 */
export async function rotateCredentials(
  context: ProvisioningContext,
  id: string,
  options: RotateOptions,
): Promise<RotatedCredentials> {
  const tenantId = parseTenantId(id)
  return underLock(context, tenantId, options, async (locked) => {
    const row = await findInService(locked.catalog, 'rotate-credentials', tenantId, options)
    const { separation, installation } = context
    if (separation === undefined || row.credential === undefined) throw sharedError(row)
    await onServerOf(context, locked, row, options, async (server, admin) => {
      const login = newLogin(installation, separation, server, row.rowId)
      const mode = row.state === 'active' ? 'enabled' : 'disabled'
      const { database } = row
      const setting = [{ change: 'set-login', login, groups: separation.groups, database, mode }] as const
      const found = await findDatabase(context, server, admin, row)
      if (isNewer(found?.stamp, row)) throw disagreeError(row, found as FoundDatabase)
      // On another server the role may have it before the catalog does: both passwords are tried then.
      if (admin !== locked.session) await durably(locked, () => locked.credentials.setPending(row.rowId, login.sealed))
      const own = { database, which: { of: login.user }, signal: options.signal } as const
      await despiteRaces(server, admin, own, () =>
        durablyBoth(
          locked,
          admin,
          () => server.apply(admin, setting),
          async () => {
            await locked.credentials.put(row.rowId, login.sealed)
            await locked.catalog.note(row, 'rotate-credentials', options)
          },
        ),
      )
      if (options.endSessions === false) return
      const [moment] = await Promise.all([
        server.sessions.clock(admin),
        context.evict({ tenant: row.id, server: row.server, database }, context.drainMs, options),
      ])
      const ending = { quietMs, signal: options.signal }
      if (!(await server.sessions.endLogins(admin, login))) throw remainError(database)
      if (!(await server.sessions.endBefore(admin, login.user, moment, ending))) throw remainError(database)
      await server.sessions.rollBackPrepared(admin, database, login.user)
      if (mode === 'enabled') await secure({ server, admin, own }, login, setting)
    })
    emitChange(context, 'rotate-credentials', row, { from: row.state, to: row.state, since: locked.since })
    return { outcome: 'rotated', tenant: tenantId }
  })
}

/** A role with a new password, and its sessions. */
interface OwnRole extends ServerSite {
  readonly own: Omit<Drain, 'drainMs' | 'also'>
}

/**
 * Makes sure that nothing has changed since the password was set: until its older sessions have ended, a role can
 * change its password and its settings once more. If it has changed the password, its login is disabled while the
 * password is set again, once no session is left that could change it.
 */
async function secure({ server, admin, own }: OwnRole, login: Login, setting: readonly Change[]): Promise<void> {
  const { user } = login
  await despiteRaces(server, admin, own, () => server.apply(admin, [{ change: 'reset-login', user }]))
  if (await accepts(server, own, login)) return
  await despiteRaces(server, admin, own, () => server.apply(admin, [{ change: 'disable-login', user }]))
  // A login with a password that it set in between is not seen among the sessions.
  if (!(await server.sessions.endLogins(admin, { user }))) throw remainError(own.database)
  await endAllSessions(server, admin, own)
  await server.apply(admin, setting)
}

/** True if a role can log in with its password; false also if all its connections are in use, or by a setting of its own. */
async function accepts(server: Server, { database, signal }: OwnRole['own'], login: Login): Promise<boolean> {
  try {
    await (await server.connect(database, { login, signal })).close()
    return true
  } catch (error) {
    if (hasCode(error, 'authentication-failed', 'too-many-connections', 'query-failed')) return false
    throw error
  }
}

const pageSize = 500

interface SealedPassword {
  readonly row_id: string
  readonly sealed: string
}

/**
 * Encrypts every password with the first of the configured keys, which every process must have from then on: the step
 * after which the others can be left out. The passwords stay unchanged.
 */
export async function reencryptCredentials(
  context: ProvisioningContext,
  options: VerbOptions,
): Promise<ReencryptedCredentials> {
  const { separation } = context
  if (separation === undefined) throw sharedError(undefined)
  const counts = { reencrypted: 0, unreadable: 0 }
  return withSession(context.connect(context.home, options), async (session) => {
    const { credentials: records } = lockedBy(session)
    const all = eachOf<SealedPassword>(pageSize, (after) => records.page(pageSize, after?.row_id))
    for await (const { row_id: rowId, sealed } of all) {
      if (separation.keys.isCurrent(sealed)) continue
      const renewed = resealed(context, separation, rowId, sealed)
      if (renewed === undefined) counts.unreadable++
      else if (await records.reword(rowId, sealed, renewed)) counts.reencrypted++
    }
    await replaceKeyCheck(session, separation.keys)
    return counts
  })
}

function resealed(
  { installation }: ProvisioningContext,
  { keys }: Separation,
  rowId: string,
  sealed: string,
): string | undefined {
  const user = physicalNames.login(installation, rowId)
  try {
    return keys.seal(keys.open(sealed, user), user)
  } catch (error) {
    if (hasCode(error, 'credentials-unreadable')) return undefined
    throw error
  }
}

function sharedError(row: TenantRow | undefined): TenantryError {
  const message =
    row === undefined ? 'Tenants have no roles of their own.' : `The tenant ${row.id} has no role of its own.`
  return new TenantryError('roles-shared', message, {
    tenant: row?.id,
    hint: "It was made with roles: 'shared', or before there were roles; or this process is configured so.",
  })
}
