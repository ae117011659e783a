export type { PoolerOptions } from './pooler.ts'
export { pgPool } from './pg-pool.ts'
export { postgres, type PostgresOptions } from './postgres.ts'
