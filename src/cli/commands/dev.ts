import { once } from 'node:events'
import { defineCommand } from '../define-command.ts'
import { printReport, say } from '../report.ts'
import type { CommonOptions } from '../tools.ts'
import { wholeNumber } from '../words.ts'

interface Options extends CommonOptions {
  readonly port?: number
  readonly dataDir?: string
}

/** `tenantry dev`: keeps the project's development server up until it is interrupted. */
export const dev = defineCommand<Options>(
  {
    usage: 'dev',
    summary: 'Run the embedded PostgreSQL of this project until Ctrl-C',
    examples: { dev: 'with its data in .tenantry/postgres', 'dev --port 5544': 'on a port of your choice' },
  },
  (command) =>
    command
      .option('--port <number>', 'TCP port (default: that of the last time, or a free one)', wholeNumber)
      .option('--data-dir <folder>', 'where its data lies (default: .tenantry/postgres)'),
  async ({ signal, asJson }, _, { port, dataDir }) => {
    // Loaded only here: the other commands load it through the library, where they need it.
    const { developmentServer } = await import('../../embedded/index.ts')
    const server = await developmentServer({ port, dataDir, signal, announce: () => undefined })
    const { version, outcome, url, passwordFile, logFile } = server
    const lines = [
      `PostgreSQL ${version} is ready (${outcome}), for development only.`,
      `  URL            ${url}`,
      `  password file  ${passwordFile}`,
      `  log            ${logFile}`,
      'Press Ctrl-C to stop it.',
    ]
    printReport('dev', { result: { version, outcome, url, passwordFile, logFile }, lines }, asJson)
    await untilAborted(signal)
    await server.stop()
    say('Stopped.')
    return { result: { stopped: true }, lines: [] }
  },
)

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  // Waiting for a signal does not keep a process alive.
  const alive = setInterval(() => undefined, 2 ** 30)
  await once(signal, 'abort')
  clearInterval(alive)
}
