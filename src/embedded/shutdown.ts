import { spawnSync } from 'node:child_process'
import { poll } from '../kernel/abort.ts'
import { identify } from './processes.ts'

/** Sessions are ended and the data is left whole; what one with SIGQUIT leaves is repaired at the next start. */
const fastMs = 30_000
const immediateMs = 10_000

/**
 * Asks a server to end: SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one.
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
    // It is gone already.
  }
}

/** Waits until a server that was asked to end is gone, and asks harder once; whether it is gone. */
export async function waitUntilGone(pid: number, pgCtl: string): Promise<boolean> {
  if (await goneWithin(pid, fastMs)) return true
  requestShutdown(pid, 'SIGQUIT', pgCtl)
  return goneWithin(pid, immediateMs)
}

async function goneWithin(pid: number, limitMs: number): Promise<boolean> {
  return (await poll(async () => (identify(pid) === undefined ? true : undefined), limitMs, undefined)) ?? false
}
