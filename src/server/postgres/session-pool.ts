import { Pool, type PoolClient, type PoolConfig } from 'pg'
import { untilAborted } from '../../kernel/abort.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { SessionPool } from '../port.ts'
import { whileConnecting } from './blockers.ts'
import { toTenantryError } from './errors.ts'
import { lendSession, type SessionSource } from './session.ts'

/** Sessions on one database over connections that are kept for a while and used again. */
export function openSessionPool(
  config: PoolConfig,
  max: number,
  source: SessionSource,
  database: Identifier,
): SessionPool {
  const pool = new Pool({ ...config, max, allowExitOnIdle: true })
  // An idle connection that the server ends is replaced when the next one is needed.
  pool.on('error', () => undefined)
  // The statement that runs on one that is lent fails by itself; without a listener, the process would end besides.
  pool.on('connect', (client) => client.on('error', () => undefined))
  return {
    connect: async ({ signal } = {}) => {
      const connecting = whileConnecting(source.blockers, database, lease(pool, signal))
      const client = await connecting.catch((error: unknown) => {
        throw toTenantryError(error, source.context(database), 'connect')
      })
      return lendSession(client, source, database, signal, (isClean) => client.release(!isClean))
    },
    end: () => pool.end(),
  }
}

/** A connection that comes after its caller has gone is kept for the next. */
async function lease(pool: Pool, signal: AbortSignal | undefined): Promise<PoolClient> {
  const connecting = pool.connect()
  try {
    return await untilAborted(connecting, signal)
  } catch (error) {
    connecting.then((client) => client.release()).catch(() => undefined)
    throw error
  }
}
