import { type Cancellable, poll } from './kernel/abort.ts'
import { explained, TenantryError } from './kernel/errors.ts'
import { type Identifier, type Installation, physicalNames } from './kernel/names.ts'
import type { Keyring } from './kernel/keyring.ts'
import { Catalog } from './catalog/catalog.ts'
import { claimKeyCheck, replaceKeyCheck, verifyKeys } from './catalog/key-check.ts'
import { checkCatalog, migrateCatalog, hasServers, missingHint, requireCatalog } from './catalog/migrate.ts'
import { lookAtCatalog, type OpeningLook, type OpeningQuestion } from './catalog/opening-look.ts'
import type { CheckedConfig } from './read-config.ts'
import { findKeys, keyMissingError, type KeySource } from './credentials-key.ts'
import { allServers, type Servers } from './find-servers.ts'
import { makeClosedDatabase } from './provisioning/locks/administration.ts'
import type { BlockerEndedEvent, Separation } from './provisioning/context.ts'
import { ensureGroups, groupRoles } from './provisioning/roles/separation.ts'
import { type StartUp, survey } from './provisioning/fleet/survey.ts'
import { versionFingerprint } from './provisioning/rollouts/version.ts'
import { requireCapabilities } from './server/capabilities.ts'
import type { Server, Session } from './server/port.ts'
import { withSession } from './server/with-session.ts'

/** The time limit of a look that opening can do without, in milliseconds. */
const lookMs = 3_000

/** The result of opening. */
export interface Opening {
  readonly fingerprint: string
  readonly installationId: string
  readonly lockSecret: string
  /** The separation of tenants; undefined if all share the role of the connection. */
  readonly separation: Separation | undefined
  readonly startUp: StartUp
  /** True if there is work that was interrupted long ago. */
  readonly hasLeftBehind: boolean
  /** The end of the connections that opening used. */
  readonly disconnected: Promise<void>
}

/**
 * The number of connections that a tenant's role may have besides those of routing: for people and programs that log in
 * as the tenant, and for connections that are closing.
 */
const spareConnections = 20

/**
 * Returns the servers for one installation: administration ends the tenants' sessions there that it waits for, and
 * reports it.
 */
export function overTenants(
  found: Servers,
  { installation }: Pick<CheckedConfig<unknown>, 'installation'>,
  report: (event: BlockerEndedEvent) => void,
): Servers {
  const [rolePrefix, group] = [physicalNames.loginPrefix(installation), physicalNames.app(installation)]
  const bound = (server: Server, closedDatabase: Identifier) =>
    server.overTenants({
      rolePrefix,
      group,
      closedDatabase,
      onEnded: (ended) => report({ event: 'blocker-ended', server: server.name, ...ended }),
    })
  const elsewhere = physicalNames.administration(installation)
  const home = bound(found.home, physicalNames.catalog(installation))
  return { home, servers: found.servers.map((server) => (server === found.home ? home : bound(server, elsewhere))) }
}

/**
 * Finds the keys of tenants' passwords; undefined if tenants share the role of the connection.
 *
 * @throws `credentials-key-missing`, `invalid-option`
 */
export function keySource(
  { roles, credentials, baseDir, logger }: Pick<CheckedConfig<unknown>, 'roles' | 'credentials' | 'baseDir' | 'logger'>,
  servers: Servers,
): KeySource | undefined {
  return roles === 'shared' ? undefined : findKeys(credentials.key, allServers(servers), { baseDir, logger })
}

/**
 * Makes sure that the catalog exists and is up to date, and looks at the fleet: on one connection to the catalog.
 *
 * @param keys the source of the keys; undefined if tenants share the role of the connection
 */
export async function prepare<Handle>(
  servers: Servers,
  checked: CheckedConfig<Handle>,
  keys: KeySource | undefined,
  signal: AbortSignal | undefined,
): Promise<Opening> {
  const { installation, mode } = checked
  const { home } = servers
  const needed = ['transactionalChanges', 'copies', 'renames', ...(keys ? ['logins' as const] : [])] as const
  requireCapabilities(home, 'transactionalChanges')
  for (const server of servers.servers) requireCapabilities(server, ...needed)
  const warned =
    mode === 'full' && keys !== undefined ? warnOfPublicSchemas(servers.servers, checked, signal) : undefined
  // The models are read during the wait for the server; their errors are thrown before anything is touched.
  const connecting = home.connect(physicalNames.catalog(installation), { signal })
  connecting.catch(() => undefined)
  const fingerprint = await fingerprintOf(checked).catch(async (error: unknown) => {
    await connecting.then((session) => session.close()).catch(() => undefined)
    throw error
  })
  let isNew = false
  const session = await connecting.catch(async (error: unknown) => {
    const made = await makeCatalog(home, error, checked, { signal })
    isNew = made.isNew
    return made.session
  })
  try {
    return await openCatalog(session, servers, { checked, keys, fingerprint, warned, signal })
  } catch (error) {
    await session.close()
    // The caller has to know the first error.
    if (isNew) await unmakeCatalog(home, installation).catch(() => undefined)
    throw error
  }
}

