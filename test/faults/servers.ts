import { mkdtemp, readFile, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from 'tenantry/embedded'

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

/** The ways in which a server ends at once. After a killed backend it restarts by itself. */
export const deaths = ['SIGKILL', 'SIGQUIT', 'backend'] as const
export type Death = (typeof deaths)[number]

/** A server that keeps its data, is killed, and started again in the same place. */
export class MortalServer {
  readonly #options: EmbeddedPostgresOptions & { readonly port: number }
  #running: EmbeddedPostgres

  private constructor(running: EmbeddedPostgres, options: EmbeddedPostgresOptions) {
    this.#running = running
    this.#options = { ...options, port: running.port }
  }

  static async start(folder: string, settings: EmbeddedPostgresOptions['settings'] = {}): Promise<MortalServer> {
    const options = { dataDir: join(folder, 'postgres'), settings }
    return new MortalServer(await startEmbeddedPostgres(options), options)
  }

  get url(): string {
    return this.#running.url
  }

  /** Kills it, and waits for the end of the process. A backend is any of those that serve a client. */
  async die(death: Death, backend: number | undefined): Promise<void> {
    if (death === 'backend' && backend !== undefined && killed(backend)) return
    const pid = await this.#postmaster()
    process.kill(pid, death === 'backend' ? 'SIGKILL' : death)
    while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  /** Starts it again if it has ended, and waits until it accepts connections. */
  async revive(): Promise<void> {
    const deadline = Date.now() + revivalMs
    while (!(await letsIn(this.url))) {
      if (Date.now() > deadline) throw new Error(`The server did not come back in ${revivalMs} ms.`)
      // It may also end by itself while it recovers.
      if (!isRunning(await this.#postmaster())) {
        await this.#running.stop().catch(() => undefined)
        this.#running = await startEmbeddedPostgres(this.#options)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  stop(): Promise<void> {
    return this.#running.stop()
  }

  async #postmaster(): Promise<number> {
    const file = await readFile(join(this.#options.dataDir, 'data', 'postmaster.pid'), 'utf8').catch(() => '')
    return Number(file.split('\n')[0] || Number.NaN)
  }
}

/** The time that a server has to recover, in milliseconds. */
const revivalMs = 120_000

async function letsIn(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** @returns false if it has ended by itself */
function killed(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL')
  } catch {
    return false
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return true
}

/** A folder for as long as `work` takes. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-faults-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
