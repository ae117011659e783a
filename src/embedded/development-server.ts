import { existsSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import * as v from 'valibot'
import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { type Logger, loggerOption, stderrLogger } from '../kernel/logger.ts'
import { cancellable, type Entries, folder, options, readOptions, trueOrFalse } from '../kernel/options.ts'
import type { EmbeddedPostgres } from './embedded-postgres.ts'
import { layout } from './folder.ts'
import { tcpPort } from './options.ts'
import { startEmbeddedPostgres } from './start.ts'

/** Options of {@link developmentServer}. */
export interface DevelopmentServerOptions extends Cancellable {
  /** The project's folder. Default: the working directory. */
  readonly baseDir?: string | undefined
  /** The server's folder, relative to the project's. Default: `.tenantry/postgres`. */
  readonly dataDir?: string | undefined
  /** Makes a missing server's folder. Default true. */
  readonly create?: boolean | undefined
  /** Default: the port of the last start if it is free, otherwise any free one. */
  readonly port?: number | undefined
  /** Receives one sentence that names the server in use. Default: standard error. */
  readonly logger?: Logger | undefined
}

/**
 * Returns the server to use if none is configured: an embedded one that belongs to the project, shared by its
 * processes.
 *
 * @throws `embedded-in-production` if NODE_ENV is `production`, before anything is touched
 * @throws `catalog-missing` if it was not made yet and `create` is false
 * @throws the errors of `startEmbeddedPostgres`
 */
export async function developmentServer(given: DevelopmentServerOptions = {}): Promise<EmbeddedPostgres> {
  const { baseDir, dataDir, create, logger, port, signal } = readOptions('developmentServer', schema, given)
  refuseProduction()
  const serverFolder = resolve(baseDir, dataDir)
  const where = relative(process.cwd(), serverFolder) || '.'
  if (!create && !existsSync(layout(serverFolder).data)) throw packageMissingError(where)
  const server = await startEmbeddedPostgres({ dataDir: serverFolder, port, signal })
  logger.info(`No server configured: using an embedded PostgreSQL ${server.version} in ${where} (development only).`)
  return server
}

const schema = options({
  baseDir: v.exactOptional(folder, () => process.cwd()),
  dataDir: v.exactOptional(folder, join('.tenantry', 'postgres')),
  create: v.exactOptional(trueOrFalse, true),
  port: v.exactOptional(tcpPort),
  logger: v.exactOptional(loggerOption, stderrLogger),
  ...cancellable,
} satisfies Entries<DevelopmentServerOptions>)

function refuseProduction(): void {
  if (process.env.NODE_ENV !== 'production') return
  throw new TenantryError('embedded-in-production', 'No server is configured, and NODE_ENV is production.', {
    hint: 'Set DATABASE_URL, or give the server in the configuration. The embedded server is for development and tests.',
  })
}

function packageMissingError(where: string): TenantryError {
  const message = `There is no installation here: no server is configured, and there is no embedded PostgreSQL in ${where}.`
  return new TenantryError('catalog-missing', message, {
    hint: 'Make one with "tenantry init --catalog". For a server of your own, set DATABASE_URL or give it in the configuration.',
  })
}
