import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from 'tenantry/embedded'

/** Beside PostgreSQL's defaults, which are durable: fsync and synchronous_commit are on, passwords are SCRAM. */
const settings = { max_connections: 300 }

/** Runs `work` on a new server in a temporary folder, of which nothing is left afterwards. */
export async function onServer<T>(
  work: (url: string, logFile: string) => Promise<T>,
  moreSettings: Readonly<Record<string, string>> = {},
): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantry-bench-'))
  try {
    const server = await startEmbeddedPostgres({ dataDir, settings: { ...settings, ...moreSettings } })
    try {
      return await work(server.url, server.logFile)
    } finally {
      await server.stop()
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
}
