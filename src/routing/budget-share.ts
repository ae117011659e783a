import { setImmediate } from 'node:timers/promises'
import { inTime } from '../kernel/abort.ts'
import type { SessionMark } from '../server/occupancy.ts'
import type { Membership, Server } from '../server/port.ts'
import { AbsentProcesses } from './absent-processes.ts'
import { type Division, fairPart, freePart, sumOf, tenantPart } from './division.ts'
import { DivisionLocks, largestBudget, newProcessName } from './division-locks.ts'
import { type ProcessChannel, trustMs } from './process-channel.ts'
import type { Allowance, ServerBudget } from './server-budget.ts'

/** Options of a {@link BudgetShare}. */
export interface ShareOptions {
  readonly channel: ProcessChannel
  readonly server: Server
  /** The mark of this installation's sessions: {@link SessionMark.family}. */
  readonly family: string
  /** The least number of connections that a process has on this server besides tenants' work. */
  readonly beside: number
  /** Counts the sessions of this installation; see {@link Server.occupancy}. */
  readonly occupancy: (listening: Membership) => ReturnType<Server['occupancy']>
  /** The part of the connections that one tenant may have, above 0 and at most 1. */
  readonly tenantShare: number
  /** The longest wait for other processes to take their shares, in milliseconds. */
  readonly waitMs: number
}

/** The interval at which a process that could use more checks for processes that have ended, in milliseconds. */
const lookEveryMs = 2_000

/** The share that this process publishes as reserved. */
interface Held {
  readonly listening: Membership
  readonly share: number
}

/**
 * The part of one server's budget that this process may use. All processes of the installation that work on the server
 * have an equal part, and together never more than the budget. Each publishes its reservation ({@link DivisionLocks}).
 * A process with more than its part closes connections, and publishes less once they are closed. A process with less
 * takes free connections, one process at a time. Sessions of a process that publishes nothing any more count until the
 * server has ended them ({@link AbsentProcesses}).
 */
export class BudgetShare implements Allowance {
  readonly #options: ShareOptions
  readonly #locks: DivisionLocks
  readonly #absent = new AbsentProcesses(trustMs)
  #name = newProcessName()
  #budget: Pick<ServerBudget, 'open' | 'setCapacity'> | undefined
  #held: Held | undefined
  /** The number of connections for all processes together, as of the last time this one took some. */
  #total: number
  /** This process's fair part, as of the last look. */
  #part = 0
  #settling: Promise<void> | undefined
  #isOutdated = false
  #looking: NodeJS.Timeout | undefined
  #closed = false
  #others = 0
  /** The last report of connections that are kept free for absent processes. */
  #report = { absent: 0, at: -Infinity }

