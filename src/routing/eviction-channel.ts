import { randomUUID } from 'node:crypto'
import { type Cancellable, pause, poll, untilAborted } from '../kernel/abort.ts'
import type { Identifier, TenantId } from '../kernel/names.ts'
import { type ProcessChannel, trustMs } from './process-channel.ts'

/** A tenant of which every process is to let go. */
export interface Eviction {
  readonly tenant: TenantId
  /** The name of its server. */
  readonly server: string
  readonly database: Identifier
}

/** How long after a commit its notification may be on its way to who listens, in milliseconds. */
const deliveryMs = 1_000
/** How long the others have to answer, however hurried an eviction is, in milliseconds. */
const answerMs = 1_000

/**
 * How processes of an installation tell each other to let go of a tenant, and know that all have.
 *
 * Each answers every eviction. Who evicts waits for an answer from all that listen. One that stays silent (stopped,
 * overloaded, cut off) has to ask the server before it trusts again in what it remembers, and hears then, or hears nothing
 * at all: that is waited for.
 */
export class EvictionChannel {
  readonly #channel: ProcessChannel
  readonly #onEvict: (eviction: Eviction) => void
  /** By the eviction's number, the process ids of the sessions that answered. */
  readonly #answers = new Map<string, Set<number>>()

  constructor(channel: ProcessChannel, onEvict: (eviction: Eviction) => void) {
    this.#channel = channel
    this.#onEvict = onEvict
    channel.subscribe({ onMessage: (message) => void this.#receive(message), onLost: () => undefined })
  }

  /**
   * Makes every process let go of a tenant, this one first.
   *
   * @param limitMs how long the others may take, in milliseconds; at least a second
   */
  async evict(eviction: Eviction, limitMs: number, { signal }: Cancellable = {}): Promise<void> {
    // Asked first: what is said on a session that is cut off reaches nobody.
    await untilAborted(this.#channel.start(), signal)
    this.#onEvict(eviction)
    const number = randomUUID()
    const answers = new Set<number>()
    this.#answers.set(number, answers)
    let saidAt = Infinity
    let failure: unknown
    try {
      const haveAnswered = async () => {
        const listening = await untilAborted(this.#channel.listening(), signal)
        try {
          answers.add(listening.processId)
          // Said again each time: who began to listen in between has shown itself by its lock, and heard nothing.
          await untilAborted(this.#channel.send({ evict: number, ...eviction }), signal)
          saidAt = Math.min(saidAt, performance.now())
          const present = await untilAborted(this.#channel.present(), signal)
          return present.every((pid) => answers.has(pid)) || undefined
        } catch (error) {
          // Since it was asked, the session ended. On another one all is said again.
          if (!this.#channel.isLostBy(error, listening)) throw error
          failure = error
          return undefined
        }
      }
      if (await poll(haveAnswered, Math.max(limitMs, answerMs), signal)) return
      if (saidAt === Infinity) throw failure
      await pause(Math.max(0, saidAt + trustMs + deliveryMs - performance.now()), signal)
    } finally {
      this.#answers.delete(number)
    }
  }

  async #receive(message: object): Promise<void> {
    if (isAnswer(message)) {
      this.#answers.get(message.answer)?.add(message.processId)
      return
    }
    // What this process itself said, it has done before.
    if (!isEviction(message) || this.#answers.has(message.evict)) return
    this.#onEvict(message)
    // An answer that cannot be sent goes with its session, and is not waited for then.
    await this.#answer(message.evict).catch(() => undefined)
  }

  async #answer(evict: string): Promise<void> {
    const { processId } = await this.#channel.listening()
    await this.#channel.send({ answer: evict, processId })
  }
}

function isAnswer(message: object): message is { readonly answer: string; readonly processId: number } {
  return 'answer' in message
}

function isEviction(message: object): message is { readonly evict: string } & Eviction {
  return 'evict' in message && 'tenant' in message
}
