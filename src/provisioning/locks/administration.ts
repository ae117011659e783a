import { type Cancellable, poll } from '../../kernel/abort.ts'
import { hasCode, TenantryError } from '../../kernel/errors.ts'
import { type Identifier, physicalNames } from '../../kernel/names.ts'
import type { Server, Session, SessionPool } from '../../server/port.ts'
import { createPrivate } from '../roles/separation.ts'
import type { ProvisioningContext } from '../context.ts'

/** The time after which another process finishes a closed database that one has begun to make, in milliseconds. */
const finishMs = 1_000
/** The time for all of that, in milliseconds. */
const makingMs = 30_000

/**
 * Returns the database of administrative sessions on a server: the catalog on its own server, elsewhere an empty one.
 * No tenant can connect to it, so that none can take the locks that processes take there.
 */
function administrationDatabase(
  { home, installation }: Pick<ProvisioningContext, 'home' | 'installation'>,
  server: Server,
): Identifier {
  return server === home ? physicalNames.catalog(installation) : physicalNames.administration(installation)
}

/** Opens a session of its own in the administrative database of a server, which is made if it is missing. */
export function connectToAdministration(
  context: Pick<ProvisioningContext, 'home' | 'installation'>,
  server: Server,
  options: Cancellable,
): Promise<Session> {
  const database = administrationDatabase(context, server)
  return madeOnDemand(server, database, options, () => server.connect(database, options))
}

/** Returns at most `max` sessions in the administrative database of a server, which is made if it is missing. */
export function administrationPool(
  context: Pick<ProvisioningContext, 'home' | 'installation'>,
  server: Server,
  max: number,
): SessionPool {
  const database = administrationDatabase(context, server)
  const pool = server.sessionPool(database, max)
  return {
    connect: (options = {}) => madeOnDemand(server, database, options, () => pool.connect(options)),
    end: () => pool.end(),
  }
}

async function madeOnDemand(
  server: Server,
  database: Identifier,
  options: Cancellable,
  connect: () => Promise<Session>,
): Promise<Session> {
  try {
    return await connect()
  } catch (error) {
    if (!isNotOpen(error)) throw error
    await makeClosedDatabase(server, database, options)
    return connect()
  }
}

/**
 * Makes a database of the connecting role that PUBLIC can never connect to, from template0: it contains no objects that
 * others have left in template1. Any number of processes may do this at once; the next one finishes it after a crash.
 *
 * @returns false if it existed already, or another process made it
 * @throws `database-closed` if it stays closed, and the errors of CREATE DATABASE
 */
export async function makeClosedDatabase(server: Server, database: Identifier, options: Cancellable): Promise<boolean> {
  const admin = await server.connect(server.maintenanceDatabase, options)
  try {
    if (await createPrivate({ server, admin, database, template: 'template0', groups: undefined })) return true
    const isOpen = async () => (await server.databases.describe(admin, [database]))[0]?.acceptsConnections || undefined
    if (await poll(isOpen, finishMs, options.signal)) return false
    const opening = [
      { change: 'make-private', database, groups: undefined },
      { change: 'open', database },
    ] as const
    const finish = async () => {
      if (await isOpen()) return true
      await server.apply(admin, opening)
      return true
    }
    if (await poll(finish, makingMs, options.signal)) return false
  } finally {
    await admin.close()
  }
  throw new TenantryError('database-closed', `The database ${database} was begun and could not be opened.`, {
    hint: 'Find the session that holds it in pg_stat_activity, and repeat the call.',
  })
}

function isNotOpen(error: unknown): boolean {
  return hasCode(error, 'database-missing', 'database-closed')
}
