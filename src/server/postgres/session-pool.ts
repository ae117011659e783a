import type { PoolConfig } from 'pg'
import type { Identifier } from '../../kernel/names.ts'
import type { SessionPool } from '../port.ts'
import { AdministrativePool, type PoolSize } from './administrative-pool.ts'
import { leaseSession, type SessionSource } from './session.ts'

/** Opens sessions on one database over connections that are kept for a while and reused. */
export function openSessionPool(
  config: PoolConfig,
  size: PoolSize,
  source: SessionSource,
  database: Identifier,
): SessionPool {
  const pool = new AdministrativePool(config, size, source.context(database), source.blockers)
  return {
    connect: async ({ signal } = {}) => {
      const client = await pool.connect(signal)
      return leaseSession(client, source, database, signal, (isClean) => client.release(!isClean))
    },
    end: () => pool.end(),
  }
}
