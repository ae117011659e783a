import type { ChildProcess } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { TenantryError } from '../kernel/errors.ts'
import { type Guarded, guardExit } from './exit-guard.ts'
import type { Folder } from './folder.ts'
import { type Lock, waitForLock, waitForLockSync } from './lock.ts'
import { findServer } from './postmaster-file.ts'
import { identify, isAlive, type ProcessIdentity } from './processes.ts'
import { requestShutdown, waitUntilGone } from './shutdown.ts'
import { countUsers, registerUser } from './users.ts'

const lockMs = 10_000
/** A process that is about to end cannot be kept for long. */
const lastLockMs = 2_000

/**
 * One use of a server by this process, from the start of its start to the end of its stop. The last use ends the
 * server, whoever started it.
 *
 *     starting (holds the lock) --settle--> using --leave--> left, and the server stopping if nobody else uses it
 *         \-------------------leave-------------------------^
 */
export class Presence implements Guarded {
  /** How many other uses there were when this one began. */
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

  /** Ends a program with this process should it end meanwhile; gives how the program ended, "code 0" when well. */
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

  /** The server runs: others may have the lock. */
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
      // A damaged folder must not keep a process from ending; the next start finds what is left.
    }
  }

  /** True if others used the server when this use ended. */
  get othersLeft(): boolean {
    return this.#othersLeft
  }

  async gone(): Promise<boolean> {
    return this.#ending === undefined || waitUntilGone(this.#ending, this.#pgCtl)
  }

  /** @throws `embedded-failed` when the server does not end */
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

  /** Without blocking the process, as leaving does; where this fails, leaving decides what to do without the lock. */
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
      // Whoever holds the lock for so long is starting, and becomes the one that ends the server.
      this.#othersLeft = lock === undefined || countUsers(users) > 0
      if (!this.#othersLeft) this.#endServer()
    } finally {
      lock?.release()
    }
  }

  /** The file tells the next start not to take a server for running that has not yet written down that it is ending. */
  #endServer(): void {
    const { root, data, stopping } = this.#folder
    const remembered = this.#server !== undefined && isAlive(this.#server) ? this.#server.pid : undefined
    this.#ending = findServer(data)?.pid ?? remembered ?? this.#running?.child.pid
    if (this.#ending !== undefined && existsSync(root)) writeFileSync(stopping, String(this.#ending))
    this.killRunning()
    if (this.#ending !== undefined) requestShutdown(this.#ending, 'SIGINT', this.#pgCtl)
  }
}
