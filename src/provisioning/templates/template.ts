import { withSession } from '../../server/with-session.ts'
import { randomUUID } from 'node:crypto'
import type { Cancellable } from '../../kernel/abort.ts'
import { hasFailure, TenantryError } from '../../kernel/errors.ts'
import { type Identifier, physicalNames } from '../../kernel/names.ts'
import type { FinishedTemplate, SparePool, TemplateRow } from '../../catalog/inventory.ts'
import type { Change, Server, Session } from '../../server/port.ts'
import { readStamp, writeStamp } from '../../server/stamp.ts'
import { connectToAdministration } from '../locks/administration.ts'
import type { MakingContext, ProvisioningContext } from '../context.ts'
import { describeTemplate } from '../tables/compare-tenant.ts'
import { makeTables, protectHistory } from '../tables/create-tables.ts'
import { endAllSessions } from '../drain.ts'
import { runSeed } from '../hooks.ts'
import { durablyBoth, type LockedWork, lockedBy, onServer, type ServerSite } from '../locks/locked-work.ts'
import { createPrivate, ensureGroups } from '../roles/separation.ts'

/** A database that was copied from the template. */
export interface Copied {
  /** False when the name is taken. */
  readonly isMade: boolean
  /** Of the template's structure. */
  readonly digest: string | undefined
  /** True if the template had to be built first. */
  readonly wasBuilt: boolean
}

/** The number of times that a template may vanish during a call. */
const attempts = 3

/**
 * Makes a database by copying the template of this process's version, which is built if there is none on that server.
 *
 * @throws `hook-failed`, `verification-failed`, `lock-timeout`, `permission-denied`
 */
export async function copyTemplate<Handle>(
  context: MakingContext<Handle>,
  { server, admin, database }: ServerSite & { readonly database: Identifier },
  options: Cancellable,
): Promise<Copied> {
  let wasBuilt = false
  for (let attempt = 1; ; attempt++) {
    const template = (await usableTemplate(context, server, admin)) ?? (await buildTemplate(context, server, options))
    wasBuilt ||= template.wasBuilt
    try {
      const name = physicalNames.template(context.installation, template.rowId)
      const groups = await ensureGroups(context.separation, server, admin)
      const isMade = await createPrivate({ server, admin, database, template: name, groups })
      return { isMade, digest: template.digest, wasBuilt }
    } catch (error) {
      // Somebody dropped, opened or outdated it since it was looked at.
      if (attempt === attempts || !(await isUnusable(context, server, admin, template))) throw error
    }
  }
}

/** A template to copy, and whether this very call built it. */
interface FoundTemplate extends TemplateRow {
  readonly wasBuilt: boolean
}

/** Builds the template of this process's version on a server, unless there is one. */
export async function ensureTemplate<Handle>(
  context: MakingContext<Handle>,
  server: Server,
  options: Cancellable,
): Promise<void> {
  await withSession(context.connect(server, options), async (admin) => {
    if ((await usableTemplate(context, server, admin)) === undefined) await buildTemplate(context, server, options)
  })
}

/** The template of this process's version on a server, if it is there as it was sealed; any other is discarded. */
async function usableTemplate(
  context: ProvisioningContext,
  server: Server,
  admin: Session,
): Promise<FoundTemplate | undefined> {
  const { knownTemplates, inventory, fingerprint } = context
  const known = knownTemplates.get(server.name)
  if (known !== undefined && !(await isUnusable(context, server, admin, known))) return { ...known, wasBuilt: false }
  const ready = await inventory.readyTemplate({ server: server.name, fingerprint })
  if (ready === undefined || (await isUnusable(context, server, admin, ready))) return undefined
  knownTemplates.set(server.name, ready)
  return { ...ready, wasBuilt: false }
}

