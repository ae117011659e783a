import { hasCode } from '../kernel/errors.ts'

/** Looks keys up. The map has only the keys that were found. */
export type LookUp<Key, Answer> = (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Answer>>

interface Question<Key, Answer> {
  readonly key: Key
  readonly answered: PromiseWithResolvers<Answer | undefined>
}

/** The largest number of keys in one statement. A tenant's row may be large, by its metadata. */
const mostAtOnce = 100
/**
 * The time after which a statement is slow, in milliseconds: it waits for something (a lock, a lost packet), and others
 * no longer wait for it.
 */
const slowMs = 1_000

/**
 * Looks keys up by one statement at a time, for all requests that arrived since the last one began. So the senders of
 * requests cannot put more load on the catalog than that, however many names they invent. The next statement begins
 * beside one that is slow, or was abandoned.
 */
export class BatchLoader<Key, Answer> {
  readonly #lookUp: LookUp<Key, Answer>
  /** Questions without an answer so far. */
  readonly #open = new Set<Question<Key, Answer>>()
  #waiting: Question<Key, Answer>[] = []
  /** The statement under way; undefined if there is none. */
  #turn: symbol | undefined

  constructor(lookUp: LookUp<Key, Answer>) {
    this.#lookUp = lookUp
  }

  /**
   * Looks one key up.
   *
   * @returns undefined if it was not found, and after {@link abandon}; rejects with the error of the statement
   */
  load(key: Key): Promise<Answer | undefined> {
    const question = { key, answered: Promise.withResolvers<Answer | undefined>() }
    this.#open.add(question)
    this.#waiting.push(question)
    if (this.#turn === undefined) void this.#loadInTurn()
    return question.answered.promise
  }

  /** Ends every wait, and lets the next statement begin: the one under way may be lost with its connection. */
  abandon(): void {
    this.#turn = undefined
    this.#waiting = []
    for (const { answered } of this.#open) answered.resolve(undefined)
    this.#open.clear()
  }

  async #loadInTurn(): Promise<void> {
    const turn = Symbol('turn')
    this.#turn = turn
    while (this.#turn === turn && this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, mostAtOnce)
      const slow = setTimeout(() => this.#endTurn(turn), slowMs).unref()
      try {
        const found = await this.#lookUpTwice(batch.map(({ key }) => key))
        for (const { key, answered } of batch) answered.resolve(found.get(key))
      } catch (error) {
        for (const { answered } of batch) answered.reject(error)
      } finally {
        clearTimeout(slow)
      }
      for (const question of batch) this.#open.delete(question)
    }
    this.#endTurn(turn)
  }

  #endTurn(turn: symbol): void {
    if (this.#turn !== turn) return
    this.#turn = undefined
    if (this.#waiting.length > 0) void this.#loadInTurn()
  }

  /** Retries once, since one lost connection should not fail all requests that share its statement. */
  async #lookUpTwice(keys: readonly Key[]): Promise<ReadonlyMap<Key, Answer>> {
    try {
      return await this.#lookUp(keys)
    } catch (error) {
      if (!hasCode(error, 'connection-lost')) throw error
      return this.#lookUp(keys)
    }
  }
}
