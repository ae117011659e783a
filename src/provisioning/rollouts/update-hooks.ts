import type { Cancellable } from '../../kernel/abort.ts'
import { explained, hasCode } from '../../kernel/errors.ts'
import { physicalNames } from '../../kernel/names.ts'
import { publicTenant, type TenantRow } from '../../catalog/tenant.ts'
import type { Login, Server } from '../../server/port.ts'
import { withSession } from '../../server/with-session.ts'
import type { MakingContext } from '../context.ts'
import { runHook } from '../hooks.ts'
import { connectToAdministration } from '../locks/administration.ts'
import { dismiss, withHelper } from '../roles/helper-login.ts'

/**
 * Runs the service's own step before or after the change of a tenant's tables, if there is one: on connections of its
 * own, as a temporary login with the privileges of the tables' owner. In the transaction that changes the tables, whose
 * session can become the role that administers, the database's own functions could do so as well.
 *
 * @throws `hook-failed`, `lock-timeout`
 */
export async function runUpdateHook<Handle>(
  context: MakingContext<Handle>,
  name: 'beforeUpdate' | 'afterUpdate',
  { server, row }: { readonly server: Server; readonly row: TenantRow },
  { signal }: Cancellable,
): Promise<void> {
  const hook = context[name]
  if (hook === undefined) return
  const { database, rowId } = row
  const run = (login?: Login) =>
    runHook(context, name, hook, { server, database, login, tenant: publicTenant(row) }, { signal }).catch(throwAsLock)
  const { separation } = context
  if (separation === undefined || row.credential === undefined) return run()
  // The sessions that are kept may all be at such work, each waiting for another.
  await withSession(connectToAdministration(context, server, { signal }), async (admin) => {
    // Of a process that was stopped or cut off during a hook: it may hold locks in the database.
    const left = await server.roles.find(admin, physicalNames.helpersOf(context.installation, rowId))
    for (const user of left.keys()) await dismiss(context, { server, admin, database }, user)
    await withHelper(context, separation, { server, admin, database, rowId }, run)
  })
}

/** Throws a failure as a lock's if that is its cause: a tenant can hold a lock, which is tried again and halts no rollout. */
function throwAsLock(error: unknown): never {
  const isLock = causesOf(error).some((cause) => 'code' in cause && cause.code === 'lock-timeout')
  if (!isLock || !hasCode(error, 'hook-failed')) throw error
  throw explained(error, 'lock-timeout', error.message, {
    hint: 'Sessions of the tenant hold the lock: pg_locks shows them. Suspend the tenant, which ends them, and retry the rollout.',
  })
}

/** Returns an error and its causes: the ORMs wrap the error of a statement, or copy its code. */
function causesOf(error: unknown): readonly Error[] {
  const causes: Error[] = []
  for (let it = error; it instanceof Error && !causes.includes(it); it = it.cause) causes.push(it)
  return causes
}