/** True if a template is not as it was sealed. No process uses it again then. */
export async function isUnusable(
  context: ProvisioningContext,
  server: Server,
  admin: Session,
  { rowId }: TemplateRow,
): Promise<boolean> {
  const [found] = await server.databases.describe(admin, [physicalNames.template(context.installation, rowId)])
  const stamp = readStamp(found?.comment)
  const isSealed =
    stamp?.row === rowId &&
    stamp.kind === 'template' &&
    stamp.installation === context.installationId &&
    found?.acceptsConnections === false &&
    !found.invalid &&
    !found.hasOldCollation
  if (isSealed) return false
  context.knownTemplates.delete(server.name)
  await context.inventory.discardTemplate(rowId)
  return true
}

/** The name of the lock under which one process builds, or drops, the templates of a pool of spares. */
export function templateLock({ server, fingerprint }: SparePool): string {
  return `template:${server}:${fingerprint}`
}

/**
 * Builds the template, unless somebody else did meanwhile. Until its last transaction it has a building name and a row
 * that says so. What an interrupted build left is discarded and not dropped: a drop can take long, and tenants wait here.
 */
async function buildTemplate<Handle>(
  context: MakingContext<Handle>,
  server: Server,
  options: Cancellable,
): Promise<FoundTemplate> {
  const sparePool = { server: server.name, fingerprint: context.fingerprint }
  return inPool(context, server, templateLock(sparePool), options, async (locked, admin) => {
    const ready = await locked.inventory.readyTemplate(sparePool)
    if (ready !== undefined) return { ...ready, wasBuilt: false }
    const since = performance.now()
    await discardInterrupted(locked, sparePool)
    const template = await buildUnderLock(context, locked, { server, admin, sparePool }, options)
    context.emit({ event: 'template-built', ...sparePool, durationMs: performance.now() - since })
    return { ...template, wasBuilt: true }
  })
}

/** Discards what interrupted builds left; for the holder of {@link templateLock}. */
export async function discardInterrupted({ inventory }: LockedWork, sparePool: SparePool): Promise<void> {
  for (const { rowId } of await inventory.templates(sparePool, ['building'])) await inventory.discardTemplate(rowId)
}

/**
 * Runs `work` under a lock of a pool of spares, on sessions that are nobody else's: who wants a template may hold one of those
 * that are kept, and all of them may want one.
 */
export async function inPool<T>(
  context: ProvisioningContext,
  server: Server,
  lock: string,
  options: Cancellable,
  work: (locked: LockedWork, admin: Session) => Promise<T>,
): Promise<T> {
  const { home, installation, lockTimeoutMs } = context
  return withSession(home.connect(physicalNames.catalog(installation), options), async (session) => {
    await session.lock(lock, 'session', lockTimeoutMs)
    const locked = lockedBy(session)
    const connect: ProvisioningContext['connect'] = (there) => connectToAdministration(context, there, options)
    const lockThere = `${context.installationId}:${lock}`
    return onServer(context, locked, server, lockThere, { ...options, connect }, (admin) => work(locked, admin))
  })
}

interface PoolSite extends ServerSite {
  readonly sparePool: SparePool
}

async function buildUnderLock<Handle>(
  context: MakingContext<Handle>,
  locked: LockedWork,
  { server, admin, sparePool }: PoolSite,
  options: Cancellable,
): Promise<TemplateRow> {
  const rowId = randomUUID()
  const building = physicalNames.building(context.installation, rowId)
  await locked.inventory.addTemplate(sparePool, rowId)
  const groups = await ensureGroups(context.separation, server, admin)
  const stamp = { change: 'stamp', database: building, comment: templateStamp(context, 'building', rowId) } as const
  // From template0, so that nothing is in the database but what the models declare.
  const making = { server, admin, database: building, template: 'template0', groups, also: [stamp] }
  if (!(await createPrivate(making))) throw buildingTakenError(building)
  const finished = await fill(context, server, building, options)
  await seal(context, locked, { server, admin, rowId, finished, signal: options.signal })
  return { ...sparePool, rowId, state: 'ready', digest: finished.digest }
}

