import { spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { poll } from '../kernel/abort.ts'
import type { Binaries } from './binaries.ts'
import { environment } from './environment.ts'
import type { Folder } from './folder.ts'
import { type LogFile, openLog, readTail } from './log-file.ts'
import { disownStaleFile, findServer, type ServerState } from './postmaster-file.ts'
import type { Presence } from './presence.ts'
import { nameOfData, type RunAs } from './run-as.ts'

/** The parameters of starting a server. */
export interface ServerStart {
  readonly folder: Folder
  readonly binaries: Binaries
  readonly runAs: RunAs | undefined
  readonly port: number
  readonly settings: readonly string[]
  /** Ends the server should this process end while it starts. */
  readonly presence: Presence
  readonly limitMs: number
  readonly signal: AbortSignal
}

/** The result of a start. */
export type StartResult =
  | { readonly kind: 'ready'; readonly server: ServerState }
  /** Another program listens on the port. */
  | { readonly kind: 'port-taken' }
  /** Processes of a former server still hold the data folder; they end by themselves. */
  | { readonly kind: 'data-in-use'; readonly log: string }
  | { readonly kind: 'failed'; readonly exit: string; readonly log: string }

/** Starts the server and waits until it accepts connections or has ended. Only for the holder of the lock. */
export async function startServer(start: ServerStart): Promise<StartResult> {
  const { folder, presence, limitMs, signal } = start
  disownStaleFile(folder.data)
  const log = openLog(folder.log)
  let exit: string | undefined
  const child = spawnServer(start, log)
  void presence.whileRunning(child, 'SIGINT').then((how) => (exit = how))
  child.unref()
  const server = await poll(async () => readyServer(folder, child.pid) ?? exit, limitMs, signal)
  if (typeof server === 'object') return { kind: 'ready', server }
  return explainExit(exit ?? 'no answer in time', readTail(folder.log, log.from))
}

/**
 * Spawns the server in a session of its own: a terminal's Ctrl-C reaches this process alone, which then decides.
 * Sockets in the file system are off, since their path has a limit of about 100 bytes.
 */
function spawnServer({ folder, binaries, runAs, port, settings }: ServerStart, log: LogFile) {
  const name = nameOfData(folder, folder.data, binaries.major, runAs)
  const fixed = ['-c', 'listen_addresses=127.0.0.1', '-c', `port=${port}`, '-c', 'unix_socket_directories=']
  try {
    return spawn(binaries.postgres, ['-D', name, ...fixed, ...settings], {
      ...runAs,
      cwd: folder.data,
      env: environment(),
      detached: true,
      windowsHide: true,
      stdio: ['ignore', log.descriptor, log.descriptor],
    })
  } finally {
    closeSync(log.descriptor)
  }
}

function readyServer(folder: Folder, pid: number | undefined): ServerState | undefined {
  const server = findServer(folder.data)
  return server?.pid === pid && server?.status === 'ready' ? server : undefined
}

/**
 * Explains the end of a server by its log. Its messages are English: the data folder is made so, and {@link
 * environment} does not change it.
 */
function explainExit(exit: string, log: string): StartResult {
  if (log.includes('could not bind ')) return { kind: 'port-taken' }
  if (/pre-existing shared memory block|lock file ".*" already exists/.test(log)) return { kind: 'data-in-use', log }
  return { kind: 'failed', exit, log }
}
