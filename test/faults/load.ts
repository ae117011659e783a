import type { TenantState } from 'tenantry'
import { type Answer, answerTo, type Opened } from './calls.ts'
import type { Standing } from './ledger.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

export type Step = 'onboard' | 'suspend' | 'resume' | 'offboard' | 'restore' | 'purge'

/** The verbs that a state allows. */
export const stepsFrom: Readonly<Record<'none' | 'active' | 'suspended' | 'offboarded', readonly Step[]>> = {
  none: ['onboard'],
  active: ['suspend', 'offboard', 'offboard'],
  suspended: ['resume', 'offboard'],
  offboarded: ['restore', 'restore', 'purge'],
}

/** A state in which no call is under way. */
export type Rest = keyof typeof stepsFrom

/** Returns the state after a successful step; `restore` returns to the state before. */
function restAfter(step: Step, came: 'active' | 'suspended'): Rest {
  const rests = {
    onboard: 'active',
    suspend: 'suspended',
    resume: 'active',
    offboard: 'offboarded',
    restore: came,
    purge: 'none',
  } as const
  return rests[step]
}

/** One tenant that one walker changes again and again, by verbs that its state allows. */
export class Walker {
  readonly id: string
  readonly #world: World
  readonly #random: Random
  #rest: Rest = 'none'
  #came: 'active' | 'suspended' = 'active'

  constructor(world: World, id: string, random: Random) {
    this.#world = world
    this.id = id
    this.#random = random
  }

  /**
   * Takes one step; records its possible results before, and its result after.
   *
   * @returns the answer, if it was an error
   */
  async step(tenantry: Opened): Promise<Answer | undefined> {
    const verb = this.#random.pick(stepsFrom[this.#rest])
    const rest = restAfter(verb, this.#came)
    this.#world.ledger.unsure(this.id, [this.#rest, rest] satisfies Standing[])
    const answer = await answerTo(tenantry, { verb, id: this.id })
    if (answer.outcome === undefined) return answer
    if (verb === 'offboard') this.#came = this.#rest === 'suspended' ? 'suspended' : 'active'
    this.#rest = rest
    this.#world.ledger.stands(this.id, rest)
    // The server may be down: then nothing more is known of it.
    if (verb === 'onboard') await this.#world.acknowledged(this.id).catch(() => undefined)
    return undefined
  }

  /** Continues from the current state. */
  async catchUp(): Promise<void> {
    const state: TenantState | 'none' = (await this.#world.tenant(this.id))?.state ?? 'none'
    if (state in stepsFrom) this.#rest = state as Rest
    if (state === 'active' || state === 'suspended') this.#came = state
    await this.#world.acknowledged(this.id)
  }
}
