import { type Cancellable, poll } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { type Identifier, physicalNames } from '../kernel/names.ts'
import type { Server, Session, SessionPool } from '../server/port.ts'
import { createPrivate } from './separation.ts'
import type { ProvisioningContext } from './context.ts'

/** How long the process that makes a closed database may take before another one finishes it, in milliseconds. */
const finishMs = 1_000
/** How long all of that may take, in milliseconds. */
const makingMs = 30_000

/**
 * The database that administrative sessions on a server are in: the catalog on its own server, elsewhere one that has
 * nothing in it. No tenant can connect to it, so that none can take the locks that processes take there.
 */
function administrationDatabase(
  { home, installation }: Pick<ProvisioningContext, 'home' | 'installation'>,
  server: Server,
): Identifier {
  return server === home ? physicalNames.catalog(installation) : physicalNames.administration(installation)
}

/** Opens a session of its own in the administrative database of a server, which is made where it is missing. */
export function connectToAdministration(
  context: Pick<ProvisioningContext, 'home' | 'installation'>,
  server: Server,
  options: Cancellable,
): Promise<Session> {
  const database = administrationDatabase(context, server)
  return madeOnDemand(server, database, options, () => server.connect(database, options))
}

/** At most `max` sessions in the administrative database of a server, which is made where it is missing. */
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
 * Makes a database of the connecting role that PUBLIC can never connect to, from template0: nothing that somebody left in
 * template1 is in it. Any number of processes may do this at once; what a crash left is finished by the next.
 *
 * @returns false when it was there already, or another process made it
 * @throws `database-closed` where it stays closed, and what CREATE DATABASE may fail with
 */
export async function makeClosedDatabase(server: Server, database: Identifier, options: Cancellable): Promise<boolean> {
  const admin = await server.connect(server.maintenanceDatabase, options)
  try {
    if (await createPrivate({ server, admin, database, template: 'template0', groups: undefined })) return true
    const isOpen = async () => (await server.describe(admin, [database]))[0]?.acceptsConnections || undefined
    if (await poll(isOpen, finishMs, options.signal)) return false
    const open = [
      ...server.roles.revokePublicAccess(database, undefined),
      server.alterStatement(database, { acceptsConnections: true }),
    ]
    const finish = async () => {
      if (await isOpen()) return true
      return admin.script(open).then(() => true as const, whileChanging)
    }
    if (await poll(finish, makingMs, options.signal)) return false
  } finally {
    await admin.close()
  }
  throw new TenantryError('database-closed', `The database ${database} was begun and could not be opened.`, {
    hint: 'pg_stat_activity shows what holds it. Repeat the call.',
  })
}

/** Of two that change the privileges of one database at once, PostgreSQL fails one: "tuple concurrently updated". */
function whileChanging(error: unknown): undefined {
  if (!(error instanceof TenantryError) || error.sqlState !== 'XX000') throw error
}

function isNotOpen(error: unknown): boolean {
  return error instanceof TenantryError && (error.code === 'database-missing' || error.code === 'database-closed')
}
