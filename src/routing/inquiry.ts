import { TenantryError } from '../kernel/errors.ts'

/** Answers for those of the keys that there is one for. */
export type LookUp<Key, Answer> = (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Answer>>

interface Question<Key, Answer> {
  readonly key: Key
  readonly answered: PromiseWithResolvers<Answer | undefined>
}

/** The most that one statement asks for. A tenant's row may be large, by its metadata. */
const mostAtOnce = 100
/** A statement that takes longer waits for something (a lock, a lost packet), and holds nobody else up, in milliseconds. */
const slowMs = 1_000

/**
 * Asks by one statement at a time for all that has come in since the last one began. So whoever sends requests cannot
 * take more of the catalog than that, however many names he thinks of. Beside statements that are slow, or were
 * abandoned, the next begins.
 */
export class Inquiry<Key, Answer> {
  readonly #lookUp: LookUp<Key, Answer>
  /** Those that have no answer yet. */
  readonly #open = new Set<Question<Key, Answer>>()
  #waiting: Question<Key, Answer>[] = []
  /** Whose turn it is to ask; undefined while nobody does. */
  #turn: symbol | undefined

  constructor(lookUp: LookUp<Key, Answer>) {
    this.#lookUp = lookUp
  }

  /** @returns undefined where there is no answer, and after {@link abandon}; rejects with what the statement fails with */
  ask(key: Key): Promise<Answer | undefined> {
    const question = { key, answered: Promise.withResolvers<Answer | undefined>() }
    this.#open.add(question)
    this.#waiting.push(question)
    if (this.#turn === undefined) void this.#askInTurn()
    return question.answered.promise
  }

  /** Nobody waits any longer, the next no more than others: the statement may have gone with the connection. */
  abandon(): void {
    this.#turn = undefined
    this.#waiting = []
    for (const { answered } of this.#open) answered.resolve(undefined)
    this.#open.clear()
  }

  async #askInTurn(): Promise<void> {
    const turn = Symbol('turn')
    this.#turn = turn
    while (this.#turn === turn && this.#waiting.length > 0) {
      const asked = this.#waiting.splice(0, mostAtOnce)
      const slow = setTimeout(() => this.#endTurn(turn), slowMs).unref()
      try {
        const found = await this.#lookUpTwice(asked.map(({ key }) => key))
        for (const { key, answered } of asked) answered.resolve(found.get(key))
      } catch (error) {
        for (const { answered } of asked) answered.reject(error)
      } finally {
        clearTimeout(slow)
      }
      for (const question of asked) this.#open.delete(question)
    }
    this.#endTurn(turn)
  }

  #endTurn(turn: symbol): void {
    if (this.#turn !== turn) return
    this.#turn = undefined
    if (this.#waiting.length > 0) void this.#askInTurn()
  }

  /** One connection that is lost is not to fail for all who are asked for by it. */
  async #lookUpTwice(keys: readonly Key[]): Promise<ReadonlyMap<Key, Answer>> {
    try {
      return await this.#lookUp(keys)
    } catch (error) {
      if (!(error instanceof TenantryError && error.code === 'connection-lost')) throw error
      return this.#lookUp(keys)
    }
  }
}
