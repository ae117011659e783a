import { randomInt } from 'node:crypto'
import { poll } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { Membership } from '../server/port.ts'

/** The number of bits for a share. A process's number and its share fit into the 32 bits of a published number. */
const shareBits = 12
/** The largest budget that can be published. */
export const largestBudget = 2 ** shareBits - 1
const processes = 2 ** (32 - shareBits)
/** The notation of a process: its number in as many letters and digits as its bits need. */
const radix = 32
const letters = 4

/** Returns a random name for a process, one of a million. */
export function newProcessName(): string {
  return randomInt(processes).toString(radix).padStart(letters, '0')
}

/**
 * The reservations of the processes that divide a server's budget: each publishes its own, for as long as it listens.
 */
export class DivisionLocks {
  readonly #server: string
  readonly #topic: string

  /** @param server the server's name */
  constructor(server: string) {
    this.#server = server
    this.#topic = `budget:${server}`
  }

  /** Returns the share that each process publishes, by its name. */
  async shares(listening: Membership): Promise<Map<string, number>> {
    const shares = new Map<string, number>()
    for (const value of await listening.published(this.#topic)) {
      const process = Math.floor(value / 2 ** shareBits)
      const name = process.toString(radix).padStart(letters, '0')
      // During a change both the old and the new share exist.
      shares.set(name, (shares.get(name) ?? 0) + (value % 2 ** shareBits))
    }
    return shares
  }

  show(listening: Membership, process: string, share: number): Promise<void> {
    return listening.publish(this.#topic, published(process, share))
  }

  hide(listening: Membership, process: string, share: number): Promise<void> {
    return listening.withdraw(this.#topic, published(process, share))
  }

  /**
   * Runs `work` while no other process takes anything.
   *
   * @throws `lock-timeout` after `limitMs` milliseconds
   */
  async exclusively<T>(listening: Membership, limitMs: number, work: () => Promise<T>): Promise<T> {
    const name = `${this.#topic}:exclusive`
    const tryLock = async () => (await listening.tryLock(name)) || undefined
    if ((await poll(tryLock, limitMs, undefined)) === undefined) throw this.#lockedError(limitMs)
    try {
      return await work()
    } finally {
      // Fails only if the session has ended, and its lock with it.
      await listening.unlock(name)
    }
  }

  #lockedError(limitMs: number): TenantryError {
    const message = `Another process was dividing the connections to the server ${this.#server} for ${limitMs} ms.`
    return new TenantryError('lock-timeout', message, {
      hint: 'It takes a few milliseconds, unless that process stands still: continue it or end it.',
    })
  }
}

/** Returns the number that a process publishes. */
function published(process: string, share: number): number {
  return Number.parseInt(process, radix) * 2 ** shareBits + share
}