  constructor(options: ShareOptions) {
    this.#options = options
    this.#locks = new DivisionLocks(options.server.name)
    this.#total = Math.min(options.server.maxConnections, largestBudget)
    options.channel.subscribe({ onMessage: (message) => this.#receive(message), onLost: () => undefined })
  }

  get mark(): SessionMark {
    return { family: this.#options.family, member: this.#name }
  }

  get others(): number {
    return this.#others
  }

  serve(budget: Pick<ServerBudget, 'open' | 'setCapacity'>): void {
    this.#budget = budget
  }

  async ensure(): Promise<void> {
    const { channel } = this.#options
    for (let attempt = 1; ; attempt++) {
      // The end of the session that publishes the share may have arrived, and be the next event to be read.
      await setImmediate()
      await channel.start()
      const listening = await channel.listening()
      if (this.holds()) return
      try {
        await this.#settle()
      } catch (error) {
        if (!channel.isLostBy(error, listening) || attempt > 1) throw error
      }
    }
  }

  holds(): boolean {
    return this.#held !== undefined && this.#options.channel.isCurrent(this.#held.listening)
  }

  onClosed(): void {
    if (this.#held !== undefined && this.#held.share > this.#part) this.#settleLater()
  }

  /**
   * Gives the whole share back, once the budget has closed its connections. The other processes are notified, if that
   * takes no longer than `limitMs` milliseconds: the published share ends with its session in any case.
   */
  async leave(limitMs: number): Promise<void> {
    this.#closed = true
    clearInterval(this.#looking)
    await inTime(this.#withdraw(), limitMs)
  }

  async #withdraw(): Promise<void> {
    await this.#settling?.catch(() => undefined)
    const held = this.#held
    if (held === undefined) return
    this.#held = undefined
    try {
      await this.#locks.hide(held.listening, this.#name, held.share)
      await this.#send({ left: this.#name })
    } catch {
      // Without its session there is nothing left to give back.
    }
  }

  #receive(message: object): void {
    if (!isAboutDivision(message) || message.division !== this.#options.server.name) return
    if (message.from === this.#name) return
    if (message.left !== undefined) this.#absent.left(message.left)
    if (message.absent !== undefined) this.#absent.report(message.absent, performance.now())
    if (this.#held !== undefined) this.#settleLater()
  }

  async #send(more: Pick<DivisionMessage, 'left' | 'absent'>): Promise<void> {
    await this.#options.channel.send({ division: this.#options.server.name, from: this.#name, ...more })
  }

  /**
   * Settles in the background. A failure is repaired by the next look, or shows at the next request for a connection.
   */
  #settleLater(): void {
    if (!this.#closed) void this.#settle().catch(() => undefined)
  }

  /**
   * Looks for processes that were killed. Others send a message, but a killed process sends none, and its share is lost
   * to processes that could use it.
   */
  #lookAgain(): void {
    const share = this.#held?.share ?? 0
    const isScarce = this.#others > 0 && this.#open >= share
    const isLost = !this.holds() && this.#open > 0
    if (isScarce || isLost || share < this.#part || this.#absent.any) this.#settleLater()
  }

  /** Brings this process's share nearer to its fair part, and repeats if something changes meanwhile. */
  #settle(): Promise<void> {
    this.#isOutdated = true
    this.#settling ??= this.#settleUntilQuiet().finally(() => {
      this.#settling = undefined
    })
    return this.#settling
  }

  async #settleUntilQuiet(): Promise<void> {
    while (this.#isOutdated) {
      this.#isOutdated = false
      const listening = await this.#options.channel.listening()
      const held = this.#held?.listening === listening ? this.#held : undefined
      if (held === undefined) await this.#grow(listening, undefined)
      else await this.#adjust(held)
    }
    if (!this.#closed) this.#looking ??= setInterval(() => this.#lookAgain(), lookEveryMs).unref()
  }

  async #adjust(held: Held): Promise<void> {
    const { listening } = held
    const division = this.#absent.any ? await this.#look(listening, false) : await this.#glance(listening)
    this.#part = fairPart(division)
    if (held.share > this.#part) await this.#shrink(held)
    else if (held.share < this.#part) await this.#grow(listening, held)
  }

  /** Closes surplus connections, and publishes less once they are closed. */
  async #shrink(held: Held): Promise<void> {
    this.#budget?.setCapacity(this.#part)
    const share = Math.max(this.#part, this.#open)
    if (share === held.share) return
    await this.#show(held.listening, share, held)
    await this.#send({})
  }

  /** Takes free connections, up to this process's part. */
  async #grow(listening: Membership, held: Held | undefined): Promise<void> {
    const { isContent, absent } = await this.#locks.exclusively(listening, this.#options.waitMs, async () => {
      const division = await this.#look(listening, held === undefined)
      this.#part = fairPart(division)
      const capacity = Math.max(held?.share ?? 0, Math.min(this.#part, freePart(division)))
      // Open connections are published in any case: others have counted them by their sessions until now.
      const share = Math.max(capacity, this.#open)
      if (share !== held?.share) await this.#show(listening, share, held)
      this.#budget?.setCapacity(Math.min(capacity, this.#part))
      return { isContent: capacity >= this.#part, absent: sumOf(division.absent) }
    })
    if (!isContent && (held === undefined || this.#isReportDue(absent))) await this.#reportAbsent(absent)
  }

  /** True if a report is due: processes that repeat the same report after each other's messages would never end. */
  #isReportDue(absent: number): boolean {
    return absent > 0 && (absent > this.#report.absent || performance.now() >= this.#report.at + lookEveryMs)
  }

  /**
   * Others may have seen fewer sessions of absent processes, or none: a tenant's role can change the marks of its sessions
   * between their looks. The others then leave this process its part of the budget as this process has counted it.
   */
  async #reportAbsent(absent: number): Promise<void> {
    this.#report = { absent, at: performance.now() }
    await this.#send({ absent })
  }

  /** Returns the division without counting sessions, if no process is absent. */
  async #glance(listening: Membership): Promise<Division> {
    const others = await this.#otherShares(listening)
    const reported = this.#absent.reported(performance.now())
    return { budget: this.#total, self: this.#name, others, absent: new Map(), reported }
  }

  async #look(listening: Membership, isNew: boolean): Promise<Division> {
    const { server, occupancy, beside, tenantShare } = this.#options
    const others = await this.#otherShares(listening)
    const { room, sessions } = await occupancy(listening)
    // Two processes with the same name would each take the other's share for its own.
    const isTaken = (name: string) => others.has(name) || sessions.some(({ process }) => process === name)
    if (isNew && this.#open === 0) while (isTaken(this.#name)) this.#name = newProcessName()
    const forTenants = room - beside * (others.size + 1)
    this.#total = Math.max(1, Math.min(server.maxConnections, forTenants, largestBudget))
    const theirs = sessions.filter(({ process }) => process !== this.#name)
    const now = performance.now()
    const absent = this.#absent.parts(theirs, tenantPart(this.#total, tenantShare), now)
    return { budget: this.#total, self: this.#name, others, absent, reported: this.#absent.reported(now) }
  }

  async #otherShares(listening: Membership): Promise<Map<string, number>> {
    const shares = await this.#locks.shares(listening)
    if (this.#held !== undefined || this.#open > 0) shares.delete(this.#name)
    this.#absent.note(shares, performance.now())
    this.#others = shares.size
    return shares
  }

  /** Publishes the new share before it withdraws the old one: for a moment others see both, never none. */
  async #show(listening: Membership, share: number, before: Held | undefined): Promise<void> {
    await this.#locks.show(listening, this.#name, share)
    this.#held = { listening, share }
    if (before !== undefined) await this.#locks.hide(listening, this.#name, before.share)
  }

  get #open(): number {
    return this.#budget?.open ?? 0
  }
}

interface DivisionMessage {
  /** The server's name. */
  readonly division: string
  readonly from: string
  /** A process that has closed all its connections. */
  readonly left?: string
  /** The number of connections that the sender keeps free for absent processes. */
  readonly absent?: number
}

function isAboutDivision(message: object): message is DivisionMessage {
  return 'division' in message
}
