import { inTime, settled } from './attempts.ts'
import { type Answer, answerTo, type Call } from './calls.ts'
import { type Step, stepsFrom } from './load.ts'
import { type Child, Nursery } from './nursery.ts'
import type { Random } from './random.ts'
import type { Scenario, Tally } from './scenario.ts'
import { World } from './world.ts'

// Many processes at once: on one id, on an id each, and with verbs that contradict each other.

const processes = { bounded: 4, full: 50 }
/** The number of them that are opened at the same time: more would only wait for a processor. */
const openedAtOnce = 4
/** The number of contradictory calls of each. */
const quarrels = { bounded: 6, full: 12 }

export const manyProcesses: Scenario = {
  name: 'many processes',
  run: async ({ url, random, extent }) => {
    const world = new World(url)
    const nursery = new Nursery(openedAtOnce)
    const here = await world.open()
    try {
      const children = await openAll(world, nursery, processes[extent])
      const wrong = [...(await sameId(world, children)), ...(await differentIds(world, children))]
      wrong.push(...(await quarrel(world, children, random, quarrels[extent])), ...(await settled(world, here)))
      return { faults: children.length * 3, violations: wrong } satisfies Tally
    } finally {
      await nursery.close()
      await here.close()
      await world.drop()
    }
  },
}

async function openAll(world: World, nursery: Nursery, count: number): Promise<readonly Child[]> {
  const children: Child[] = []
  while (children.length < count) {
    const some = Array.from({ length: Math.min(openedAtOnce, count - children.length) }, () => nursery.take())
    const failures = await Promise.all(some.map((child) => child.open(world.opening())))
    for (const failure of failures) if (failure !== undefined) throw new Error(`${failure.code}: ${failure.message}`)
    children.push(...some)
  }
  return children
}

/** One has made the tenant, and the others found it there. */
async function sameId(world: World, children: readonly Child[]): Promise<string[]> {
  world.ledger.unsure('same', ['active'])
  const answers = await inTime(
    callAll(children, () => ({ verb: 'onboard', id: 'same' })),
    'the same id',
  )
  await world.acknowledged('same')
  const made = answers.filter(({ outcome }) => outcome === 'onboarded').length
  const found = answers.filter(({ outcome }) => outcome === 'already-exists').length
  return made === 1 && found === children.length - 1 ? [] : [`the same id: ${summary(answers)}`]
}

/** Each has made its own, half of them from spares. */
async function differentIds(world: World, children: readonly Child[]): Promise<string[]> {
  await world.within((keeper) => answerTo(keeper, { verb: 'fill' }), { spares: Math.ceil(children.length / 2) })
  const answers = await inTime(
    callAll(children, (place) => ({ verb: 'onboard', id: `own-${place}` })),
    'different ids',
  )
  for (const place of children.keys()) await world.acknowledged(`own-${place}`)
  return answers.every(({ outcome }) => outcome === 'onboarded') ? [] : [`different ids: ${summary(answers)}`]
}

const all = [...new Set(Object.values(stepsFrom).flat())]
/** The codes of a verb that the state does not allow, or no longer. */
const refusals = ['tenant-state', 'tenant-unknown', 'tenant-not-active', 'database-missing', 'lock-timeout']

/**
 * Each calls any verb on any of three tenants. In any order, the audit trail is a path through the states, and has each
 * acknowledged change, and no other.
 */
async function quarrel(world: World, children: readonly Child[], random: Random, calls: number): Promise<string[]> {
  const ids = ['a', 'b', 'c']
  for (const id of ids) world.ledger.unsure(id, ['none', 'active', 'suspended', 'offboarded'])
  const orders = children.map(() =>
    Array.from({ length: calls }, () => ({ verb: random.pick<Step>(all), id: random.pick(ids) })),
  )
  const answered = await inTime(
    Promise.all(children.map((child, place) => callInTurn(child, orders[place] ?? []))),
    'a quarrel',
  )
  const answers = answered.flat()
  const wrong = answers
    .filter(({ answer: { code } }) => code !== undefined && !refusals.includes(code))
    .map(({ call, answer }) => `${call.verb} said ${answer.code}: ${answer.message}`)
  for (const id of ids) wrong.push(...(await trailAmiss(world, id, answers)))
  for (const id of ids) await world.acknowledged(id)
  return wrong
}

interface Answered {
  readonly call: { readonly verb: Step; readonly id: string }
  readonly answer: Answer
}

async function callInTurn(child: Child, calls: readonly Answered['call'][]): Promise<Answered[]> {
  const answered: Answered[] = []
  for (const call of calls) answered.push({ call, answer: await child.call(call) })
  return answered
}

/** The outcome of each verb if this very call has changed the state. */
const deeds: Readonly<Record<Step, string>> = {
  onboard: 'onboarded',
  suspend: 'suspended',
  resume: 'resumed',
  offboard: 'offboarded',
  restore: 'restored',
  purge: 'purged',
}

async function trailAmiss(world: World, id: string, answers: readonly Answered[]): Promise<string[]> {
  const trail = await world.inCatalog<{ verb: string; from_state: string | null; to_state: string | null }>(
    'select verb, from_state, to_state from tenantry.audit where tenant = $1 order by number',
    [id],
  )
  const wrong: string[] = []
  for (const [place, { verb, from_state: from }] of trail.entries()) {
    const before = trail[place - 1]?.to_state ?? null
    if (from !== before) wrong.push(`${id}: ${verb} came from ${from}, and before it was ${before}`)
  }
  for (const [verb, deed] of Object.entries(deeds)) {
    const said = answers.filter(({ call, answer }) => call.id === id && answer.outcome === deed).length
    const ends = trail.filter((entry) => entry.verb === verb && !isOnTheWay(entry.to_state)).length
    if (said !== ends) wrong.push(`${id}: ${deed} was said ${said} times, and happened ${ends} times`)
  }
  return wrong
}

/** A verb that takes two steps has an entry for each. */
function isOnTheWay(state: string | null): boolean {
  return state === 'onboarding' || state === 'purging'
}

function callAll(children: readonly Child[], call: (place: number) => Call): Promise<Answer[]> {
  return Promise.all(children.map((child, place) => child.call(call(place))))
}

/** Returns the count of each answer. */
function summary(answers: readonly Answer[]): string {
  const counts: Record<string, number> = {}
  for (const { outcome, code, message } of answers) {
    const said = outcome ?? `${code}: ${message}`
    counts[said] = (counts[said] ?? 0) + 1
  }
  return JSON.stringify(counts)
}
