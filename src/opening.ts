import type { Cancellable } from './kernel/abort.ts'
import { TenantryError } from './kernel/errors.ts'
import { physicalNames } from './kernel/names.ts'
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
import type { Server, Session } from './server/port.ts'

/** How long a look may take that opening can do without, in milliseconds. */
const lookMs = 3_000

/** What a Tenantry begins with. */
export interface Opening {
  readonly fingerprint: string
  readonly installationId: string
  readonly lockSecret: string
  readonly startUp: StartUp
  /** Whether there is something to take care of that was interrupted long ago. */
  readonly hasLeftBehind: boolean
  /** The end of the connections that all of this came by. */
  readonly disconnected: Promise<void>
}

/** How tenants are to be kept apart, and with which keys. @throws `credentials-key-missing`, `invalid-option` */
export function separationOf<Handle>(
  { credentialsKey }: TenantryConfig<Handle>,
  { roles, installation, announce, tenantConnectionLimit, tenantShare }: CheckedConfig<Handle>,
  servers: readonly Server[],
): Separation | undefined {
  if (roles === 'shared') return undefined
  const keys = findKeys(credentialsKey, servers, announce)
  const connectionLimit = ({ maxConnections }: Server) =>
    tenantConnectionLimit ?? Math.ceil(maxConnections * tenantShare) + spareConnections
  return { groups: groupRoles(installation), keys, connectionLimit, preparedServers: new Set() }
}

/**
 * How many connections a tenant's role may have beside those that routing opens for it: for people and programs that log in
 * as the tenant, and for connections that are closing.
 */
const spareConnections = 20

/** Makes sure that the catalog is there and up to date, and looks at the fleet: on one connection to the catalog. */
export async function prepare<Handle>(
  servers: readonly [Server, ...Server[]],
  checked: CheckedConfig<Handle>,
  separation: Separation | undefined,
  signal: AbortSignal | undefined,
): Promise<Opening> {
  const { installation, mode } = checked
  const [home] = servers
  const warned = mode === 'full' && separation !== undefined ? warnOfPublicSchemas(servers, checked, signal) : undefined
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
    const { installationId, lockSecret, fleet, hasLeftBehind } = look
    const startUp = await survey(fleet, { catalog, home, servers, installationId, fingerprint, signal })
    const disconnected = Promise.all([session.close(), warned]).then(() => undefined)
    return { fingerprint, installationId, lockSecret, startUp, hasLeftBehind, disconnected }
  } catch (error) {
    await session.close()
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
  // From template0, so that nothing is in it but what is made here: template1 has what anybody left there.
  await ensureDatabaseOn(home, database, { ...options, template: 'template0' })
  return home.connect(database, options)
}

/** The error of a change in a process that only looks. */
export function routerError(): TenantryError {
  return new TenantryError('router-only', "This process was opened with mode: 'router' and changes nothing.", {
    hint: "Do it from the command line, or in a process opened without mode: 'router'.",
  })
}
