import type { DomainName } from '../kernel/domain-names.ts'
import type { TenantId } from '../kernel/names.ts'
import { RecentlyUsed } from '../kernel/recently-used.ts'

/** What the catalog says of some domains: those that are verified, with their tenants. */
export type LookUpDomains = (domains: readonly DomainName[]) => Promise<ReadonlyMap<DomainName, TenantId>>

/** How much of it is remembered. Beyond, what is longest unused is looked up again. */
export interface DirectorySize {
  /** How many domains that are tenants'. */
  readonly known: number
  /** How many that are nobody's. They never take the place of one that is somebody's. */
  readonly unknown: number
}

interface Question {
  readonly domain: DomainName
  isOutdated: boolean
  readonly answered: PromiseWithResolvers<TenantId | undefined>
}

/** The most that one statement asks for. */
const mostAtOnce = 1_000

/**
 * Whose a domain is: what the catalog said of it, for as long as this process would hear of a change.
 *
 * The names come from whoever sends a request, so at most one statement is under way at a time. It asks for all names
 * that have come in since the last one began, each once.
 */
export class DomainDirectory {
  readonly #lookUp: LookUpDomains
  readonly #listen: () => Promise<void>
  readonly #known: RecentlyUsed<DomainName, TenantId>
  readonly #unknown: RecentlyUsed<DomainName, true>
  /** Those that were asked and have no answer yet. */
  readonly #questions = new Map<DomainName, Question>()
  readonly #waiting: Question[] = []
  /** Whose turn it is to ask; undefined while nobody does. */
  #turn: symbol | undefined

  /** @param listen makes sure that this process hears of changes, which it tells by {@link forget} */
  constructor(lookUp: LookUpDomains, listen: () => Promise<void>, size: DirectorySize) {
    this.#lookUp = lookUp
    this.#listen = listen
    this.#known = new RecentlyUsed(size.known)
    this.#unknown = new RecentlyUsed(size.unknown)
  }

  /** The tenant whose domain it is; undefined where it is nobody's, or not verified. */
  async tenantOf(domain: DomainName): Promise<TenantId | undefined> {
    for (;;) {
      await this.#listen()
      const known = this.#known.get(domain)
      if (known !== undefined) return known
      if (this.#unknown.get(domain)) return undefined
      const question = this.#questions.get(domain) ?? this.#ask(domain)
      const tenant = await question.answered.promise
      // Changed while it was being read: what was read may be older than what was heard.
      if (!question.isOutdated) return tenant
    }
  }

  /** Forgets what is known of a domain. */
  forget(domain: string): void {
    const name = domain as DomainName
    this.#known.delete(name)
    this.#unknown.delete(name)
    const question = this.#questions.get(name)
    if (question !== undefined) this.#askAnew(question)
  }

  /** Whoever waits asks anew, without waiting for a statement that may have gone with the connection. */
  forgetAll(): void {
    this.#known.clear()
    this.#unknown.clear()
    this.#waiting.length = 0
    this.#turn = undefined
    for (const question of this.#questions.values()) this.#askAnew(question)
  }

  #askAnew(question: Question): void {
    question.isOutdated = true
    this.#questions.delete(question.domain)
    question.answered.resolve(undefined)
  }

  #ask(domain: DomainName): Question {
    const question = { domain, isOutdated: false, answered: Promise.withResolvers<TenantId | undefined>() }
    this.#questions.set(domain, question)
    this.#waiting.push(question)
    if (this.#turn === undefined) void this.#askInTurn()
    return question
  }

  async #askInTurn(): Promise<void> {
    const turn = Symbol('turn')
    this.#turn = turn
    while (this.#turn === turn && this.#waiting.length > 0) {
      const asked = this.#waiting.splice(0, mostAtOnce)
      try {
        const found = await this.#lookUp(asked.map(({ domain }) => domain))
        for (const question of asked) this.#answer(question, found.get(question.domain))
      } catch (error) {
        for (const question of asked) this.#fail(question, error)
      }
    }
    if (this.#turn === turn) this.#turn = undefined
  }

  #answer(question: Question, tenant: TenantId | undefined): void {
    const { domain, isOutdated, answered } = question
    if (!isOutdated) {
      this.#questions.delete(domain)
      if (tenant === undefined) this.#unknown.set(domain, true)
      else this.#known.set(domain, tenant)
    }
    answered.resolve(tenant)
  }

  /** What could not be read is asked again by the next who wants to know. */
  #fail(question: Question, error: unknown): void {
    if (!question.isOutdated) this.#questions.delete(question.domain)
    question.answered.reject(error)
  }
}
