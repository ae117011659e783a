import { mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedPostgres, startEmbeddedPostgres } from 'tenantry/embedded'

/** Much of the time is spent on copying databases, which memory does several times faster. */
const memory = '/dev/shm'
const neededBytes = 6 * 2 ** 30

/** A server of which nothing is to outlive it. */
export async function startServer(): Promise<Pick<EmbeddedPostgres, 'url' | 'stop'>> {
  const folder = await mkdtemp(join(await placeForData(), 'tenantry-faults-'))
  const settings = { max_connections: 300, fsync: 'off', full_page_writes: 'off' }
  const server = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), settings })
  return {
    url: server.url,
    stop: async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function placeForData(): Promise<string> {
  const free = await statfs(memory).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  )
  return free >= neededBytes ? memory : tmpdir()
}