/**
 * Reports maintenance databases in which tenants' roles can create functions: an administrator, or another program,
 * could run them unawares. It keeps no process from opening, nor any longer than {@link lookMs} from closing.
 */
async function warnOfPublicSchemas(
  servers: readonly Server[],
  { logger }: Pick<CheckedConfig<unknown>, 'logger'>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const limit = AbortSignal.any([AbortSignal.timeout(lookMs), ...(signal === undefined ? [] : [signal])])
  const look = async (server: Server) => {
    await withSession(server.connect(server.maintenanceDatabase, { signal: limit }), async (session) => {
      const schemas = await server.databases.schemasOpenToPublic(session)
      if (schemas.length > 0) logger.warn(openToPublic(server, schemas))
    })
  }
  await Promise.allSettled(servers.map(look))
}

function openToPublic({ name, maintenanceDatabase }: Server, schemas: readonly string[]): string {
  return `Every role may create in the database ${maintenanceDatabase} of the server ${name}, a tenant's as well (schema ${schemas.join(', ')}). "tenantry doctor" has the statements that end it.`
}

interface OpeningRequest<Handle> {
  readonly checked: CheckedConfig<Handle>
  readonly keys: KeySource | undefined
  readonly fingerprint: string
  /** The end of the look for schemas in which every role may create. */
  readonly warned: Promise<void> | undefined
  readonly signal: AbortSignal | undefined
}

async function openCatalog<Handle>(
  session: Session,
  { home, servers }: Servers,
  { checked, keys, fingerprint, warned, signal }: OpeningRequest<Handle>,
): Promise<Opening> {
  const { installation, mode } = checked
  const owner = physicalNames.owner(installation)
  const question = { home: home.name, servers: servers.map(({ name }) => name), fingerprint, owner }
  const look = await lookUpToDate(session, question, checked)
  if (mode === 'full' && look.isPublic) {
    // A role that is to connect to the catalog needs a grant of its own.
    const database = physicalNames.catalog(installation)
    await home.apply(session, [{ change: 'make-private', database, groups: undefined }])
  }
  const connectionLimit = ({ maxConnections }: Server) =>
    checked.connectionLimit ?? Math.ceil(maxConnections * checked.pool.tenantShare) + spareConnections
  const separating = keys && { groups: groupRoles(installation), connectionLimit, preparedServers: new Set<string>() }
  const isMissingGroups = !look.hasGroups && servers.includes(home)
  if (mode === 'full' && separating !== undefined && isMissingGroups) await ensureGroups(separating, home, session)
  const separation = separating && { ...separating, keys: await settleKeys(session, look, keys, checked) }
  const catalog = new Catalog(session.asPool())
  const isKnown = look.isVersionKnown && look.knownServers.length === servers.length
  if (mode === 'full' && !isKnown) await catalog.register(question.servers, fingerprint)
  const { installationId, lockSecret, hasLeftBehind } = look
  // A version that this process has just declared is the desired one, unless another was set.
  const isNewlyDesired = mode === 'full' && !look.isVersionKnown && !look.isDesiredSet
  const upToDate = new Set(isNewlyDesired ? [fingerprint] : look.upToDate)
  const fleet = isNewlyDesired ? { ...look.fleet, behind: look.fleet.stamped } : look.fleet
  const startUp = await survey(fleet, { catalog, home, servers, installationId, fingerprint, upToDate, signal })
  const disconnected = Promise.all([session.close(), warned]).then(() => undefined)
  return { fingerprint, installationId, lockSecret, separation, startUp, hasLeftBehind, disconnected }
}

/**
 * Compares the keys of this process with the key check of the catalog. If there is no check yet, this process's key
 * becomes the installation's. A key for development is made only then: for a catalog with a check, it would be a wrong
 * one.
 *
 * @throws `credentials-unreadable`, `credentials-key-missing`
 */
