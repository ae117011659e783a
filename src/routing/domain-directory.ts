import type { DomainName } from '../kernel/domain-names.ts'
import { RecentlyUsed } from '../kernel/recently-used.ts'
import type { RoutedTenant } from '../catalog/domains.ts'
import { BatchLoader, type LookUp } from './batch-loader.ts'

/** The number of the catalog's answers to remember. Beyond it the least recently used is looked up again. */
export interface DirectorySize {
  /** The number of domains that belong to tenants. */
  readonly known: number
  /** The number of domains that belong to no tenant. They never displace one that does. */
  readonly unknown: number
}

interface Question {
  isOutdated: boolean
  readonly answer: Promise<RoutedTenant | undefined>
}

/**
 * The tenants of domains: the catalog's answer for each, kept for as long as this process would receive notice of a
 * change.
 */
export class DomainDirectory {
  readonly #loader: BatchLoader<DomainName, RoutedTenant>
  readonly #listen: () => Promise<void>
  readonly #known: RecentlyUsed<DomainName, RoutedTenant>
  readonly #unknown: RecentlyUsed<DomainName, true>
  /** Look-ups under way. */
  readonly #questions = new Map<DomainName, Question>()

  /**
   * @param lookUp returns the tenants of the verified ones among some domains
   * @param listen makes sure that this process receives notices of changes, which arrive as calls of {@link forget}
   */
  constructor(lookUp: LookUp<DomainName, RoutedTenant>, listen: () => Promise<void>, size: DirectorySize) {
    this.#loader = new BatchLoader(lookUp)
    this.#listen = listen
    this.#known = new RecentlyUsed(size.known)
    this.#unknown = new RecentlyUsed(size.unknown)
  }

  /** Returns the tenant of a domain; undefined if it belongs to none, or is not verified. */
  async tenantOf(domain: DomainName): Promise<RoutedTenant | undefined> {
    for (;;) {
      await this.#listen()
      const known = this.#known.get(domain)
      if (known !== undefined) return known
      if (this.#unknown.get(domain)) return undefined
      const question = this.#questions.get(domain) ?? this.#lookUp(domain)
      try {
        const tenant = await question.answer
        // Changed during the look-up: the answer may be older than the notice.
        if (!question.isOutdated) return tenant
      } catch (error) {
        if (!question.isOutdated) throw error
      }
    }
  }

  /** Forgets a domain. */
  forget(domain: string): void {
    const name = domain as DomainName
    this.#known.delete(name)
    this.#unknown.delete(name)
    this.#outdate(name)
  }

  /** Forgets all domains. Callers that are waiting look them up again. */
  forgetAll(): void {
    this.#known.clear()
    this.#unknown.clear()
    for (const name of this.#questions.keys()) this.#outdate(name)
    this.#loader.abandon()
  }

  #outdate(domain: DomainName): void {
    const question = this.#questions.get(domain)
    if (question === undefined) return
    question.isOutdated = true
    this.#questions.delete(domain)
  }

  #lookUp(domain: DomainName): Question {
    const question: Question = { isOutdated: false, answer: this.#loader.load(domain) }
    this.#questions.set(domain, question)
    question.answer.then(
      (tenant) => this.#keep(domain, question, tenant),
      // A failed look-up is repeated for the next caller.
      () => this.#close(domain, question),
    )
    return question
  }

  #keep(domain: DomainName, question: Question, tenant: RoutedTenant | undefined): void {
    if (!this.#close(domain, question)) return
    if (tenant === undefined) this.#unknown.set(domain, true)
    else this.#known.set(domain, tenant)
  }

  /** @returns true if the answer still holds */
  #close(domain: DomainName, { isOutdated }: Question): boolean {
    // An outdated question has left its place to the next.
    if (!isOutdated) this.#questions.delete(domain)
    return !isOutdated
  }
}
