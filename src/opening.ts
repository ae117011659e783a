import type { Cancellable } from './kernel/abort.ts'
import { TenantryError } from './kernel/errors.ts'
import { type Identifier, physicalNames } from './kernel/names.ts'
import { Catalog } from './catalog/catalog.ts'
import { catalogLock, checkCatalog, migrateCatalog } from './catalog/migrate.ts'
import { lookAtCatalog, type OpeningLook, type OpeningQuestion } from './catalog/opening-look.ts'
import type { CheckedConfig, TenantryConfig } from './config.ts'
import { findKeys } from './credentials-key.ts'
import { ensureDatabaseOn } from './provisioning/ensure-database.ts'
import type { Separation } from './provisioning/context.ts'
import { ensureGroups, groupRoles } from './provisioning/separation.ts'
import { type StartUp, survey } from './provisioning/survey.ts'
import { versionFingerprint } from './provisioning/version.ts'
import type { Server, Session, SessionPool } from './server/port.ts'

/** What a Tenantry begins with. */
export interface Opening {
  readonly fingerprint: string
  readonly installationId: string
  readonly startUp: StartUp
  /** Whether there is something to take care of that was interrupted long ago. */
  readonly hasLeftBehind: boolean
  /** The end of the connection that all of this came by. */
  readonly disconnected: Promise<void>
}

/** How tenants are to be kept apart, and with which keys. @throws `credentials-key-missing`, `invalid-option` */
export function separationOf<Handle>(
  { credentialsKey, announce }: TenantryConfig<Handle>,
  { roles, installation }: CheckedConfig<Handle>,
  servers: readonly Server[],
): Separation | undefined {
  if (roles === 'shared') return undefined
  const keys = findKeys(credentialsKey, servers, announce)
  return { groups: groupRoles(installation), keys, preparedServers: new Set() }
}

/** Makes sure that the catalog is there and up to date, and looks at the fleet: on one connection to the catalog. */
export async function prepare<Handle>(
  servers: readonly [Server, ...Server[]],
  checked: CheckedConfig<Handle>,
  separation: Separation | undefined,
  signal: AbortSignal | undefined,
): Promise<Opening> {
  const { installation, mode } = checked
  const [home] = servers
  // The models are read while the server is waited for; what is wrong with them is said before anything is touched.
  const connecting = home.connect(physicalNames.catalog(installation), { signal })
  connecting.catch(() => undefined)
  const fingerprint = await fingerprintOf(checked).catch(async (error: unknown) => {
    await connecting.then((session) => session.close()).catch(() => undefined)
    throw error
  })
  const session = await connecting.catch((error: unknown) => makeCatalog(home, error, checked, { signal }))
  try {
    const owner = physicalNames.owner(installation)
    const question = { home: home.name, servers: servers.map(({ name }) => name), fingerprint, owner }
    const look = await lookUpToDate(session, question, checked)
    if (mode === 'full' && look.isPublic) await secludeCatalog(home, session, checked)
    if (mode === 'full' && separation !== undefined && !look.hasGroups) await ensureGroups(separation, home, session)
    const catalog = new Catalog(session.asPool())
    const isKnown = look.isVersionKnown && look.knownServers.length === servers.length
    if (mode === 'full' && !isKnown) await catalog.register(question.servers, fingerprint)
    const { installationId, fleet, hasLeftBehind } = look
    const startUp = await survey(fleet, { catalog, home, servers, installationId, fingerprint, signal })
    return { fingerprint, installationId, startUp, hasLeftBehind, disconnected: session.close() }
  } catch (error) {
    await session.close()
    throw error
  }
}

const secludeAttempts = 5

/** PostgreSQL lets every role into a new database; what somebody is to have needs a grant of its own. */
async function secludeCatalog(
  home: Server,
  session: Session,
  { installation, lockTimeoutMs }: Pick<CheckedConfig<unknown>, 'installation' | 'lockTimeoutMs'>,
): Promise<void> {
  const statements = home.roles.seclude(physicalNames.catalog(installation), undefined)
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
      if (!isRace || attempt === secludeAttempts) throw error
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
  { installation, lockTimeoutMs, mode }: Pick<CheckedConfig<unknown>, 'installation' | 'lockTimeoutMs' | 'mode'>,
): Promise<OpeningLook> {
  const look = await lookAtCatalog(session, question)
  if (look !== undefined) return look
  if (mode === 'full') await migrateCatalog(session, installation, lockTimeoutMs)
  else await checkCatalog(session)
  const again = await lookAtCatalog(session, question)
  if (again !== undefined) return again
  throw new TenantryError('query-failed', `The catalog ${session.database} was taken away while it was opened.`, {
    hint: 'Open it again.',
    retryable: true,
  })
}

/** Makes the catalog's database where it could not be connected to because it is not there; a router makes nothing. */
async function makeCatalog(
  home: Server,
  error: unknown,
  { installation, mode }: Pick<CheckedConfig<unknown>, 'installation' | 'mode'>,
  options: Cancellable,
): Promise<Session> {
  const codes: readonly string[] = ['database-missing', 'database-closed']
  if (mode === 'router' || !(error instanceof TenantryError) || !codes.includes(error.code)) throw error
  const database = physicalNames.catalog(installation)
  await ensureDatabaseOn(home, database, options)
  return home.connect(database, options)
}

/** The error of a change in a process that only looks. */
export function routerError(): TenantryError {
  return new TenantryError('router-only', "This process was opened with mode: 'router' and changes nothing.", {
    hint: "Do it from the command line, or in a process opened without mode: 'router'.",
  })
}

/** For each server, sessions for administration, at most so many: in the catalog where the server has it. */
export function sessionPools(
  servers: readonly Server[],
  home: Server,
  catalog: Identifier,
  most: number,
): ReadonlyMap<Server, SessionPool> {
  const databaseOn = (server: Server) => (server === home ? catalog : server.maintenanceDatabase)
  return new Map(servers.map((server) => [server, server.sessionPool(databaseOn(server), most)]))
}
