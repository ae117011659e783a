import { type Cancellable, poll } from './kernel/abort.ts'
import { TenantryError } from './kernel/errors.ts'
import { type Installation, physicalNames } from './kernel/names.ts'
import type { Keyring } from './kernel/keyring.ts'
import { Catalog } from './catalog/catalog.ts'
import { claimKeyCheck, replaceKeyCheck, verifyKeys } from './catalog/key-check.ts'
import {
  catalogLock,
  checkCatalog,
  migrateCatalog,
  hasServers,
  missingHint,
  requireCatalog,
} from './catalog/migrate.ts'
import { lookAtCatalog, type OpeningLook, type OpeningQuestion } from './catalog/opening-look.ts'
import type { CheckedConfig, TenantryConfig } from './config.ts'
import { findKeys, keyMissingError, type KeySource } from './credentials-key.ts'
import { makeClosedDatabase } from './provisioning/administration.ts'
import type { BlockerEndedEvent, Separation } from './provisioning/context.ts'
import { ensureGroups, groupRoles } from './provisioning/separation.ts'
import { type StartUp, survey } from './provisioning/survey.ts'
import { versionFingerprint } from './provisioning/version.ts'
import type { Server, Session } from './server/port.ts'

/** How long a look may take that opening can do without, in milliseconds. */
const lookMs = 3_000

/** What a Tenantry begins with. */
export interface Opening {
  readonly fingerprint: string
  readonly installationId: string
  readonly lockSecret: string
  /** How tenants are kept apart; undefined where all share the role of the connection. */
  readonly separation: Separation | undefined
  readonly startUp: StartUp
  /** Whether there is something to take care of that was interrupted long ago. */
  readonly hasLeftBehind: boolean
  /** The end of the connections that all of this came by. */
  readonly disconnected: Promise<void>
}

/**
 * How many connections a tenant's role may have beside those that routing opens for it: for people and programs that log in
 * as the tenant, and for connections that are closing.
 */
const spareConnections = 20

/** The servers for one installation: administration ends the tenants' sessions there that it waits for, and reports it. */
export function overTenants(
  [home, ...others]: readonly [Server, ...Server[]],
  { installation }: Pick<CheckedConfig<unknown>, 'installation'>,
  report: (event: BlockerEndedEvent) => void,
): readonly [Server, ...Server[]] {
  const [rolePrefix, group] = [physicalNames.loginPrefix(installation), physicalNames.app(installation)]
  const bound = (server: Server) =>
    server.overTenants({
      rolePrefix,
      group,
      onEnded: (ended) => report({ event: 'blocker-ended', server: server.name, ...ended }),
    })
  return [bound(home), ...others.map(bound)]
}

/**
 * Finds the keys of tenants' passwords; undefined where tenants share the role of the connection.
 *
 * @throws `credentials-key-missing`, `invalid-option`
 */
export function keySource<Handle>(
  config: TenantryConfig<Handle>,
  { roles, announce }: CheckedConfig<Handle>,
  servers: readonly Server[],
): KeySource | undefined {
  return roles === 'shared'
    ? undefined
    : findKeys(config.credentialsKey, servers, { baseDir: config.baseDir, announce })
}

/**
 * Makes sure that the catalog is there and up to date, and looks at the fleet: on one connection to the catalog.
 *
 * @param keys where the keys come from; undefined where tenants share the role of the connection
 */
export async function prepare<Handle>(
  servers: readonly [Server, ...Server[]],
  checked: CheckedConfig<Handle>,
  keys: KeySource | undefined,
  signal: AbortSignal | undefined,
): Promise<Opening> {
  const { installation, mode } = checked
  const [home] = servers
  const warned = mode === 'full' && keys !== undefined ? warnOfPublicSchemas(servers, checked, signal) : undefined
  // The models are read while the server is waited for; what is wrong with them is said before anything is touched.
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
    // What went wrong first is what the caller has to know.
    if (isNew) await unmakeCatalog(home, installation).catch(() => undefined)
    throw error
  }
}

/**
 * Announces maintenance databases where tenants' roles can create functions: what administers there unwarily, by hand or
 * by another program, may run them. It keeps no process from opening, nor any longer than {@link lookMs} from closing.
 */
