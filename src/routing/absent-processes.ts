import type { MarkedSessions } from '../server/occupancy.ts'

/** A process that does not divide the budget any more. */
interface Absent {
  /** The connections that it had set aside for itself; none for one that was never seen to. */
  readonly share: number
  /** Since when it is absent, by the monotonic clock. */
  readonly since: number
}

/**
 * What is kept free for processes that do not divide a budget any more: all that they had set aside until they must have
 * noticed, and from then on as many connections as they still have.
 */
export class AbsentProcesses {
  readonly #unawareMs: number
  readonly #present = new Map<string, number>()
  readonly #absent = new Map<string, Absent>()
  #reported = { connections: 0, at: -Infinity }

  /** @param unawareMs how long a process that is absent may not know it, in milliseconds */
  constructor(unawareMs: number) {
    this.#unawareMs = unawareMs
  }

  /** Whether there is any, as far as this process has seen. */
  get any(): boolean {
    return this.#absent.size > 0
  }

  /**
   * Notes who divides the budget at this moment, and what each has set aside.
   *
   * @param now the time of the monotonic clock, in milliseconds
   */
  note(present: ReadonlyMap<string, number>, now: number): void {
    for (const [process, share] of this.#present) {
      if (!present.has(process)) this.#absent.set(process, { share, since: now })
    }
    this.#present.clear()
    for (const [process, share] of present) {
      this.#present.set(process, share)
      this.#absent.delete(process)
    }
  }

  /** A process said that it has closed all its connections. */
  left(process: string): void {
    this.#present.delete(process)
    this.#absent.delete(process)
  }

  /**
   * Another process keeps so many connections free for absent processes. Where that leaves it less than its part, all have
   * to divide what remains. The largest number holds until it is as old as `unawareMs`.
   */
  report(connections: number, now: number): void {
    if (connections >= this.reported(now)) this.#reported = { connections, at: now }
  }

  /** The number of connections that was reported last. */
  reported(now: number): number {
    return now < this.#reported.at + this.#unawareMs ? this.#reported.connections : 0
  }

  /**
   * The connections to be kept free for each of them. Only a process that was seen to divide the budget has more kept free
   * than it has sessions: a session's mark can be anybody's invention.
   *
   * @param sessions the sessions on the server, those of processes that are present among them
   * @param most how many of a tenant's sessions count. It is the number that one tenant may have, so that a tenant whose own
   *   sessions carry marks takes no more of the budget by them than by its work
   */
  parts(sessions: readonly MarkedSessions[], most: number, now: number): Map<string, number> {
    const counts = this.#countAbsent(sessions, most)
    for (const process of counts.keys()) {
      if (!this.#absent.has(process)) this.#absent.set(process, { share: 0, since: now })
    }
    const parts = new Map<string, number>()
    for (const [process, { share, since }] of this.#absent) {
      const count = counts.get(process) ?? 0
      const kept = now < since + this.#unawareMs ? Math.max(count, share) : count
      if (kept > 0) parts.set(process, kept)
      else this.#absent.delete(process)
    }
    return parts
  }

  #countAbsent(sessions: readonly MarkedSessions[], most: number): Map<string, number> {
    const counts = new Map<string, number>()
    const left = new Map<string, number>()
    for (const { process, tenantRole, count } of sessions) {
      if (this.#present.has(process)) continue
      const room = tenantRole === undefined ? count : (left.get(tenantRole) ?? most)
      const counted = Math.min(count, room)
      if (tenantRole !== undefined) left.set(tenantRole, room - counted)
      counts.set(process, (counts.get(process) ?? 0) + counted)
    }
    return counts
  }
}
