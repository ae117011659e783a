import type { Cancellable } from '../kernel/abort.ts'
import type { SparePool } from '../catalog/inventory.ts'
import type { Server, Session } from '../server/port.ts'
import { requireServer } from '../server/require-server.ts'
import type { ProvisioningContext } from './context.ts'
import { lockedBy } from './locked-work.ts'
import { dropSpares, spareLock, tidySpares } from './spare.ts'
import { dropTemplates, dropUnready, inPool } from './template.ts'

/** The result of removing templates and spares. */
export interface RemovedTemplates {
  readonly templates: number
  readonly spares: number
  /** True if a running process keeps spares of one of the versions: it will make new ones. */
  readonly isKept: boolean
}

/** Returns the name of the lock that all processes share which keep spares of a version. */
export function declarationLock(fingerprint: string): string {
  return `declared:${fingerprint}`
}

/**
 * Drops the inventory of versions that no running process declares: their spares, and their templates, unless a tenant
 * has the version.
 *
 * @param session on the catalog, for the declarations
 */
export async function retireVersions(
  context: ProvisioningContext,
  session: Session,
  options: Cancellable,
): Promise<void> {
  const { inventory } = lockedBy(session)
  const sparePools = await poolsOf(context)
  for (const fingerprint of new Set(sparePools.map((sparePool) => sparePool.fingerprint))) {
    if (fingerprint === context.fingerprint || !(await session.tryLock(declarationLock(fingerprint), 'exclusive')))
      continue
    try {
      const isNeeded = await inventory.isNeeded(fingerprint)
      for (const sparePool of sparePools.filter((it) => it.fingerprint === fingerprint)) {
        await emptyPool(context, sparePool, options, { templates: !isNeeded })
      }
    } finally {
      await session.unlock(declarationLock(fingerprint), 'exclusive')
    }
  }
}

/**
 * Drops all templates and spares of all versions, on the servers that this process knows: before an upgrade by
 * pg_upgrade, which refuses databases that are closed to connections.
 */
export async function removeTemplates(context: ProvisioningContext, options: Cancellable): Promise<RemovedTemplates> {
  const removed = { templates: 0, spares: 0, isKept: false }
  for (const sparePool of await poolsOf(context)) {
    const { templates, spares, isKept } = await emptyPool(context, sparePool, options, { templates: true })
    removed.templates += templates
    removed.spares += spares
    removed.isKept ||= isKept
  }
  // Also if the inventory had nothing of this version at this moment.
  removed.isKept ||= await isDeclaredNow(context, options)
  return removed
}

/**
 * Drops templates and spares on a server that were begun, or discarded, and that no process is working on. Ready ones
 * stay.
 */
export async function clearLeftovers(
  context: ProvisioningContext,
  serverName: string,
  options: Cancellable,
): Promise<void> {
  const sparePools = (await poolsOf(context)).filter((sparePool) => sparePool.server === serverName)
  for (const sparePool of sparePools) {
    const server = requireServer(context.servers, serverName, sparePool.fingerprint)
    await inPool(context, server, spareLock(sparePool), options, (locked, admin) =>
      tidySpares(context, { locked, server, admin }, sparePool),
    )
    await dropUnready(context, server, sparePool, options)
  }
}

/** Returns every pool of spares that has anything, of the servers that this process knows. */
async function poolsOf({ inventory, servers }: ProvisioningContext): Promise<readonly SparePool[]> {
  const known = (await inventory.counts()).filter(({ server }) => servers.has(server))
  const byKey = new Map(known.map(({ server, fingerprint }) => [`${server}\n${fingerprint}`, { server, fingerprint }]))
  return [...byKey.values()]
}

async function emptyPool(
  context: ProvisioningContext,
  sparePool: SparePool,
  options: Cancellable,
  also: { readonly templates: boolean },
): Promise<RemovedTemplates> {
  const server = requireServer(context.servers, sparePool.server, sparePool.fingerprint)
  const { spares, isKept } = await emptyOfSpares(context, server, sparePool, options)
  const templates = also.templates ? await dropTemplates(context, server, sparePool, options) : 0
  return { templates, spares, isKept }
}

function emptyOfSpares(context: ProvisioningContext, server: Server, sparePool: SparePool, options: Cancellable) {
  return inPool(context, server, spareLock(sparePool), options, async (locked, admin) => {
    const spares = await locked.inventory.spares(sparePool, ['ready', 'filling', 'dropping'])
    await locked.inventory.discardSpares(spares.map(({ rowId }) => rowId))
    // A spare that was being claimed meanwhile is a tenant's now.
    const left = await locked.inventory.spares(sparePool, ['dropping'])
    await dropSpares(context, { locked, server, admin }, left)
    return { spares: left.length, isKept: await isDeclared(locked.session, sparePool.fingerprint) }
  })
}

async function isDeclaredNow(context: ProvisioningContext, options: Cancellable): Promise<boolean> {
  const session = await context.connect(context.home, options)
  try {
    return await isDeclared(session, context.fingerprint)
  } finally {
    await session.close()
  }
}

/** True if a running process keeps spares of a version. */
async function isDeclared(session: Session, fingerprint: string): Promise<boolean> {
  const lock = declarationLock(fingerprint)
  // Two processes that look at once must not take each other for such a process: a shared lock would not show it.
  if (!(await session.tryLock(lock, 'exclusive'))) return true
  await session.unlock(lock, 'exclusive')
  return false
}
