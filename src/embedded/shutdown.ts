import { spawnSync } from 'node:child_process'
import { poll } from '../kernel/abort.ts'
import { identify } from './processes.ts'

/**
 * The time for a fast shutdown, which ends sessions and leaves the data consistent; after SIGQUIT the next start
 * repairs the data.
 */
const fastMs = 30_000
const immediateMs = 10_000

/**
 * Requests a shutdown: SIGINT is PostgreSQL's fast one, SIGQUIT its immediate one.
 * (https://www.postgresql.org/docs/current/server-shutdown.html)
 */
export function requestShutdown(pid: number, signal: 'SIGINT' | 'SIGQUIT', pgCtl: string): void {
  if (process.platform === 'win32') {
    spawnSync(pgCtl, ['kill', signal.slice(3), String(pid)], { windowsHide: true })
    return
  }
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended already.
  }
}

/**
 * Waits for the end of a server that is shutting down, and requests an immediate shutdown if it takes too long.
 * @returns true if it has ended
 */
export async function waitForEnd(pid: number, pgCtl: string): Promise<boolean> {
  if (await endedWithin(pid, fastMs)) return true
  requestShutdown(pid, 'SIGQUIT', pgCtl)
  return endedWithin(pid, immediateMs)
}

async function endedWithin(pid: number, limitMs: number): Promise<boolean> {
  return (await poll(async () => (identify(pid) === undefined ? true : undefined), limitMs, undefined)) ?? false
}
