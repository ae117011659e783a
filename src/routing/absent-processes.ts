import type { MarkedSessions } from '../server/occupancy.ts'

/** A process that has stopped dividing the budget. */
interface Absent {
  /** The number of connections that it had reserved; 0 for a process that was never seen to reserve any. */
  readonly share: number
  /** The time since which it is absent, by the monotonic clock. */
  readonly since: number
}

/**
 * Connections kept free for processes that have stopped dividing a budget: their whole reservation until they must have
 * noticed, and from then on as many connections as they still have.
 */
export class AbsentProcesses {
  readonly #unawareMs: number
  readonly #present = new Map<string, number>()
  readonly #absent = new Map<string, Absent>()
  #reported = { connections: 0, at: -Infinity }

  /** @param unawareMs the longest time for which an absent process may not know that it is absent, in milliseconds */
  constructor(unawareMs: number) {
    this.#unawareMs = unawareMs
  }

  /** True if this process has seen one. */
  get any(): boolean {
    return this.#absent.size > 0
  }

  /**
   * Records the processes that divide the budget at this moment, and the reservation of each.
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

  /** Forgets a process that reported that it has closed all its connections. */
  left(process: string): void {
    this.#present.delete(process)
    this.#absent.delete(process)
  }

  /**
   * Records the number of connections that another process keeps free for absent processes. If that leaves it less than its
   * part, all processes divide the rest. The largest number holds until it is as old as `unawareMs`.
   */
  report(connections: number, now: number): void {
    if (connections >= this.reported(now)) this.#reported = { connections, at: now }
  }

  /** The number of connections that was reported last. */
  reported(now: number): number {
    return now < this.#reported.at + this.#unawareMs ? this.#reported.connections : 0
  }

  /**
   * Returns the number of connections to keep free for each of them. Only a process that was seen to divide the budget
   * gets more than its number of sessions, since anybody can forge the mark of a session.
   *
   * @param sessions the sessions on the server, including those of processes that are present
   * @param most the number of a tenant's sessions that count. It is the number that one tenant may have, so that a
   *   tenant whose own sessions carry marks takes no more of the budget by them than by its work
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
