import { Pool } from 'pg'
import { checked, hasMethods, readOptions } from '../../kernel/options.ts'
import type { ConnectionPool } from '../connection-pool.ts'

const poolSchema = checked<ConnectionPool>((pool) => hasMethods(pool, 'connect', 'query'), "a tenant's pool")

/**
 * Returns a tenant's connections as a `pg` Pool, for libraries that accept nothing else: its `query` and `connect`, which
 * give promises. It emits no events, and ending it does nothing.
 *
 * @throws `invalid-option`
 */
export function pgPool(pool: ConnectionPool): Pool {
  readOptions('The argument of pgPool()', poolSchema, pool)
  const own = {
    options: pool.options,
    query: (query: unknown, values?: unknown) => pool.query(query, values),
    connect: () => pool.connect(),
    end: () => pool.end(),
  }
  // Libraries ask for the class.
  return Object.assign(Object.create(Pool.prototype) as object, own) as unknown as Pool
}
