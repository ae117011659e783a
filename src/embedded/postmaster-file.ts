import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isPostgresIn } from './processes.ts'

/** A server process that uses a data folder. */
export interface ServerState {
  readonly pid: number
  readonly port: number
  readonly status: 'starting' | 'ready' | 'stopping'
}

/**
 * Finds the server that runs in that data folder, by its postmaster.pid; `undefined` if none runs, although the file
 * may name one. pg_ctl waits on the same file: line 1 is the pid, 3 the start time, 4 the port, 8 the status
 * (https://www.postgresql.org/docs/current/storage-file-layout.html and src/include/utils/pidfile.h).
 */
export function findServer(dataFolder: string): ServerState | undefined {
  const lines = readLines(dataFolder)
  const [pid, startedAt, port] = [Number(lines[0]), Number(lines[2]), Number(lines[3])]
  if (!isPostgresIn(pid, dataFolder, startedAt)) return undefined
  return { pid, port, status: parseStatus(lines[7]) }
}

/**
 * Makes PostgreSQL take its stale postmaster.pid for stale even if another process has that pid by now. The file must
 * not be removed: by it the new server also finds backends of the old one that still hold the data. It does ignore the
 * pid of its own parent (src/backend/utils/init/miscinit.c, CreateLockFile), which is this process.
 */
export function disownStaleFile(dataFolder: string): void {
  const lines = readLines(dataFolder)
  if (lines.length === 0 || findServer(dataFolder) !== undefined) return
  writeFileSync(fileIn(dataFolder), [String(process.pid), ...lines.slice(1)].join('\n'))
}

function parseStatus(line: string | undefined): ServerState['status'] {
  const status = line?.trim()
  if (status === 'ready' || status === 'standby') return 'ready'
  return status === 'stopping' ? 'stopping' : 'starting'
}

function readLines(dataFolder: string): readonly string[] {
  try {
    return readFileSync(fileIn(dataFolder), 'utf8').split('\n')
  } catch {
    return []
  }
}

function fileIn(dataFolder: string): string {
  return join(dataFolder, 'postmaster.pid')
}
