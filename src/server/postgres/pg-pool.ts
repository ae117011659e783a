import { Pool } from 'pg'
import type { ConnectionPool } from '../connection-pool.ts'

/**
 * Returns a tenant's connections as a `pg` Pool, for libraries that accept nothing else: its `query` and `connect`, which
 * give promises. It emits no events, and ending it does nothing.
 */
export function pgPool(pool: ConnectionPool): Pool {
  const own = {
    options: pool.options,
    query: (query: unknown, values?: unknown) => pool.query(query, values),
    connect: () => pool.connect(),
    end: () => pool.end(),
  }
  // Libraries ask for the class.
  return Object.assign(Object.create(Pool.prototype) as object, own) as unknown as Pool
}
