import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { hasSystemCode } from '../kernel/system-error.ts'
import { poll } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { identify, isAlive, type ProcessIdentity } from './processes.ts'

/** A lock that this process holds. Releasing it twice is fine. */
export interface Lock {
  release(): void
}

/** The time after which the writer of an empty lock file counts as dead. */
const unwrittenMs = 5_000

/**
 * Waits for the lock, and takes it over from a process that no longer runs.
 *
 * @throws `embedded-failed` if another process still holds it after `limitMs`
 */
export async function waitForLock(file: string, limitMs: number, signal: AbortSignal | undefined): Promise<Lock> {
  const lock = await poll(async () => tryLock(file), limitMs, signal)
  if (lock !== undefined) return lock
  const holder = readIdentity(file)
  throw new TenantryError('embedded-failed', `Process ${holder?.pid ?? '?'} is busy with ${file} for too long.`, {
    hint: 'It is starting or stopping the embedded PostgreSQL. Wait for it or end it, then try again.',
    retryable: true,
  })
}

/** Waits synchronously, for a process that is about to end; `undefined` after `limitMs`. */
export function waitForLockSync(file: string, limitMs: number): Lock | undefined {
  const deadline = Date.now() + limitMs
  for (;;) {
    const lock = tryLock(file)
    if (lock !== undefined || Date.now() >= deadline) return lock
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
  }
}

/** Reads the process in a file that {@link identityOfThisProcess} was written to; `undefined` if there is none. */
export function readIdentity(file: string): ProcessIdentity | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return isIdentity(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Returns the identity of this process, by which other processes can check that it still runs. */
export function identityOfThisProcess(): string {
  return JSON.stringify(identify(process.pid))
}

function tryLock(file: string): Lock | undefined {
  try {
    writeFileSync(file, identityOfThisProcess(), { flag: 'wx' })
  } catch (error) {
    if (!hasSystemCode(error, 'EEXIST')) throw error
    removeWhenStale(file)
    return undefined
  }
  let held = true
  const release = () => {
    if (held) rmSync(file, { force: true })
    held = false
  }
  return { release }
}

/**
 * Removes a stale lock. It renames before it removes: of two processes that find the same stale lock only one moves it
 * away. A process that moved away a newer lock puts it back; should even that come too late, PostgreSQL's own lock on
 * its data remains.
 */
function removeWhenStale(file: string): void {
  if (!isStale(file)) return
  const aside = `${file}.${randomUUID()}`
  try {
    renameSync(file, aside)
    if (!isStale(aside)) linkSync(aside, file)
  } catch (error) {
    if (!hasSystemCode(error, 'ENOENT', 'EEXIST')) throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

function isStale(file: string): boolean {
  const holder = readIdentity(file)
  if (holder !== undefined) return !isAlive(holder)
  const written = statSync(file, { throwIfNoEntry: false })?.mtimeMs
  return written !== undefined && Date.now() - written > unwrittenMs
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return typeof value === 'object' && value !== null && 'pid' in value && 'startedAt' in value
}
