export { postgres, type PostgresOptions } from './server.ts'
