import { randomUUID } from 'node:crypto'
import { type Cancellable, pause, poll, untilAborted } from '../kernel/abort.ts'
import type { Identifier, TenantId } from '../kernel/names.ts'
import { type ProcessChannel, trustMs } from './process-channel.ts'

/** A tenant that every process is to release. */
export interface Eviction {
  readonly tenant: TenantId
  /** The name of its server. */
  readonly server: string
  readonly database: Identifier
}

/** The longest time from a commit to the arrival of its notification at the listeners, in milliseconds. */
const deliveryMs = 1_000
/** The least time that other processes have to answer, even in an urgent eviction, in milliseconds. */
const answerMs = 1_000

/**
 * Notifies all processes of an installation to release a tenant, and makes sure that all have. Each process answers
 * every eviction, and the evicting process waits for an answer from every listener. A process that stays silent
 * (stopped, overloaded, cut off) has to query the server before it trusts its memory again, and then either receives
 * the notification or fails. The evicting process waits for that time.
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
   * Makes every process release a tenant, this one first.
   *
   * @param limitMs the time that the others may take, in milliseconds; at least a second
   */
  async evict(eviction: Eviction, limitMs: number, { signal }: Cancellable = {}): Promise<void> {
    // Checked first: a message on a session that is cut off reaches no process.
    await untilAborted(this.#channel.start(), signal)
    this.#onEvict(eviction)
    const number = randomUUID()
    const answers = new Set<number>()
    this.#answers.set(number, answers)
    let sentAt = Infinity
    let failure: unknown
    try {
      const haveAnswered = async () => {
        const listening = await untilAborted(this.#channel.listening(), signal)
        try {
          answers.add(listening.processId)
          // Sent again each time: a process that began to listen in between has its lock, but has not received the
          // message.
          await untilAborted(this.#channel.send({ evict: number, ...eviction }), signal)
          sentAt = Math.min(sentAt, performance.now())
          const present = await untilAborted(listening.present(), signal)
          return present.every((pid) => answers.has(pid)) || undefined
        } catch (error) {
          // The session has ended since it was checked. All is sent again on another one.
          if (!this.#channel.isLostBy(error, listening)) throw error
          failure = error
          return undefined
        }
      }
      if (await poll(haveAnswered, Math.max(limitMs, answerMs), signal)) return
      if (sentAt === Infinity) throw failure
      await pause(Math.max(0, sentAt + trustMs + deliveryMs - performance.now()), signal)
    } finally {
      this.#answers.delete(number)
    }
  }

  async #receive(message: object): Promise<void> {
    if (isAnswer(message)) {
      this.#answers.get(message.answer)?.add(message.processId)
      return
    }
    // This process has already carried out its own eviction.
    if (!isEviction(message) || this.#answers.has(message.evict)) return
    this.#onEvict(message)
    // An answer that cannot be sent means that its session has ended. The evicting process does not wait for it then.
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
