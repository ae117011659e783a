import { once } from 'node:events'
import { resolve } from 'node:path'
import { defineCommand } from '../define-command.ts'
import { projectFolder } from '../config-file.ts'
import { printReport, notify } from '../report.ts'
import type { CommonOptions } from '../tools.ts'
import { parseWholeNumber } from '../words.ts'

interface Options extends CommonOptions {
  readonly port?: number
  readonly dataDir?: string
}

/** `tenantry dev`: keeps the project's development server running until it is interrupted. */
export const dev = defineCommand<Options>(
  {
    usage: 'dev',
    summary: 'Run the embedded PostgreSQL of this project until Ctrl-C',
    examples: { dev: 'with its data in .tenantry/postgres', 'dev --port 5544': 'on a port of your choice' },
  },
  (command) =>
    command
      .option('--port <number>', 'TCP port (default: that of the last time, or a free one)', parseWholeNumber)
      .option(
        '--data-dir <folder>',
        'where its data lies (default: .tenantry/postgres in the folder of the configuration)',
      ),
  async ({ signal, asJson }, _, { port, dataDir, config }) => {
    // Loaded only here: the other commands load it through the library, when they need it.
    const { developmentServer } = await import('../../embedded/index.ts')
    const server = await developmentServer({
      baseDir: projectFolder(config),
      // The path as it was typed: from the working directory.
      ...(dataDir !== undefined && { dataDir: resolve(dataDir) }),
      port,
      signal,
      logger: { info: () => undefined, warn: () => undefined },
    })
    const { version, outcome, url, passwordFile, logFile } = server
    const isShared = outcome === 'shared'
    const lines = [
      isShared
        ? `PostgreSQL ${version} is running already, for another process; this one shares it. For development only.`
        : `PostgreSQL ${version} is ready (${outcome}), for development only.`,
      `  URL            ${url}`,
      `  password file  ${passwordFile}`,
      `  log            ${logFile}`,
      isShared
        ? 'Ctrl-C ends this command. The server runs on while another process uses it.'
        : 'Press Ctrl-C to stop it.',
    ]
    printReport('dev', { result: { version, outcome, url, passwordFile, logFile }, lines }, asJson)
    await untilStopped(signal)
    await server.stop()
    const stopped = !server.runsOn
    notify(stopped ? 'Stopped.' : 'The server runs on: another process uses it.')
    return { result: { stopped }, lines: [] }
  },
)

async function untilStopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  // Waiting for a signal does not keep a process alive.
  const alive = setInterval(() => undefined, 2 ** 30)
  await once(signal, 'abort')
  clearInterval(alive)
}
