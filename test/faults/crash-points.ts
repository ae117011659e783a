import type { Reconciled } from 'tenantry'
import { type Answer, answerTo, type Opened } from './calls.ts'
import { acts, FaultProxy, type Point } from './fault-proxy.ts'
import { violationsIn } from './invariants.ts'
import { type Child, Nursery } from './nursery.ts'
import { type FaultContext, type Scenario, storyOf, sum, type Tally } from './scenario.ts'
import { type Arranged, type VerbCase, verbCases } from './verb-cases.ts'
import { describeCall, World } from './world.ts'

// A process is killed at every statement of every verb. The next reconciles, and everything is as it should be.

/** How long a process may take with a verb, in milliseconds. */
const patienceMs = 60_000
/** How many points of a verb the bounded run tries. */
const sample = 2
/** How many processors the full run occupies. */
const lanes = 2

/** What the attempts at one verb have in common. */
interface Site {
  readonly verb: VerbCase
  readonly world: World
  readonly proxy: FaultProxy
  readonly nursery: Nursery
  readonly tenantry: Opened
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
  const points = await atSite(context, verb, nursery, async (site) => {
    const statements = await statementsOf(site)
    return statements.flatMap((_, place) => acts.map((act) => ({ ordinal: place + 1, act })))
  })
  const isFull = context.extent === 'full'
  const queue = context.random.shuffled(points).slice(0, isFull ? undefined : sample)
  const running = Array.from({ length: isFull ? lanes : 1 }, () =>
    atSite(context, verb, nursery, (site) => crashAlong(site, context, queue)),
  )
  return sum(await Promise.all(running))
}

async function atSite<T>(
  { url }: FaultContext,
  verb: VerbCase,
  nursery: Nursery,
  work: (site: Site) => Promise<T>,
): Promise<T> {
  const proxy = await FaultProxy.start(url)
  const world = new World(url, verb.servers, verb.opening)
  const tenantry = await world.open()
  try {
    return await work({ verb, world, proxy, nursery, tenantry })
  } finally {
    await tenantry.close()
    await proxy.close()
    await world.drop()
  }
}

/** The statements of the verb where nothing interrupts it. */
async function statementsOf(site: Site): Promise<readonly string[]> {
  const arranged = await site.verb.arrange(site.world, site.tenantry, 'uncut')
  const child = await opened(site, arranged)
  void site.proxy.count()
  const { outcome, code, message } = await child.call(arranged.call)
  if (outcome === undefined) throw new Error(`Uncut, ${describeCall(arranged.call)} failed with ${code}: ${message}`)
  const statements = [...site.proxy.statements]
  await site.nursery.end(child)
  return statements
}

async function opened({ nursery, world, proxy }: Site, { opening }: Arranged): Promise<Child> {
  const child = nursery.take()
  const failure = await child.open(world.opening({ ...opening, url: proxy.url }))
  if (failure !== undefined) throw new Error(`The process did not open: ${failure.code} ${failure.message}`)
  return child
}

/** Takes points from the queue, until it is empty or the time is up. */
async function crashAlong(site: Site, context: FaultContext, queue: Point[]): Promise<Tally> {
  const tallies: Tally[] = []
  for (let point = queue.shift(); point !== undefined && !context.isOver(); point = queue.shift()) {
    tallies.push(await crashAt(site, point, `p${point.ordinal}-${point.act}`))
  }
  return sum(tallies)
}

async function crashAt(site: Site, point: Point, id: string): Promise<Tally> {
  const { verb, world } = site
  const arranged = await verb.arrange(world, site.tenantry, id)
  for (const [tenant, standings] of Object.entries(arranged.between)) world.ledger.unsure(tenant, standings)
  const crash = await crashed(site, arranged, point)
  if (crash === undefined) return { faults: 0, violations: [] }
  const name = `${verb.name} #${point.ordinal} ${point.act}: ${crash.statement.replaceAll(/\s+/g, ' ').slice(0, 80)}`
  if (crash.answer.outcome !== undefined)
    for (const tenant of Object.keys(arranged.after)) await world.acknowledged(tenant)
  const found = await recovered(site, arranged).catch((error: unknown) => [storyOf(error)])
  await tidied(site)
  return { faults: 1, violations: found.map((violation) => `${name}: ${violation}`) }
}

/** Kills the process at the point, and waits until the server has noticed; undefined where it never came there. */
async function crashed(
  site: Site,
  arranged: Arranged,
  point: Point,
): Promise<{ statement: string; answer: Answer } | undefined> {
  const { proxy, nursery, world } = site
  const child = await opened(site, arranged)
  const caught = proxy.count(point)
  const answering = child.call(arranged.call)
  const first = await Promise.race([caught, answering, late()])
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

function late(): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`Nothing happened in ${patienceMs} ms.`)), patienceMs).unref()
  })
}

/** Goes on as the next process would. @returns what does not hold */
async function recovered({ world }: Site, arranged: Arranged): Promise<string[]> {
  return world.within(async (next) => {
    const wrong = await settled(world, next)
    const { outcome, code, message } = await answerTo(next, arranged.call)
    if (outcome === undefined) wrong.push(`repeated, it failed with ${code}: ${message}`)
    else if (!arranged.outcomes.includes(outcome)) wrong.push(`repeated, it said ${outcome}`)
    for (const [tenant, standing] of Object.entries(arranged.after)) {
      await world.acknowledged(tenant)
      const now = (await world.tenant(tenant))?.state ?? 'none'
      if (now !== standing) wrong.push(`repeated, it left ${tenant} ${now}, not ${standing}`)
    }
    return [...wrong, ...(await violationsIn(world, await left(next)))]
  }, arranged.opening)
}

/** Reconciles, and once more, which must not change anything. @returns what does not hold */
export async function settled(world: World, tenantry: Opened): Promise<string[]> {
  const { findings } = await tenantry.reconcile()
  const wrong = findings
    .filter(({ outcome }) => outcome === 'failed' || outcome === 'busy')
    .map((finding) => `reconcile ${finding.outcome}: ${finding.what} ${finding.error?.message ?? ''}`)
  const before = await world.snapshot()
  const again = await left(tenantry)
  for (const { outcome, what } of again)
    if (outcome !== 'left') wrong.push(`reconciled twice, it was ${outcome}: ${what}`)
  if ((await world.snapshot()) !== before) wrong.push('reconciling twice changed something')
  return [...wrong, ...(await violationsIn(world, again))]
}

async function left(tenantry: Opened): Promise<readonly Reconciled[]> {
  return (await tenantry.reconcile()).findings
}

/** Takes away what an attempt has made, so that the next begins with as much as the first. */
async function tidied({ world, tenantry }: Site): Promise<void> {
  for (const { id, state } of await world.tenants()) {
    if (state === 'active' || state === 'suspended') await answerTo(tenantry, { verb: 'offboard', id })
    await answerTo(tenantry, { verb: 'purge', id })
  }
  for (const { name, comment } of await world.databases()) if (comment === null) await world.dropDatabase(name)
  for (const id of world.ledger.all.keys()) world.ledger.forget(id)
}
