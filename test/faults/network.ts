import { inShort, inTime, repeated, settled, tidied } from './attempts.ts'
import { type Answer, answerTo, type Opened } from './calls.ts'
import { acts, type Point } from './fault-proxy.ts'
import { type FaultContext, type Scenario, sum, type Tally } from './scenario.ts'
import { atSite, type Site } from './site.ts'
import { type Arranged, drawn, verbCases } from './verb-cases.ts'

// The network between client and server fails at any statement: the same process repeats the call, and finds out.

/** The manners in which a connection fails. A silent one stays connected, without any traffic. */
const manners = ['cut all', 'cut one', 'reset all', 'reset one', 'silent'] as const
type Manner = (typeof manners)[number]

/** The number of failures of a verb in one run. */
const attempts = { bounded: 3, full: 12 }
/** Short, so that silence does not last long; in milliseconds. */
const statementTimeoutMs = 1_000

/** The codes of a call whose connection failed: each leaves open if it took effect, or denies it. */
const honest = ['connection-lost', 'server-unreachable', 'hook-failed', 'timeout']

export const failingNetwork: Scenario = { name: 'network', run: (context) => throughEveryVerb(context, failures) }

export const slowNetwork: Scenario = { name: 'slow network', run: (context) => throughEveryVerb(context, slowness) }

async function throughEveryVerb(
  context: FaultContext,
  work: (site: Site, context: FaultContext) => Promise<Tally>,
): Promise<Tally> {
  const tallies: Tally[] = []
  // A keeper repeats its failures by itself.
  const cases = verbCases.filter(({ name }) => !name.startsWith('fill'))
  for (const verb of drawn(cases, context)) {
    if (context.isOver()) break
    tallies.push(await atSite(context.url, verb, (site) => work(site, context)))
  }
  return sum(tallies)
}

async function failures(site: Site, { random, extent, isOver }: FaultContext): Promise<Tally> {
  const tallies: Tally[] = []
  const count = await statementCount(site)
  for (let attempt = 1; attempt <= attempts[extent] && !isOver(); attempt++) {
    const point = { ordinal: random.between(1, count), act: random.pick(acts) }
    // Silence takes as long as the time limits of the connection.
    const manner = attempt === 1 ? random.pick(manners) : random.pick(manners.slice(0, -1))
    tallies.push(await failAt(site, point, manner, `n${attempt}`))
  }
  return sum(tallies)
}

async function statementCount({ world, proxy, verb, other }: Site): Promise<number> {
  const { call, opening } = await verb.arrange(world, other, 'uncut')
  const count = await world.within(
    async (client) => {
      void proxy.count()
      await world.do(client, call)
      return proxy.statements.length
    },
    { ...opening, url: proxy.url },
  )
  await tidied(world, other)
  return count
}

async function failAt(site: Site, point: Point, manner: Manner, id: string): Promise<Tally> {
  const { world, proxy, verb, other } = site
  const arranged = await verb.arrange(world, other, id)
  for (const [tenant, standings] of Object.entries(arranged.between)) world.ledger.unsure(tenant, standings)
  const client = await world.open({ ...arranged.opening, url: proxy.url, statementTimeoutMs })
  try {
    const failure = await failed(site, client, arranged, point, manner)
    if (failure === undefined) return { faults: 0, violations: [] }
    const name = `${verb.name} #${point.ordinal} ${point.act}, ${manner}: ${inShort(failure.statement)}`
    const wrong = dishonesty(failure.answer)
    await world.left(failure.cut)
    wrong.push(...(await repeated(world, client, arranged)), ...(await settled(world, client)))
    return { faults: 1, violations: wrong.map((violation) => `${name}: ${violation}`) }
  } finally {
    proxy.thaw()
    await client.close()
    await tidied(world, other)
  }
}

/** Returns the answer of a call whose network failed at the point; undefined if it never reached it. */
async function failed(
  { proxy }: Site,
  client: Opened,
  { call }: Arranged,
  point: Point,
  manner: Manner,
): Promise<{ statement: string; answer: Answer; cut: readonly number[] } | undefined> {
  const caught = proxy.count(point)
  const answering = answerTo(client, call)
  const statement = await inTime(Promise.race([caught, answering]), call.verb)
  if (typeof statement !== 'string') return undefined
  const isSilent = manner === 'silent'
  const [how, which] = manner.split(' ')
  const cut = () => proxy.cut(how === 'reset' ? 'reset' : 'end', which === 'one' ? 'caught' : 'all')
  const before = isSilent ? [] : cut()
  const answer = await inTime(answering, `${call.verb}, ${manner} at ${inShort(statement)}`)
  return { statement, answer, cut: isSilent ? cut() : before }
}

function dishonesty({ outcome, code, message, retryable }: Answer): string[] {
  if (outcome !== undefined) return []
  const isHonest = honest.includes(code ?? '') && (retryable === true || code === 'hook-failed')
  return isHonest ? [] : [`it said ${code}${retryable ? '' : ', not retryable'}: ${message}`]
}

/** Nothing fails, but every byte comes late, or in small pieces. */
async function slowness({ world, proxy, verb, other }: Site, { random, extent, isOver }: FaultContext): Promise<Tally> {
  const tallies: Tally[] = []
  const most = extent === 'full' ? 4 : 1
  for (let attempt = 1; attempt <= most && !isOver(); attempt++) {
    const arranged = await verb.arrange(world, other, `s${attempt}`)
    const pace = random.pick([{ latencyMs: random.between(1, 20) }, { latencyMs: 0, pieces: random.between(10, 200) }])
    proxy.pace = pace
    const wrong = await world.within((client) => repeated(world, client, arranged), {
      ...arranged.opening,
      url: proxy.url,
    })
    proxy.pace = undefined
    wrong.push(...(await settled(world, other)))
    await tidied(world, other)
    const name = `${verb.name} at ${JSON.stringify(pace)}`
    tallies.push({ faults: 1, violations: wrong.map((violation) => `${name}: ${violation}`) })
  }
  return sum(tallies)
}
