import { TenantryError } from '../../kernel/errors.ts'
import type { Cancellable } from '../../kernel/abort.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { Server, Session } from '../../server/port.ts'
import { withSession } from '../../server/with-session.ts'
import { discardStatement, isHalfMade, type OnlineStatement } from '../../structure/online.ts'
import { keyOf } from '../../structure/structure-object.ts'
import type { ProvisioningContext } from '../context.ts'
import { mayPass, stepOptions } from './apply-steps.ts'
import type { PlannedStep } from './plan.ts'

/** Options of a preparation. */
export interface PrepareOptions extends Cancellable {
  readonly lockTimeoutMs?: number | undefined
  /**
   * The longest wait of CREATE INDEX CONCURRENTLY, and the like, for each older transaction, in milliseconds. Default: the
   * longest wait of administration for a lock.
   */
  readonly olderTimeoutMs?: number | undefined
  /** The longest time between two statements, in milliseconds. Default: no limit. */
  readonly idleMs?: number | undefined
}

/**
 * Runs the statements that prepare the steps of a plan in a database, those that it does not have already. Writers wait
 * for none of them longer than for a lock. What was finished stays if a later one fails: the next attempt goes on from
 * there.
 */
export async function prepareOnline(
  context: ProvisioningContext,
  { server, database }: { readonly server: Server; readonly database: Identifier },
  steps: readonly PlannedStep[],
  { signal, lockTimeoutMs, olderTimeoutMs, idleMs }: PrepareOptions,
): Promise<void> {
  const statements = steps.flatMap(({ online }) => online?.prepare ?? [])
  if (statements.length === 0) return
  const role = context.separation?.groups.objects
  // CREATE INDEX CONCURRENTLY waits for every older transaction; those of a service may take their time.
  const connecting = server.connect(database, { signal, role, blockers: 'leave', lockTimeoutMs: olderTimeoutMs })
  await withSession(connecting, async (session) => {
    if (idleMs !== undefined) await session.limitIdle(idleMs)
    const run = ({ sql, isAlone }: Pick<OnlineStatement, 'sql' | 'isAlone'>) =>
      isAlone
        ? session.query(sql)
        : session.transaction(() => session.script([sql]), { ...stepOptions(context), lockTimeoutMs })
    for (const statement of statements) {
      const found = await findObject(server, session, statement)
      const isIndexLeft = found !== undefined && statement.isAlone && isHalfMade(found)
      if (isIndexLeft) await run(discardStatement(found))
      const isDue = statement.when === 'missing' ? found === undefined || isIndexLeft : found && isHalfMade(found)
      if (!isDue) continue
      try {
        await run(statement)
      } catch (error) {
        if (error instanceof TenantryError && !mayPass(error)) await discardHalfMade(server, session, statement, run)
        throw error
      }
    }
  })
}

async function findObject(server: Server, session: Session, { object }: OnlineStatement) {
  const { structure } = await server.structures.read(session)
  return structure.find((it) => keyOf(it) === keyOf(object))
}

/** Drops what a failed statement left. The first error counts: the next attempt finds what is left even so. */
async function discardHalfMade(
  server: Server,
  session: Session,
  statement: OnlineStatement,
  run: (statement: Pick<OnlineStatement, 'sql' | 'isAlone'>) => Promise<unknown>,
): Promise<void> {
  try {
    const found = await findObject(server, session, statement)
    if (found !== undefined && isHalfMade(found)) await run(discardStatement(found))
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error
  }
}
