export type { PoolerOptions } from './pooler.ts'
export { postgres, type PostgresOptions } from './postgres.ts'
