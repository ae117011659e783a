import type { ChildProcess } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { TenantryError } from '../kernel/errors.ts'
import { type Guarded, guardExit } from './exit-guard.ts'
import type { Folder } from './folder.ts'
import { type Lock, waitForLock, waitForLockSync } from './lock.ts'
import { findServer } from './postmaster-file.ts'
import { identify, isAlive, type ProcessIdentity } from './processes.ts'
import { requestShutdown, waitForEnd } from './shutdown.ts'
import { countUsers, registerUser } from './users.ts'

const lockMs = 10_000
/** The longest wait for the lock in a process that is about to end. */
const lastLockMs = 2_000

/**
 * One use of a server by this process, from the start of its start to the end of its stop. The last use ends the
 * server, even if another process started it.
 *
 *     starting (holds the lock) --settle--> using --leave--> left, and the server stopping if it was the last use
 *         \-------------------leave-------------------------^
 */
export class Presence implements Guarded {
  /** The number of other uses when this one began. */
  readonly others: number
  readonly #folder: Folder
  readonly #pgCtl: string
  readonly #userFile: string
  readonly #endGuard: () => void
  #lock: Lock | undefined
  #running: { readonly child: ChildProcess; readonly ending: NodeJS.Signals } | undefined
  #server: ProcessIdentity | undefined
  #ending: number | undefined
  #left = false
  #othersLeft = false
  #stopped: Promise<void> | undefined

  /** Begins the use. The lock is the presence's own from here on, until it is settled or left. */
  constructor(folder: Folder, lock: Lock, pgCtl: string) {
    this.#folder = folder
    this.#lock = lock
    this.#pgCtl = pgCtl
    this.others = countUsers(folder.users)
    this.#userFile = registerUser(folder.users)
    this.#endGuard = guardExit(this)
  }

  /** Ends a program with this process should it end meanwhile; resolves with the program's end, "code 0" on success. */
  whileRunning(child: ChildProcess, ending: NodeJS.Signals): Promise<string> {
    this.#running = { child, ending }
    return new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => {
        this.#running = undefined
        resolve(code === null ? `signal ${signal}` : `code ${code}`)
      })
    })
  }

  killRunning(): void {
    this.#running?.child.kill(this.#running.ending)
  }

  /** Releases the lock, once the server runs. */
  settle(serverPid: number): void {
    this.#server = identify(serverPid)
    this.#running = undefined
    this.#lock?.release()
    this.#lock = undefined
  }

  leave(): void {
    if (this.#left) return
    this.#left = true
    try {
      this.#leaveFolder()
    } catch {
      // A damaged folder must not keep a process from ending; the next start finds the remains.
    }
  }

  /** True if others used the server when this use ended. */
  get othersLeft(): boolean {
    return this.#othersLeft
  }

  async gone(): Promise<boolean> {
    return this.#ending === undefined || waitForEnd(this.#ending, this.#pgCtl)
  }

  /** @throws `embedded-failed` if the server does not end */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    await this.#takeLock()
    this.leave()
    const gone = await this.gone()
    this.#endGuard()
    if (gone) return
    throw new TenantryError('embedded-failed', `The server (process ${this.#ending}) does not end.`, {
      hint: `See ${this.#folder.log}.`,
    })
  }

  /** Takes the lock without blocking the process, as leaving does; if this fails, leaving decides without the lock. */
  async #takeLock(): Promise<void> {
    if (this.#lock !== undefined || this.#left) return
    const lock = await waitForLock(this.#folder.lock, lockMs, undefined).catch(() => undefined)
    // A signal may have made this process leave meanwhile.
    if (this.#left) lock?.release()
    else this.#lock = lock
  }

  #leaveFolder(): void {
    const { root, lock: lockFile, users } = this.#folder
    if (!existsSync(root)) return this.#endServer()
    const lock = this.#lock ?? waitForLockSync(lockFile, lastLockMs)
    try {
      rmSync(this.#userFile, { force: true })
      // A process that holds the lock for so long is starting, and will be the one that ends the server.
      this.#othersLeft = lock === undefined || countUsers(users) > 0
      if (!this.#othersLeft) this.#endServer()
    } finally {
      lock?.release()
    }
  }

  /**
   * Ends the server. The file keeps the next start from taking a server for running that has not yet recorded its own
   * end.
   */
  #endServer(): void {
    const { root, data, stopping } = this.#folder
    const remembered = this.#server !== undefined && isAlive(this.#server) ? this.#server.pid : undefined
    this.#ending = findServer(data)?.pid ?? remembered ?? this.#running?.child.pid
    if (this.#ending !== undefined && existsSync(root)) writeFileSync(stopping, String(this.#ending))
    this.killRunning()
    if (this.#ending !== undefined) requestShutdown(this.#ending, 'SIGINT', this.#pgCtl)
  }
}
