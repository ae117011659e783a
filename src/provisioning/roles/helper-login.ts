import { randomBytes } from 'node:crypto'
import { type Identifier, physicalNames } from '../../kernel/names.ts'
import type { Login } from '../../server/port.ts'
import type { ProvisioningContext, Separation } from '../context.ts'
import type { ServerSite } from '../locks/locked-work.ts'
import { despiteRaces, endAllSessions, remainError } from '../drain.ts'
import { dropOurRole, newPassword } from './separation.ts'

/** The place of a temporary role, and its row. */
interface Workplace extends ServerSite {
  readonly database: Identifier
  readonly rowId: string
}

/**
 * Runs `work` with a login that has the privileges of `objects`, in one database, and no others: for a database that
 * may hold triggers of others. In a session of the role that administers, which merely acts as another, these could
 * become that role again, and with it all roles that it is a member of.
 */
export async function withHelper<T>(
  context: ProvisioningContext,
  { groups }: Separation,
  { server, admin, database, rowId }: Workplace,
  work: (login: Login) => Promise<T>,
): Promise<T> {
  const run = randomBytes(4).toString('hex')
  const login = { user: physicalNames.helper(context.installation, rowId, run), password: newPassword() }
  await server.apply(admin, [{ change: 'add-temporary-login', login, groups, database }])
  let value: T
  try {
    value = await work(login)
  } catch (error) {
    // The first error counts; reconciling drops a temporary role that stays.
    await dismiss(context, { server, admin, database }, login.user).catch(() => undefined)
    throw error
  }
  await dismiss(context, { server, admin, database }, login.user)
  return value
}

/**
 * Ends the sessions of a temporary role, rolls back its prepared transactions, and drops it. Triggers that ran as it may
 * have given its password away.
 *
 * @param database the database that it may connect to, if that is known
 * @returns false if the role stays
 */
export async function dismiss(
  context: ProvisioningContext,
  { server, admin, database }: Omit<Workplace, 'rowId' | 'database'> & { readonly database: Identifier | undefined },
  user: Identifier,
): Promise<boolean> {
  const own = { database: database ?? server.maintenanceDatabase, which: { of: user }, signal: undefined } as const
  await despiteRaces(server, admin, own, () => server.apply(admin, [{ change: 'disable-login', user, database }]))
  if (!(await server.sessions.endLogins(admin, { user }))) throw remainError(own.database)
  await endAllSessions(server, admin, own)
  await server.sessions.rollBackPrepared(admin, own.database, user)
  return dropOurRole(context, server, admin, user, database)
}