/** @returns what it consists of then */
async function fill<Handle>(
  context: MakingContext<Handle>,
  server: Server,
  building: Identifier,
  options: Cancellable,
): Promise<FinishedTemplate> {
  const { models, extensions, seed, separation } = context
  const groups = separation?.groups
  const first: readonly Change[] = [
    ...(groups ? [{ change: 'prepare', groups } as const] : []),
    ...extensions.map((name) => ({ change: 'add-extension', name }) as const),
  ]
  await withSession(server.connect(building, options), (session) => server.apply(session, first))
  const asObjects = { ...options, role: groups?.objects }
  await withSession(server.connect(building, asObjects), async (session) => {
    await makeTables(session, models.schema)
    if (groups !== undefined) await server.apply(session, protectHistory(models.schema, groups))
  })
  if (seed !== undefined) await runSeed(context, seed, { server, database: building, role: groups?.objects }, options)
  return withSession(server.connect(building, options), (session) => describeTemplate(context, server, session))
}

interface Sealing extends Cancellable, ServerSite {
  readonly rowId: string
  readonly finished: FinishedTemplate
}

/** Gives a template its name, closes it and says in the catalog that it is ready: in one transaction where it can be. */
async function seal(context: ProvisioningContext, locked: LockedWork, sealing: Sealing): Promise<void> {
  const { server, admin, rowId, finished, signal } = sealing
  const building = physicalNames.building(context.installation, rowId)
  const name = physicalNames.template(context.installation, rowId)
  const change = () =>
    durablyBoth(
      locked,
      admin,
      () =>
        server.apply(admin, [
          { change: 'rename', database: building, to: name },
          { change: 'seal', database: name },
          { change: 'stamp', database: name, comment: templateStamp(context, 'template', rowId) },
        ]),
      () => locked.inventory.finishTemplate(rowId, finished),
    )
  try {
    if (await change()) return
  } catch (error) {
    if (!hasFailure(error, 'in-use')) throw error
    // The seed left a connection, or somebody looks on.
    await endAllSessions(server, admin, { database: building, which: 'all', signal })
    if (await change()) return
  }
  throw new TenantryError('query-failed', `The template ${name} was taken from the catalog while it was built.`, {
    hint: 'Repeat the call.',
    retryable: true,
  })
}

/** Drops a discarded template's database, under whichever name it has, and then its row. Its names are never used again. */
export async function dropTemplate(
  context: ProvisioningContext,
  locked: LockedWork,
  server: Server,
  admin: Session,
  { rowId, fingerprint }: TemplateRow,
): Promise<void> {
  const since = performance.now()
  const { installation } = context
  const names = [physicalNames.building(installation, rowId), physicalNames.template(installation, rowId)]
  for (const { name, isTemplate } of await server.databases.describe(admin, names)) {
    if (isTemplate) await server.apply(admin, [{ change: 'unseal', database: name }])
    await server.databases.drop(admin, name)
  }
  await locked.inventory.removeTemplate(rowId)
  context.emit({ event: 'template-dropped', server: server.name, fingerprint, durationMs: performance.now() - since })
}

/**
 * Discards the templates of a version on a server: all, or the unfinished ones and those that changed since they were sealed.
 *
 * @returns the number of templates to drop
 */
export function discardTemplates(
  context: ProvisioningContext,
  server: Server,
  sparePool: SparePool,
  which: 'all' | 'unready',
  options: Cancellable,
): Promise<number> {
  return inPool(context, server, templateLock(sparePool), options, async ({ inventory }, admin) => {
    for (const template of await inventory.templates(sparePool, ['ready', 'building'])) {
      if (which === 'all' || template.state === 'building') await inventory.discardTemplate(template.rowId)
      else await isUnusable(context, server, admin, template)
    }
    if (which === 'all') context.knownTemplates.delete(server.name)
    return (await inventory.templates(sparePool, ['dropping'])).length
  })
}

/** Returns the text of the stamp on a template. */
export function templateStamp(
  { installationId, fingerprint }: ProvisioningContext,
  kind: 'building' | 'template',
  row: string,
) {
  return writeStamp({ installation: installationId, kind, row, fingerprint })
}

export function buildingTakenError(building: Identifier): TenantryError {
  return new TenantryError('foreign-database', `The database ${building} is there and is not ours.`, {
    hint: 'It was not touched. Repeat the call: the next has another name.',
    retryable: true,
  })
}