async function settleKeys(
  session: Session,
  { keyCheck }: OpeningLook,
  { found, make }: KeySource,
  { mode, credentials: { keyLost } }: Pick<CheckedConfig<unknown>, 'mode' | 'credentials'>,
): Promise<Keyring> {
  const mayWrite = mode === 'full'
  const keys = found ?? (mayWrite && (keyCheck === null || keyLost) ? make() : undefined)
  if (keys === undefined) throw keyMissingError()
  if (mayWrite && keyLost) await replaceKeyCheck(session, keys)
  else if (keyCheck !== null) verifyKeys(keys, keyCheck, session.database)
  else if (mayWrite) await claimKeyCheck(session, keys)
  return keys
}

async function fingerprintOf<Handle>(checked: CheckedConfig<Handle>): Promise<string> {
  const { models, extensions, seed, revision, roles } = checked
  const parts = { extensions, hasSeed: seed !== undefined, revision, isSeparate: roles === 'separate' }
  return versionFingerprint(await models.schema.fingerprint(), parts)
}

/** Looks at the catalog, and migrates one that is not up to date first. A router only looks. */
async function lookUpToDate(
  session: Session,
  question: OpeningQuestion,
  checked: Pick<CheckedConfig<unknown>, 'installation' | 'lockTimeoutMs' | 'mode' | 'catalog'>,
): Promise<OpeningLook> {
  const { installation, lockTimeoutMs, mode } = checked
  const look = await lookAtCatalog(session, question)
  if (look !== undefined) return look
  if (!checked.catalog.create) await requireCatalog(session)
  if (mode === 'full') await migrateCatalog(session, installation, lockTimeoutMs)
  else await checkCatalog(session)
  const again = await lookAtCatalog(session, question)
  if (again !== undefined) return again
  throw new TenantryError('query-failed', `The catalog ${session.database} was dropped while it was opened.`, {
    hint: 'Open it again.',
    retryable: true,
  })
}

/** Makes the catalog's database if connecting failed because it is missing. */
async function makeCatalog(
  home: Server,
  error: unknown,
  { installation, catalog }: Pick<CheckedConfig<unknown>, 'installation' | 'catalog'>,
  options: Cancellable,
): Promise<{ readonly session: Session; readonly isNew: boolean }> {
  const codes: readonly string[] = ['database-missing', 'database-closed']
  if (!(error instanceof TenantryError) || !codes.includes(error.code)) throw error
  if (!catalog.create) throw error.code === 'database-missing' ? catalogMissingError(home, installation, error) : error
  const database = physicalNames.catalog(installation)
  const isNew = await makeClosedDatabase(home, database, options)
  return { session: await home.connect(database, options), isNew }
}

function catalogMissingError(home: Server, installation: Installation, error: TenantryError): TenantryError {
  const message = `There is no installation ${installation} on ${home.description}: it has no database ${physicalNames.catalog(installation)}.`
  return explained(error, 'catalog-missing', message, { hint: missingHint })
}

/** The time that the failed session has to end, in milliseconds. */
const lingeringMs = 2_000

/**
 * Drops a catalog that this call made and could not finish. It belongs to the role of the connection, and others may
 * not connect to it: a role with more privileges could not finish it either.
 *
 * A catalog that another process works with, or has worked with, stays: it has a session in it, or a record of its
 * servers. It is closed before the last look, so that no session begins between that and the drop.
 */
async function unmakeCatalog(home: Server, installation: Installation): Promise<void> {
  const database = physicalNames.catalog(installation)
  const admin = await home.connect(home.maintenanceDatabase)
  try {
    const inside = await home.connect(database)
    const isUnused = async () =>
      (await home.sessions.list(inside, database, 'all')).length === 0 && !(await hasServers(inside))
    let mayDrop = false
    try {
      if ((await poll(async () => (await isUnused()) || undefined, lingeringMs, undefined)) === undefined) return
      await home.apply(admin, [{ change: 'close', database }])
      mayDrop = await isUnused()
    } finally {
      await inside.close()
    }
    if (mayDrop) await home.databases.drop(admin, database)
    else await home.apply(admin, [{ change: 'open', database }])
  } finally {
    await admin.close()
  }
}

/** Returns the error of a change in a process that only routes. */
export function routerError(): TenantryError {
  return new TenantryError('router-only', "The configuration has mode: 'router', which changes nothing.", {
    hint: "Do it in a process, or with a --config, without mode: 'router'.",
  })
}
