import type { DomainName } from '../kernel/domain-names.ts'
import { RecentlyUsed } from '../kernel/recently-used.ts'
import type { RoutedTenant } from '../catalog/domains.ts'
import { Inquiry, type LookUp } from './inquiry.ts'

/** How much is remembered of what the catalog says. Beyond, what is longest unused is looked up again. */
export interface DirectorySize {
  /** How many domains that are tenants'. */
  readonly known: number
  /** How many that are nobody's. They never take the place of one that is somebody's. */
  readonly unknown: number
}

interface Question {
  isOutdated: boolean
  readonly answer: Promise<RoutedTenant | undefined>
}

/** Whose a domain is: what the catalog said of it, for as long as this process would hear of a change. */
export class DomainDirectory {
  readonly #inquiry: Inquiry<DomainName, RoutedTenant>
  readonly #listen: () => Promise<void>
  readonly #known: RecentlyUsed<DomainName, RoutedTenant>
  readonly #unknown: RecentlyUsed<DomainName, true>
  /** Those that were asked and have no answer yet. */
  readonly #questions = new Map<DomainName, Question>()

  /**
   * @param lookUp gives the tenants of those domains that are verified
   * @param listen makes sure that this process hears of changes, which it tells by {@link forget}
   */
  constructor(lookUp: LookUp<DomainName, RoutedTenant>, listen: () => Promise<void>, size: DirectorySize) {
    this.#inquiry = new Inquiry(lookUp)
    this.#listen = listen
    this.#known = new RecentlyUsed(size.known)
    this.#unknown = new RecentlyUsed(size.unknown)
  }

  /** The tenant whose domain it is; undefined where it is nobody's, or not verified. */
  async tenantOf(domain: DomainName): Promise<RoutedTenant | undefined> {
    for (;;) {
      await this.#listen()
      const known = this.#known.get(domain)
      if (known !== undefined) return known
      if (this.#unknown.get(domain)) return undefined
      const question = this.#questions.get(domain) ?? this.#ask(domain)
      try {
        const tenant = await question.answer
        // Changed while it was being read: what was read may be older than what was heard.
        if (!question.isOutdated) return tenant
      } catch (error) {
        if (!question.isOutdated) throw error
      }
    }
  }

  /** Forgets what is known of a domain. */
  forget(domain: string): void {
    const name = domain as DomainName
    this.#known.delete(name)
    this.#unknown.delete(name)
    this.#outdate(name)
  }

  /** Whoever waits asks anew. */
  forgetAll(): void {
    this.#known.clear()
    this.#unknown.clear()
    for (const name of this.#questions.keys()) this.#outdate(name)
    this.#inquiry.abandon()
  }

  #outdate(domain: DomainName): void {
    const question = this.#questions.get(domain)
    if (question === undefined) return
    question.isOutdated = true
    this.#questions.delete(domain)
  }

  #ask(domain: DomainName): Question {
    const question: Question = { isOutdated: false, answer: this.#inquiry.ask(domain) }
    this.#questions.set(domain, question)
    question.answer.then(
      (tenant) => this.#keep(domain, question, tenant),
      // What could not be read is asked again by the next who wants to know.
      () => this.#close(domain, question),
    )
    return question
  }

  #keep(domain: DomainName, question: Question, tenant: RoutedTenant | undefined): void {
    if (!this.#close(domain, question)) return
    if (tenant === undefined) this.#unknown.set(domain, true)
    else this.#known.set(domain, tenant)
  }

  /** @returns whether what was answered still holds */
  #close(domain: DomainName, { isOutdated }: Question): boolean {
    // One that is outdated has left its place to the next.
    if (!isOutdated) this.#questions.delete(domain)
    return !isOutdated
  }
}
