import { Pool, type PoolClient, type PoolConfig } from 'pg'
import { TenantryError } from '../../kernel/errors.ts'
import type { ConnectionPool, PooledConnection } from '../port.ts'
import { type BlockerPolicy, whileConnecting } from './blockers.ts'
import { processId, typeParser } from './client.ts'
import { type ErrorContext, toTenantryError } from './errors.ts'

/** What pg-pool says when all its connections were busy for too long. */
const exhausted = /timeout exceeded when trying to connect/

/** A pool for Tenantry's own queries, whose errors are ours. */
export function openPool(
  config: PoolConfig,
  max: number,
  context: ErrorContext,
  control: ConnectionPool['control'],
  blockers: BlockerPolicy | undefined,
): ConnectionPool {
  const pool = new Pool({ ...config, max, allowExitOnIdle: true })
  // An idle connection that the server ends is replaced when the next one is needed.
  pool.on('error', () => undefined)
  // The statement that runs on one that is lent fails by itself; without a listener, the process would end besides.
  pool.on('connect', (client) => client.on('error', () => undefined))
  const connect = async () =>
    wrap(await whileConnecting(blockers, context.database, lease(pool, max, context)), context)
  return {
    options: {},
    control,
    connect,
    end: () => pool.end(),
    query: async (query, values) => {
      const connection = await connect()
      try {
        return await connection.query(query, values)
      } finally {
        connection.release()
      }
    },
  }
}

async function lease(pool: Pool, max: number, context: ErrorContext): Promise<PoolClient> {
  try {
    return await pool.connect()
  } catch (error) {
    if (error instanceof Error && exhausted.test(error.message) && pool.totalCount >= max) {
      throw new TenantryError('pool-timeout', `All ${max} connections to ${context.database} are busy.`, {
        cause: error,
        hint: 'Start less at once.',
      })
    }
    throw toTenantryError(error, context, 'connect')
  }
}

function wrap(client: PoolClient, context: ErrorContext): PooledConnection {
  // The driver would lend a connection again on which an answer is still outstanding.
  let isLost = false
  return {
    processID: processId(client),
    getTypeParser: (oid, format) => typeParser(client, oid, format),
    release: (destroy) => client.release(isLost || destroy),
    query: async (query: unknown, values: unknown) => {
      try {
        return await client.query(query as string, values as unknown[])
      } catch (error) {
        const failure = toTenantryError(error, context, 'query')
        isLost ||= failure.code === 'connection-lost'
        throw failure
      }
    },
  }
}
