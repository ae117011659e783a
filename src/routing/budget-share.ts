import { setImmediate } from 'node:timers/promises'
import { inTime } from '../kernel/abort.ts'
import type { SessionMark } from '../server/occupancy.ts'
import type { Server } from '../server/port.ts'
import { AbsentProcesses } from './absent-processes.ts'
import { type Division, fairPart, freePart, sumOf, tenantPart } from './division.ts'
import { DivisionLocks, largestBudget, newProcessName } from './division-locks.ts'
import { type Listening, type ProcessChannel, trustMs } from './process-channel.ts'
import type { Allowance, ServerBudget } from './server-budget.ts'

/** Whose share it is, and of what. */
export interface ShareOptions {
  readonly channel: ProcessChannel
  readonly server: Server
  /** What tells the sessions of this installation from others': {@link SessionMark.family}. */
  readonly family: string
  /** How many connections a process has on this server at least, beside tenants' work. */
  readonly beside: number
  /** Counts the sessions of this installation; see {@link Server.occupancy}. */
  readonly occupancy: (listening: Listening) => ReturnType<Server['occupancy']>
  /** Which part of the connections one tenant may have, above 0 and at most 1. */
  readonly tenantShare: number
  /** How long to wait while other processes take their shares, in milliseconds. */
  readonly waitMs: number
}

/** How often a process that could use more looks, unasked, whether others have gone, in milliseconds. */
const lookEveryMs = 2_000

/** What this process shows that it has set aside. */
interface Held {
  readonly listening: Listening
  readonly share: number
}

/**
 * The part of one server's budget that this process may use. All processes of the installation that work on the server have
 * an equal one, and together never more than the budget.
 *
 * Each shows what it has set aside ({@link DivisionLocks}). Who has more than its part closes connections, and shows less
 * when they are gone. Who has less takes what is nobody's, one process at a time. Sessions of a process that shows nothing
 * any more count until they are gone from the server ({@link AbsentProcesses}).
 */
export class BudgetShare implements Allowance {
  readonly #options: ShareOptions
  readonly #locks: DivisionLocks
  readonly #absent = new AbsentProcesses(trustMs)
  #name = newProcessName()
  #budget: Pick<ServerBudget, 'open' | 'setCapacity'> | undefined
  #held: Held | undefined
  /** How many connections all processes may have together, as of the last time this one took some. */
  #total: number
  /** What this process should have, as of the last look. */
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
      // The end of the session that shows the share may have arrived, and be next to be read.
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
   * Gives all back, once the budget has closed its connections. The others are told, where that takes no longer than
   * `limitMs` milliseconds: what this process has shown goes with its session in any case.
   */
  async leave(limitMs: number): Promise<void> {
    this.#closed = true
    clearInterval(this.#looking)
    await inTime(this.#sayGoodbye(), limitMs)
  }

  async #sayGoodbye(): Promise<void> {
    await this.#settling?.catch(() => undefined)
    const held = this.#held
    if (held === undefined) return
    this.#held = undefined
    try {
      await this.#locks.hide(held.listening, this.#name, held.share)
      await this.#say({ left: this.#name })
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

  async #say(more: Pick<DivisionMessage, 'left' | 'absent'>): Promise<void> {
    await this.#options.channel.send({ division: this.#options.server.name, from: this.#name, ...more })
  }

  /** What goes wrong unasked is over at the next look, or shows when a connection is wanted. */
  #settleLater(): void {
    if (!this.#closed) void this.#settle().catch(() => undefined)
  }

  /** What others say is heard. Those that were killed say nothing, which matters to who could use what they had. */
  #lookAgain(): void {
    const share = this.#held?.share ?? 0
    const isScarce = this.#others > 0 && this.#open >= share
    const isLost = !this.holds() && this.#open > 0
    if (isScarce || isLost || share < this.#part || this.#absent.any) this.#settleLater()
  }

  /** Brings what this process has nearer to what it should have; again if something changes meanwhile. */
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

  /** Closes what is beyond, and shows less when it is gone. */
  async #shrink(held: Held): Promise<void> {
    this.#budget?.setCapacity(this.#part)
    const share = Math.max(this.#part, this.#open)
    if (share === held.share) return
    await this.#show(held.listening, share, held)
    await this.#say({})
  }

  /** Takes what is nobody's, as far as it is this process's part. */
  async #grow(listening: Listening, held: Held | undefined): Promise<void> {
    const { isContent, absent } = await this.#locks.exclusively(listening, this.#options.waitMs, async () => {
      const division = await this.#look(listening, held === undefined)
      this.#part = fairPart(division)
      const capacity = Math.max(held?.share ?? 0, Math.min(this.#part, freePart(division)))
      // What is open is shown in any case: others have counted it by its sessions until now.
      const share = Math.max(capacity, this.#open)
      if (share !== held?.share) await this.#show(listening, share, held)
      this.#budget?.setCapacity(Math.min(capacity, this.#part))
      return { isContent: capacity >= this.#part, absent: sumOf(division.absent) }
    })
    if (!isContent && (held === undefined || this.#isReportDue(absent))) await this.#reportAbsent(absent)
  }

  /** Processes that reported the same again at each other's messages would never end. */
  #isReportDue(absent: number): boolean {
    return absent > 0 && (absent > this.#report.absent || performance.now() >= this.#report.at + lookEveryMs)
  }

  /**
   * Others may have seen fewer sessions of absent processes, or none: a tenant's role can change the marks of its sessions
   * between their looks. They leave this process its part of what is divided as it has seen it.
   */
  async #reportAbsent(absent: number): Promise<void> {
    this.#report = { absent, at: performance.now() }
    await this.#say({ absent })
  }

  /** What is known without counting sessions, where no process is absent. */
  async #glance(listening: Listening): Promise<Division> {
    const others = await this.#otherShares(listening)
    const reported = this.#absent.reported(performance.now())
    return { budget: this.#total, self: this.#name, others, absent: new Map(), reported }
  }

  async #look(listening: Listening, isNew: boolean): Promise<Division> {
    const { server, occupancy, beside, tenantShare } = this.#options
    const others = await this.#otherShares(listening)
    const { room, sessions } = await occupancy(listening)
    // Two processes that have chosen one name would take each other's share for their own.
    const isTaken = (name: string) => others.has(name) || sessions.some(({ process }) => process === name)
    if (isNew && this.#open === 0) while (isTaken(this.#name)) this.#name = newProcessName()
    const forTenants = room - beside * (others.size + 1)
    this.#total = Math.max(1, Math.min(server.maxConnections, forTenants, largestBudget))
    const theirs = sessions.filter(({ process }) => process !== this.#name)
    const now = performance.now()
    const absent = this.#absent.parts(theirs, tenantPart(this.#total, tenantShare), now)
    return { budget: this.#total, self: this.#name, others, absent, reported: this.#absent.reported(now) }
  }

  async #otherShares(listening: Listening): Promise<Map<string, number>> {
    const shares = await this.#locks.shares(listening)
    if (this.#held !== undefined || this.#open > 0) shares.delete(this.#name)
    this.#absent.note(shares, performance.now())
    this.#others = shares.size
    return shares
  }

  /** Shows the new share before the old one is hidden: for a moment others see both, never none. */
  async #show(listening: Listening, share: number, before: Held | undefined): Promise<void> {
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
  /** How many connections the sender keeps free for absent processes. */
  readonly absent?: number
}

function isAboutDivision(message: object): message is DivisionMessage {
  return 'division' in message
}
