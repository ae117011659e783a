import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from 'tenantry/embedded'
import { fastFolder } from './fast-folder.ts'

/** Another PostgreSQL beside the one that all suites use; `stop` it when the suite is over. */
export async function startSecondServer(
  settings: EmbeddedPostgresOptions['settings'] = {},
): Promise<Pick<EmbeddedPostgres, 'url' | 'logFile' | 'stop'>> {
  const folder = await mkdtemp(join(await fastFolder(), 'tenantry-second-'))
  const server = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), settings })
  return {
    url: server.url,
    logFile: server.logFile,
    stop: async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
