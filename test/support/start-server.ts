import { mkdtemp, rm, statfs } from 'node:fs/promises'
import { freemem, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from 'tenantry/embedded'

export type ServerSettings = NonNullable<EmbeddedPostgresOptions['settings']>

const cheapSettings: ServerSettings = {
  // Nothing that the server has is to outlive it.
  fsync: 'off',
  full_page_writes: 'off',
  // Its databases live for seconds.
  autovacuum: 'off',
  // DROP DATABASE looks through all of them.
  shared_buffers: '16MB',
}

/** Starts a PostgreSQL for tests; `stop` ends it and removes its data. */
export async function startServer(
  settings: ServerSettings = {},
): Promise<Pick<EmbeddedPostgres, 'url' | 'logFile' | 'stop'>> {
  const folder = await mkdtemp(join(await fastFolder(), 'tenantry-test-'))
  const dataDir = join(folder, 'postgres')
  const server = await startEmbeddedPostgres({ dataDir, settings: { ...cheapSettings, ...settings } })
  return {
    url: server.url,
    logFile: server.logFile,
    stop: async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The free memory that the databases of all suites may take at once, in bytes. */
const roomInMemory = 8 * 2 ** 30

/** Returns a folder in memory, where Linux has enough: a new database is some 300 files. */
async function fastFolder(): Promise<string> {
  const inMemory = await statfs('/dev/shm').catch(() => undefined)
  const isEnough = inMemory !== undefined && inMemory.bavail * inMemory.bsize > roomInMemory && freemem() > roomInMemory
  return isEnough ? '/dev/shm' : tmpdir()
}
