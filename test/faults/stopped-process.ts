import { inShort, inTime, settled, tidied } from './attempts.ts'
import { answerTo, type Call, type Opened } from './calls.ts'
import { acts, type FaultProxy, type Point } from './fault-proxy.ts'
import { type Child, Nursery } from './nursery.ts'
import type { Random } from './random.ts'
import { type FaultContext, type Scenario, sum, type Tally } from './scenario.ts'
import { atSite, type Site } from './site.ts'
import { type Arranged, drawn, type VerbCase, verbCases } from './verb-cases.ts'
import { describeCall, type World } from './world.ts'

// A process is stopped in the middle of a verb, and an operator ends the sessions that hold its locks. Others work on
// the same tenant. When the process continues, it is refused, and changes no tenant; it may still make a template,
// which has a lock of its own.

/** The number of stops of a verb in one run. */
const attempts = { bounded: 2, full: 10 }
/** The number of verbs that others call while the process is stopped, at most. */
const mostSteps = 3
/** The longest wait of others for a lock, in milliseconds: elsewhere, a stopped process may hold one for good. */
const othersWaitMs = 5_000

interface ProcessSite extends Site {
  readonly nursery: Nursery
}

const nothing: Tally = { faults: 0, violations: [] }

export const stoppedProcess: Scenario = {
  name: 'stopped process',
  run: async (context) => {
    const nursery = new Nursery(1)
    const tallies: Tally[] = []
    try {
      for (const verb of drawn(verbCases.filter(isOfOneTenant), context)) {
        if (!context.isOver()) tallies.push(await stopAtSome(context, verb, nursery))
      }
    } finally {
      await nursery.close()
    }
    return sum(tallies)
  },
}

function isOfOneTenant({ name }: VerbCase): boolean {
  return !/^(?:fill|remove|reconcile|update|claim)/.test(name)
}

function stopAtSome(context: FaultContext, verb: VerbCase, nursery: Nursery): Promise<Tally> {
  const { url, random, extent, isOver } = context
  const stopSome = async (site: Site) => {
    const tallies: Tally[] = []
    let most = 8
    for (let attempt = 1; attempt <= attempts[extent] && !isOver(); attempt++) {
      const point = { ordinal: random.between(2, most), act: random.pick(acts) }
      tallies.push(await stopAt({ ...site, nursery }, point, `s${attempt}`, random))
      most = Math.max(most, site.proxy.statements.length + 2)
    }
    return sum(tallies)
  }
  return atSite(url, verb, stopSome, { lockTimeoutMs: othersWaitMs })
}

async function stopAt(site: ProcessSite, point: Point, id: string, random: Random): Promise<Tally> {
  const { world, proxy, verb, nursery, other } = site
  const arranged = await verb.arrange(world, other, id)
  const child = nursery.take()
  const failure = await child.open(world.opening({ ...arranged.opening, url: proxy.url }))
  if (failure !== undefined) throw new Error(`The process did not open: ${failure.message}`)
  const caught = proxy.count(point)
  const answering = child.call(arranged.call)
  try {
    const statement = await inTime(Promise.race([caught, answering]), describeCall(arranged.call))
    // A process that releases its locks has ended already.
    if (typeof statement !== 'string' || statement.includes('pg_advisory_unlock')) return nothing
    child.stop()
    const ended = await endLockHolders(world, proxy)
    // Without a lock it has not begun, or has ended: there is nothing to refuse.
    if (ended === 0) return nothing
    for (const [tenant, standings] of Object.entries(arranged.between)) world.ledger.unsure(tenant, standings)
    // Elsewhere it may have decided already, and only lack the answer: then it may report success, and still change
    // nothing.
    const hasDecided = ((await world.tenant(id))?.state ?? 'none') === arranged.after[id]
    const story = await overtaken(site, arranged, id, random)
    const wrong = await continued(site, child, answering, hasDecided)
    wrong.push(...(await settled(world, other)))
    const name = `${verb.name} #${point.ordinal} ${point.act}: ${inShort(statement)}; others: ${story.join(', ')}`
    return { faults: 1, violations: wrong.map((violation) => `${name}: ${violation}`) }
  } finally {
    await nursery.end(child)
    proxy.cut()
    await world.left(proxy.backends)
    await tidied(world, other)
  }
}

/** Ends those of its sessions that hold an advisory lock, and waits for their end. @returns their number */
async function endLockHolders(world: World, proxy: FaultProxy): Promise<number> {
  await world.idle(proxy.backends)
  const rows = await world.sql<{ pid: number }>(
    `select distinct pid from pg_locks where locktype = 'advisory' and granted and pid = any($1)`,
    [proxy.backends],
  )
  const pids = rows.map(({ pid }) => pid)
  await world.sql('select pg_terminate_backend(pid) from unnest($1::int[]) as pid', [pids])
  await world.left(pids)
  return pids.length
}

/** Others repeat the call, and continue from there. @returns their calls */
async function overtaken({ world, other }: Site, arranged: Arranged, id: string, random: Random): Promise<string[]> {
  const story = [await called(world, other, arranged.call)]
  for (let steps = random.between(0, mostSteps); steps > 0; steps--) {
    const state = (await world.tenant(id))?.state ?? 'none'
    const verb = random.pick(onwards[state])
    story.push(await called(world, other, verb === 'again' ? arranged.call : { verb, id }))
  }
  return story
}

/** The verbs that a state allows. */
const onwards = {
  none: ['again'],
  onboarding: ['purge', 'again'],
  active: ['suspend', 'offboard'],
  suspended: ['resume', 'offboard'],
  offboarded: ['restore', 'purge'],
  purging: ['purge'],
} as const

async function called(world: World, other: Opened, call: Call): Promise<string> {
  const { outcome, code } = await answerTo(other, call)
  if (outcome !== undefined && 'id' in call) await world.acknowledged(call.id)
  return `${call.verb} ${outcome ?? code}`
}

/** Continues the process. @returns the violations */
async function continued(
  { world, proxy }: Site,
  child: Child,
  answering: Promise<{ outcome?: string }>,
  hasDecided: boolean,
): Promise<string[]> {
  const before = await world.snapshotOfTenants()
  child.goOn()
  proxy.thaw()
  const { outcome } = await inTime(answering, 'the process that went on')
  const wrong: string[] = []
  if (outcome !== undefined && !hasDecided) wrong.push(`the process went on, and said ${outcome}`)
  if ((await world.snapshotOfTenants()) !== before) wrong.push('the process went on, and changed something')
  return wrong
}
