export { developmentServer, type DevelopmentServerOptions } from './development-server.ts'
export type { EmbeddedPostgresOptions } from './options.ts'
export type { EmbeddedPostgres } from './embedded-postgres.ts'
export { startEmbeddedPostgres } from './start.ts'