async function warnOfPublicSchemas(
  servers: readonly Server[],
  { announce }: Pick<CheckedConfig<unknown>, 'announce'>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const limit = AbortSignal.any([AbortSignal.timeout(lookMs), ...(signal === undefined ? [] : [signal])])
  const look = async (server: Server) => {
    const session = await server.connect(server.maintenanceDatabase, { signal: limit })
    try {
      const schemas = await server.schemasOpenToPublic(session)
      if (schemas.length > 0) announce(openToPublic(server, schemas))
    } finally {
      await session.close()
    }
  }
  await Promise.allSettled(servers.map(look))
}

function openToPublic({ name, maintenanceDatabase }: Server, schemas: readonly string[]): string {
  return `Every role may create in the database ${maintenanceDatabase} of the server ${name}, a tenant's as well (schema ${schemas.join(', ')}). "tenantry doctor" has the statements that end it.`
}
const revokeAttempts = 5

interface OpeningRequest<Handle> {
  readonly checked: CheckedConfig<Handle>
  readonly keys: KeySource | undefined
  readonly fingerprint: string
  /** The end of the look for schemas in which everybody may create. */
  readonly warned: Promise<void> | undefined
  readonly signal: AbortSignal | undefined
}

async function openCatalog<Handle>(
  session: Session,
  servers: readonly [Server, ...Server[]],
  { checked, keys, fingerprint, warned, signal }: OpeningRequest<Handle>,
): Promise<Opening> {
  const { installation, mode, tenantConnectionLimit, tenantShare } = checked
  const [home] = servers
  const owner = physicalNames.owner(installation)
  const question = { home: home.name, servers: servers.map(({ name }) => name), fingerprint, owner }
  const look = await lookUpToDate(session, question, checked)
  if (mode === 'full' && look.isPublic) await revokePublicAccess(home, session, checked)
  const connectionLimit = ({ maxConnections }: Server) =>
    tenantConnectionLimit ?? Math.ceil(maxConnections * tenantShare) + spareConnections
  const separating = keys && { groups: groupRoles(installation), connectionLimit, preparedServers: new Set<string>() }
  if (mode === 'full' && separating !== undefined && !look.hasGroups) await ensureGroups(separating, home, session)
  const separation = separating && { ...separating, keys: await settleKeys(session, look, keys, checked) }
  const catalog = new Catalog(session.asPool())
  const isKnown = look.isVersionKnown && look.knownServers.length === servers.length
  if (mode === 'full' && !isKnown) await catalog.register(question.servers, fingerprint)
  const { installationId, lockSecret, fleet, hasLeftBehind } = look
  const startUp = await survey(fleet, { catalog, home, servers, installationId, fingerprint, signal })
  const disconnected = Promise.all([session.close(), warned]).then(() => undefined)
  return { fingerprint, installationId, lockSecret, separation, startUp, hasLeftBehind, disconnected }
}

/**
 * Compares the keys of this process with the key check of the catalog. Where there is no check yet, this process's key
 * becomes the installation's. One is made for development only then: in a catalog that has a check, it would be a wrong one.
 *
 * @throws `credentials-unreadable`, `credentials-key-missing`
 */
async function settleKeys(
  session: Session,
  { keyCheck }: OpeningLook,
  { found, make }: KeySource,
  { mode, credentialsKeyLost }: Pick<CheckedConfig<unknown>, 'mode' | 'credentialsKeyLost'>,
): Promise<Keyring> {
  const mayWrite = mode === 'full'
  const keys = found ?? (mayWrite && (keyCheck === null || credentialsKeyLost) ? make() : undefined)
  if (keys === undefined) throw keyMissingError()
  if (mayWrite && credentialsKeyLost) await replaceKeyCheck(session, keys)
  else if (keyCheck !== null) verifyKeys(keys, keyCheck, session.database)
  else if (mayWrite) await claimKeyCheck(session, keys)
  return keys
}

/** PostgreSQL lets every role into a new database; what somebody is to have needs a grant of its own. */
async function revokePublicAccess(
  home: Server,
  session: Session,
  { installation, lockTimeoutMs }: Pick<CheckedConfig<unknown>, 'installation' | 'lockTimeoutMs'>,
): Promise<void> {
  const statements = home.roles.revokePublicAccess(physicalNames.catalog(installation), undefined)
  for (let attempt = 1; ; attempt++) {
    try {
      await session.transaction(async () => {
        // Of two that change one database's privileges at once, PostgreSQL fails one: "tuple concurrently updated".
        await session.lock(catalogLock, 'transaction', lockTimeoutMs)
        await session.script(statements)
      })
      return
    } catch (error) {
      // Somebody else, who takes no lock of ours, can still be that other one.
      const isRace = error instanceof TenantryError && error.code === 'query-failed' && error.retryable
      if (!isRace || attempt === revokeAttempts) throw error
    }
  }
}

