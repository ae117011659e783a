import { inShort, inTime, reconciled, repeated, settled, tidied } from './attempts.ts'
import type { Answer } from './calls.ts'
import { acts, type Point } from './fault-proxy.ts'
import { violationsIn } from './invariants.ts'
import { type Child, Nursery } from './nursery.ts'
import { type FaultContext, type Scenario, storyOf, sum, type Tally } from './scenario.ts'
import { atSite, type Site } from './site.ts'
import { type Arranged, type VerbCase, verbCases } from './verb-cases.ts'
import { describeCall } from './world.ts'

// A process is killed at every statement of every verb. The next reconciles, and no invariant is violated.

/** The number of points of a verb that one run tries. The full run continues the next time. */
const sample = { bounded: 2, full: 16 }
/** The number of processors that the full run occupies. */
const lanes = 2

interface ProcessSite extends Site {
  readonly nursery: Nursery
}

/** The crash points of each verb, as a scenario of its own. */
export const crashPoints: readonly Scenario[] = verbCases.map((verb) => ({
  name: `crash: ${verb.name}`,
  run: (context) => withNursery((nursery) => crashEverywhere(context, verb, nursery)),
}))

/** Some crash points of some verbs, as many as there is time for. */
export const someCrashPoints: Scenario = {
  name: 'crash',
  run: (context) =>
    withNursery(async (nursery) => {
      const tallies: Tally[] = []
      for (const verb of context.random.shuffled(verbCases)) {
        if (!context.isOver()) tallies.push(await crashEverywhere(context, verb, nursery))
      }
      return sum(tallies)
    }),
}

async function withNursery(work: (nursery: Nursery) => Promise<Tally>): Promise<Tally> {
  const nursery = new Nursery()
  try {
    return await work(nursery)
  } finally {
    await nursery.close()
  }
}

async function crashEverywhere(context: FaultContext, verb: VerbCase, nursery: Nursery): Promise<Tally> {
  const points = await atSite(context.url, verb, async (site) => {
    const statements = await statementsOf({ ...site, nursery })
    return statements.flatMap((_, place) => acts.map((act) => ({ ordinal: place + 1, act })))
  })
  const queue = share(points, context)
  const running = Array.from({ length: context.extent === 'full' ? lanes : 1 }, () =>
    atSite(context.url, verb, (site) => crashAlong({ ...site, nursery }, context, queue)),
  )
  return sum(await Promise.all(running))
}

/** The points of this run: all are tried before any is tried again. */
function share(points: readonly Point[], { order, round, extent }: FaultContext): Point[] {
  const size = sample[extent]
  const begin = ((round - 1) * size) % points.length
  return order.shuffled(points).slice(begin, begin + size)
}

/** Returns the statements of the verb without an interruption. */
async function statementsOf(site: ProcessSite): Promise<readonly string[]> {
  const arranged = await site.verb.arrange(site.world, site.other, 'uncut')
  const child = await opened(site, arranged)
  void site.proxy.count()
  const { outcome, code, message } = await child.call(arranged.call)
  if (outcome === undefined) throw new Error(`Uncut, ${describeCall(arranged.call)} failed with ${code}: ${message}`)
  const statements = [...site.proxy.statements]
  await site.nursery.end(child)
  await tidied(site.world, site.other)
  return statements
}

async function opened({ nursery, world, proxy }: ProcessSite, { opening }: Arranged): Promise<Child> {
  const child = nursery.take()
  const failure = await child.open(world.opening({ ...opening, url: proxy.url }))
  if (failure !== undefined) throw new Error(`The process did not open: ${failure.code} ${failure.message}`)
  return child
}

/** Takes points from the queue, until it is empty or the time is up. */
async function crashAlong(site: ProcessSite, context: FaultContext, queue: Point[]): Promise<Tally> {
  const tallies: Tally[] = []
  for (let point = queue.shift(); point !== undefined && !context.isOver(); point = queue.shift()) {
    tallies.push(await crashAt(site, point, `p${point.ordinal}-${point.act}`))
  }
  return sum(tallies)
}

async function crashAt(site: ProcessSite, point: Point, id: string): Promise<Tally> {
  const { verb, world } = site
  const arranged = await verb.arrange(world, site.other, id)
  for (const [tenant, standings] of Object.entries(arranged.between)) world.ledger.unsure(tenant, standings)
  const crash = await crashed(site, arranged, point)
  if (crash === undefined) return { faults: 0, violations: [] }
  const name = `${verb.name} #${point.ordinal} ${point.act}: ${inShort(crash.statement)}`
  if (crash.answer.outcome !== undefined)
    for (const tenant of Object.keys(arranged.after)) await world.acknowledged(tenant)
  const found = await recovered(site, arranged).catch((error: unknown) => [storyOf(error)])
  await tidied(world, site.other)
  return { faults: 1, violations: found.map((violation) => `${name}: ${violation}`) }
}

/** Kills the process at the point, and waits until the server has noticed; undefined if it never reached it. */
async function crashed(
  site: ProcessSite,
  arranged: Arranged,
  point: Point,
): Promise<{ statement: string; answer: Answer } | undefined> {
  const { proxy, nursery, world } = site
  const child = await opened(site, arranged)
  const caught = proxy.count(point)
  const answering = child.call(arranged.call)
  const first = await inTime(Promise.race([caught, answering]), describeCall(arranged.call))
  if (typeof first !== 'string') {
    if (first.outcome === undefined) throw new Error(`Before ${JSON.stringify(point)} it failed: ${first.message}`)
    await nursery.end(child)
    proxy.cut()
    return undefined
  }
  await nursery.end(child)
  proxy.cut()
  await world.left(proxy.backends)
  return { statement: first, answer: await answering }
}

/** Continues as the next process would, and the one after it. @returns the violations */
async function recovered({ world }: ProcessSite, arranged: Arranged): Promise<string[]> {
  // A process that keeps spares works by itself, beside `reconcile`.
  const idle = { ...arranged.opening, spares: 0 }
  const wrong = await world.within((next) => settled(world, next), idle)
  wrong.push(...(await world.within((next) => repeated(world, next, arranged), arranged.opening)))
  const findings = await world.within((next) => reconciled(next), idle)
  return [...wrong, ...(await violationsIn(world, findings))]
}
