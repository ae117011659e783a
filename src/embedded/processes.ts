import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { basename } from 'node:path'
import { hasSystemCode } from '../kernel/system-error.ts'

/** A process of this machine. Its start time distinguishes it from a later one with the same pid. */
export interface ProcessIdentity {
  readonly pid: number
  /** Comparable only with another value from the same machine; empty if the system does not report it. */
  readonly startedAt: string
}

/**
 * Returns the process that has this pid now; `undefined` if there is none, or only a dead one that its parent has not
 * collected yet.
 */
export function identify(pid: number): ProcessIdentity | undefined {
  const startedAt = startTimeOf(pid)
  return startedAt === undefined ? undefined : { pid, startedAt }
}

/** True if that very process still runs. */
export function isAlive({ pid, startedAt }: ProcessIdentity): boolean {
  return startTimeOf(pid) === startedAt
}

/** True if this pid is a PostgreSQL server in that data folder, and not another process that was given its old pid. */
export function isPostgresIn(pid: number, dataFolder: string, startedAtSeconds: number): boolean {
  if (identify(pid) === undefined) return false
  if (process.platform === 'linux') return worksIn(pid, dataFolder)
  if (process.platform === 'win32') return output('tasklist', ['/NH', '/FI', `PID eq ${pid}`]).includes('postgres.exe')
  const startDifference = Date.parse(ps(pid, 'lstart')) / 1000 - startedAtSeconds
  return basename(ps(pid, 'comm')).startsWith('postgres') && Math.abs(startDifference) < 60
}

function startTimeOf(pid: number): string | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  if (process.platform === 'linux') return linuxStart(pid)
  if (!answersSignals(pid)) return undefined
  if (process.platform === 'win32') return ''
  return ps(pid, 'stat').startsWith('Z') ? undefined : ps(pid, 'lstart')
}

/**
 * Reads the start time from /proc/pid/stat (proc(5)): the state is field 3 and the start time field 22; field 2 may
 * hold any character.
 */
function linuxStart(pid: number): string | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}

function worksIn(pid: number, dataFolder: string): boolean {
  try {
    const command = readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
    return command.startsWith('postgres') && readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataFolder)
  } catch {
    return false
  }
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return hasSystemCode(error, 'EPERM')
  }
}

function ps(pid: number, column: string): string {
  return output('ps', ['-p', String(pid), '-o', `${column}=`])
}

function output(command: string, parameters: readonly string[]): string {
  try {
    const env = { ...process.env, LC_ALL: 'C' }
    return execFileSync(command, parameters, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], env }).trim()
  } catch {
    return ''
  }
}
