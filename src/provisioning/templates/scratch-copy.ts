import { randomUUID } from 'node:crypto'
import type { Cancellable } from '../../kernel/abort.ts'
import { TenantryError } from '../../kernel/errors.ts'
import { physicalNames } from '../../kernel/names.ts'
import type { SparePool } from '../../catalog/inventory.ts'
import type { Server, Session } from '../../server/port.ts'
import { requireServer } from '../../server/require-server.ts'
import { withSession } from '../../server/with-session.ts'
import type { ProvisioningContext } from '../context.ts'
import { createPrivate, ensureGroups } from '../roles/separation.ts'
import { contextOfVersion } from '../tables/compare-tenant.ts'
import { dropDiscardedOn } from './retire.ts'
import { buildingTakenError, discardInterrupted, inPool, isUnusable, templateLock, templateStamp } from './template.ts'

/** The longest wait for another process that drops discarded databases of the version, in milliseconds. */
const dropLockTimeoutMs = 1_000

/**
 * Runs `work` in a copy of a version's template on one of the servers, which is dropped afterwards. The catalog has the
 * copy as a template that is being built, so that one that a crash leaves is dropped like those.
 *
 * @returns undefined if no server has a template of that version
 */
export async function onScratchCopy<T>(
  context: ProvisioningContext,
  fingerprint: string,
  options: Cancellable,
  work: (server: Server, session: Session) => Promise<T>,
): Promise<T | undefined> {
  const older = { ...contextOfVersion(context, fingerprint), knownTemplates: new Map() }
  for (const name of context.servers.keys()) {
    if ((await context.inventory.readyTemplate({ server: name, fingerprint })) === undefined) continue
    const copied = await inCopy(older, { server: name, fingerprint }, options, work)
    if (copied !== undefined) return copied.value
  }
  return undefined
}

async function inCopy<T>(
  context: ProvisioningContext,
  sparePool: SparePool,
  options: Cancellable,
  work: (server: Server, session: Session) => Promise<T>,
): Promise<{ readonly value: T } | undefined> {
  try {
    return await underTemplateLock(context, sparePool, options, work)
  } finally {
    await dropCopies(context, sparePool, options)
  }
}

function underTemplateLock<T>(
  context: ProvisioningContext,
  sparePool: SparePool,
  options: Cancellable,
  work: (server: Server, session: Session) => Promise<T>,
): Promise<{ readonly value: T } | undefined> {
  const server = requireServer(context.servers, sparePool.server)
  return inPool(context, server, templateLock(sparePool), options, async (locked, admin) => {
    await discardInterrupted(locked, sparePool)
    const template = await locked.inventory.readyTemplate(sparePool)
    if (template === undefined || (await isUnusable(context, server, admin, template))) return undefined
    const rowId = randomUUID()
    const database = physicalNames.building(context.installation, rowId)
    const groups = await ensureGroups(context.separation, server, admin)
    const stamp = { change: 'stamp', database, comment: templateStamp(context, 'building', rowId) } as const
    const source = physicalNames.template(context.installation, template.rowId)
    await locked.inventory.addTemplate(sparePool, rowId)
    const making = { server, admin, database, template: source, groups, also: [stamp] }
    if (!(await createPrivate(making))) throw buildingTakenError(database)
    try {
      return { value: await withSession(server.connect(database, options), (session) => work(server, session)) }
    } finally {
      await locked.inventory.discardTemplate(rowId)
    }
  })
}

/**
 * Drops the copy, without the lock of the template: any role of the server can make a drop take long. If it fails, or
 * another process is dropping, the copy is dropped with other discarded templates.
 */
async function dropCopies(context: ProvisioningContext, sparePool: SparePool, options: Cancellable): Promise<void> {
  try {
    await dropDiscardedOn({ ...context, lockTimeoutMs: dropLockTimeoutMs }, sparePool, options)
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error
  }
}
