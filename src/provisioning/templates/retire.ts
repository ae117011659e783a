import type { Cancellable } from '../../kernel/abort.ts'
import { physicalNames } from '../../kernel/names.ts'
import type { SparePool } from '../../catalog/inventory.ts'
import type { Server, Session } from '../../server/port.ts'
import { withSession } from '../../server/with-session.ts'
import { requireServer } from '../../server/require-server.ts'
import type { ProvisioningContext } from '../context.ts'
import { lockedBy } from '../locks/locked-work.ts'
import { discardUnready, dropSpares, spareLock } from './spare.ts'
import { discardTemplates, dropTemplate, inPool } from './template.ts'

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
 * has the version. It also drops the discarded databases of other versions.
 */
export async function retireVersions(context: ProvisioningContext, options: Cancellable): Promise<void> {
  await withSession(context.home.connect(physicalNames.catalog(context.installation), options), async (session) => {
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
  })
  await dropDiscarded(context, options)
}

/**
 * Drops the templates and spares that were discarded, on all servers. Any role of a server can make a drop take long. So the
 * only lock that is held is one of those who drop: nobody waits who makes something.
 */
export async function dropDiscarded(context: ProvisioningContext, options: Cancellable): Promise<void> {
  const discarded = (await context.inventory.counts()).filter(({ state }) => state === 'dropping')
  for (const sparePool of poolsAmong(context, discarded)) await dropDiscardedOn(context, sparePool, options)
}

/** Drops the templates and spares of one version that were discarded on a server. @throws `lock-timeout` */
export function dropDiscardedOn(
  context: ProvisioningContext,
  sparePool: SparePool,
  options: Cancellable,
): Promise<void> {
  const server = requireServer(context.servers, sparePool.server)
  const lock = `discarded:${sparePool.server}:${sparePool.fingerprint}`
  return inPool(context, server, lock, options, async (locked, admin) => {
    await dropSpares(context, { locked, server, admin }, await locked.inventory.spares(sparePool, ['dropping']))
    for (const template of await locked.inventory.templates(sparePool, ['dropping'])) {
      await dropTemplate(context, locked, server, admin, template)
    }
  })
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
  await dropDiscarded(context, options)
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
    const server = requireServer(context.servers, serverName)
    await inPool(context, server, spareLock(sparePool), options, (locked, admin) =>
      discardUnready({ locked, server, admin }, sparePool),
    )
    await discardTemplates(context, server, sparePool, 'unready', options)
    await dropDiscardedOn(context, sparePool, options)
  }
}

/** Returns every pool of spares that has anything, of the servers that this process knows. */
async function poolsOf(context: ProvisioningContext): Promise<readonly SparePool[]> {
  return poolsAmong(context, await context.inventory.counts())
}

function poolsAmong({ servers }: ProvisioningContext, counts: readonly SparePool[]): readonly SparePool[] {
  const known = counts.filter(({ server }) => servers.has(server))
  const byKey = new Map(known.map(({ server, fingerprint }) => [`${server}\n${fingerprint}`, { server, fingerprint }]))
  return [...byKey.values()]
}

/** Discards all spares of a pool and, if told so, its templates. @returns the numbers of databases to drop */
async function emptyPool(
  context: ProvisioningContext,
  sparePool: SparePool,
  options: Cancellable,
  also: { readonly templates: boolean },
): Promise<RemovedTemplates> {
  const server = requireServer(context.servers, sparePool.server)
  const { spares, isKept } = await discardAllSpares(context, server, sparePool, options)
  const templates = also.templates ? await discardTemplates(context, server, sparePool, 'all', options) : 0
  return { templates, spares, isKept }
}

function discardAllSpares(context: ProvisioningContext, server: Server, sparePool: SparePool, options: Cancellable) {
  return inPool(context, server, spareLock(sparePool), options, async ({ session, inventory }) => {
    const spares = await inventory.spares(sparePool, ['ready', 'filling'])
    await inventory.discardSpares(spares.map(({ rowId }) => rowId))
    // A spare that was being claimed meanwhile is a tenant's now.
    const left = await inventory.spares(sparePool, ['dropping'])
    return { spares: left.length, isKept: await isDeclared(session, sparePool.fingerprint) }
  })
}

async function isDeclaredNow(context: ProvisioningContext, options: Cancellable): Promise<boolean> {
  return withSession(context.connect(context.home, options), (session) => isDeclared(session, context.fingerprint))
}

/** True if a running process keeps spares of a version. */
async function isDeclared(session: Session, fingerprint: string): Promise<boolean> {
  const lock = declarationLock(fingerprint)
  // Two processes that look at once must not take each other for such a process: a shared lock would not show it.
  if (!(await session.tryLock(lock, 'exclusive'))) return true
  await session.unlock(lock, 'exclusive')
  return false
}
