import { randomInt } from 'node:crypto'
import { poll } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { Listening } from './process-channel.ts'

/** The number of bits for a share. A process's number and its share fit into the 32 bits of half a lock's key. */
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
 * Locks by which the processes that divide a server's budget publish their reservations: each holds an advisory lock of
 * the session that it listens on. The first half of the key is the server's, the second is the process and its share.
 */
export class DivisionLocks {
  readonly #server: string

  /** @param server the server's name */
  constructor(server: string) {
    this.#server = server
  }

  /** Returns the share that each process publishes, by its name. */
  async shares({ session }: Listening): Promise<Map<string, number>> {
    const { rows } = await session.query<{ key: string }>(
      `select objid::text as key from pg_catalog.pg_locks
       where locktype = 'advisory' and objsubid = 2 and granted and classid = hashtext($1)::oid
         and database = (select oid from pg_catalog.pg_database where datname = current_database())`,
      [lockKey(this.#server)],
    )
    const shares = new Map<string, number>()
    for (const { key } of rows) {
      const process = Math.floor(Number(key) / 2 ** shareBits)
      const name = process.toString(radix).padStart(letters, '0')
      // During a change both the old and the new share exist.
      shares.set(name, (shares.get(name) ?? 0) + (Number(key) % 2 ** shareBits))
    }
    return shares
  }

  async show({ session }: Listening, process: string, share: number): Promise<void> {
    await session.query('select pg_advisory_lock_shared(hashtext($1), $2)', [
      lockKey(this.#server),
      halfKey(process, share),
    ])
  }

  async hide({ session }: Listening, process: string, share: number): Promise<void> {
    await session.query('select pg_advisory_unlock_shared(hashtext($1), $2)', [
      lockKey(this.#server),
      halfKey(process, share),
    ])
  }

  /**
   * Runs `work` while no other process takes anything.
   *
   * @throws `lock-timeout` after `limitMs` milliseconds
   */
  async exclusively<T>({ session }: Listening, limitMs: number, work: () => Promise<T>): Promise<T> {
    const name = `${lockKey(this.#server)}:exclusive`
    const tryLock = async () => {
      const { rows } = await session.query<{ taken: boolean }>(
        'select pg_try_advisory_lock(hashtextextended($1, 0)) as taken',
        [name],
      )
      return rows[0]?.taken || undefined
    }
    if ((await poll(tryLock, limitMs, undefined)) === undefined) throw this.#lockedError(limitMs)
    try {
      return await work()
    } finally {
      // Fails only if the session has ended, and its lock with it.
      await session.query('select pg_advisory_unlock(hashtextextended($1, 0))', [name])
    }
  }

  #lockedError(limitMs: number): TenantryError {
    const message = `Another process was dividing the connections to the server ${this.#server} for ${limitMs} ms.`
    return new TenantryError('lock-timeout', message, {
      hint: 'It takes a few milliseconds, unless that process stands still: continue it or end it.',
    })
  }
}

function lockKey(server: string): string {
  return `tenantry:budget:${server}`
}

/** Returns the half key as a signed number, since PostgreSQL's integers are signed. */
function halfKey(process: string, share: number): number {
  return (Number.parseInt(process, radix) * 2 ** shareBits + share) | 0
}