async function fingerprintOf<Handle>(checked: CheckedConfig<Handle>): Promise<string> {
  const { models, extensions, seed, revision, roles } = checked
  const parts = { extensions, hasSeed: seed !== undefined, revision, isSeparate: roles === 'separate' }
  return versionFingerprint(await models.fingerprint(), parts)
}

/** Looks at the catalog; one that is not up to date is brought there first. A router only looks. */
async function lookUpToDate(
  session: Session,
  question: OpeningQuestion,
  checked: Pick<CheckedConfig<unknown>, 'installation' | 'lockTimeoutMs' | 'mode' | 'createCatalog'>,
): Promise<OpeningLook> {
  const { installation, lockTimeoutMs, mode, createCatalog } = checked
  const look = await lookAtCatalog(session, question)
  if (look !== undefined) return look
  if (!createCatalog) await requireCatalog(session)
  if (mode === 'full') await migrateCatalog(session, installation, lockTimeoutMs)
  else await checkCatalog(session)
  const again = await lookAtCatalog(session, question)
  if (again !== undefined) return again
  throw new TenantryError('query-failed', `The catalog ${session.database} was taken away while it was opened.`, {
    hint: 'Open it again.',
    retryable: true,
  })
}

/** Makes the catalog's database where it could not be connected to because it is not there. */
async function makeCatalog(
  home: Server,
  error: unknown,
  { installation, createCatalog }: Pick<CheckedConfig<unknown>, 'installation' | 'createCatalog'>,
  options: Cancellable,
): Promise<{ readonly session: Session; readonly isNew: boolean }> {
  const codes: readonly string[] = ['database-missing', 'database-closed']
  if (!(error instanceof TenantryError) || !codes.includes(error.code)) throw error
  if (!createCatalog) throw error.code === 'database-missing' ? missingError(home, installation, error) : error
  const database = physicalNames.catalog(installation)
  const isNew = await makeClosedDatabase(home, database, options)
  return { session: await home.connect(database, options), isNew }
}

function missingError(home: Server, installation: Installation, { cause, sqlState }: TenantryError): TenantryError {
  const message = `There is no installation ${installation} on ${home.description}: it has no database ${physicalNames.catalog(installation)}.`
  return new TenantryError('catalog-missing', message, { cause, sqlState, hint: missingHint })
}

/** How long the session that failed may take to be gone, in milliseconds. */
const lingeringMs = 2_000

/**
 * Drops a catalog that this call made and could not finish. It belongs to the role of the connection, and others may not
 * connect to it: one with more privileges could not finish it either.
 *
 * A catalog that another process works with, or has worked with, stays: it has a session in it, or has made its servers known. It is
 * closed before the last look, so that nobody comes in between that and the drop.
 */
async function unmakeCatalog(home: Server, installation: Installation): Promise<void> {
  const database = physicalNames.catalog(installation)
  const admin = await home.connect(home.maintenanceDatabase)
  try {
    const inside = await home.connect(database)
    const isUnused = async () =>
      (await home.sessions(inside, database, 'all')).length === 0 && !(await hasServers(inside))
    let mayDrop = false
    try {
      if ((await poll(async () => (await isUnused()) || undefined, lingeringMs, undefined)) === undefined) return
      await admin.script([home.alterStatement(database, { acceptsConnections: false })])
      mayDrop = await isUnused()
    } finally {
      await inside.close()
    }
    if (mayDrop) await home.drop(admin, database)
    else await admin.script([home.alterStatement(database, { acceptsConnections: true })])
  } finally {
    await admin.close()
  }
}

/** The error of a change in a process that only looks. */
export function routerError(): TenantryError {
  return new TenantryError('router-only', "This process was opened with mode: 'router' and changes nothing.", {
    hint: "Do it from the command line, or in a process opened without mode: 'router'.",
  })
}
