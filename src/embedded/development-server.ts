import { join, relative, resolve } from 'node:path'
import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { cancellable, type Checks, functionOption, readOptions } from '../kernel/options.ts'
import type { EmbeddedPostgres } from './embedded-postgres.ts'
import { folderPath, tcpPort } from './options.ts'
import { startEmbeddedPostgres } from './start.ts'

/** What {@link developmentServer} takes. */
export interface DevelopmentServerOptions extends Cancellable {
  /** The project's folder. Default: the working directory. */
  readonly baseDir?: string | undefined
  /** The server's folder, seen from the project's. Default: `.tenantry/postgres`. */
  readonly dataDir?: string | undefined
  /** Default: the port of the last start when it is free, otherwise any free one. */
  readonly port?: number | undefined
  /** Receives the one sentence that says which server is used. Default: a line on stderr. */
  readonly announce?: ((message: string) => void) | undefined
}

/**
 * The server to use where none is configured: an embedded one that belongs to the project, shared by its processes.
 *
 * @throws `embedded-in-production` when NODE_ENV is `production`, before anything is touched
 * @throws what `startEmbeddedPostgres` throws
 */
export async function developmentServer(options: DevelopmentServerOptions = {}): Promise<EmbeddedPostgres> {
  const {
    baseDir = process.cwd(),
    dataDir = join('.tenantry', 'postgres'),
    announce = printLine,
    port,
    signal,
  } = readOptions('developmentServer', options, checks)
  refuseProduction()
  const server = await startEmbeddedPostgres({ dataDir: resolve(baseDir, dataDir), port, signal })
  const where = relative(process.cwd(), server.dataDir) || '.'
  announce(`No server configured: using an embedded PostgreSQL ${server.version} in ${where} (development only).`)
  return server
}

const checks: Checks<DevelopmentServerOptions> = {
  baseDir: folderPath,
  // Seen from the project's folder, so it is not made absolute here.
  dataDir: (option, value) => folderPath(option, value) && value,
  port: tcpPort,
  announce: functionOption,
  ...cancellable,
}

function refuseProduction(): void {
  if (process.env.NODE_ENV !== 'production') return
  throw new TenantryError('embedded-in-production', 'No server is configured, and NODE_ENV is production.', {
    hint: 'Set DATABASE_URL, or give the server in the configuration. The embedded server is for development and tests.',
  })
}

function printLine(message: string): void {
  process.stderr.write(`${message}\n`)
}
