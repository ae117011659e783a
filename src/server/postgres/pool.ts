import type { PoolClient, PoolConfig } from 'pg'
import { queryOnce } from '../connection-pool.ts'
import type { ConnectionPool, PooledConnection } from '../port.ts'
import { AdministrativePool, type PoolSize } from './administrative-pool.ts'
import type { BlockerPolicy } from './blockers.ts'
import { processId, typeParser } from './client.ts'
import { type ErrorContext, toTenantryError } from './errors.ts'

/** Returns a pool that throws {@link TenantryError}s. */
export function openPool(
  config: PoolConfig,
  size: PoolSize,
  context: ErrorContext,
  cancel: ConnectionPool['cancel'],
  blockers: BlockerPolicy | undefined,
): ConnectionPool {
  const pool = new AdministrativePool(config, size, context, blockers)
  const connect = async () => wrap(await pool.connect(), context)
  return {
    options: {},
    cancel,
    connect,
    end: () => pool.end(),
    query: (query, values) => queryOnce(connect(), query, values),
  }
}

function wrap(client: PoolClient, context: ErrorContext): PooledConnection {
  // The driver would reuse a connection on which an answer is still outstanding.
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
