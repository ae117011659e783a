import { inShort, inTime, repeated, settled, tidied } from './attempts.ts'
import { type Answer, answerTo } from './calls.ts'
import type { FaultProxy } from './fault-proxy.ts'
import type { Random } from './random.ts'
import { type FaultContext, type Scenario, sum, type Tally } from './scenario.ts'
import { atSite, type Site } from './site.ts'
import { type Arranged, drawn, type VerbCase, verbCases } from './verb-cases.ts'
import type { World } from './world.ts'

// The server ends a statement: by its time limit, by an operator while it runs, CREATE DATABASE among them, or because
// an idle transaction holds the lock that it waits for.

const attempts = { bounded: 2, full: 6 }
/** Shorter than any lock is held here, in milliseconds. */
const limitMs = 400

const manners = ['cancelled', 'time limit', 'row lock', 'table lock', 'advisory lock'] as const
type Manner = (typeof manners)[number]

/** The codes of a call that was ended, or did not get a lock. */
const honest: Readonly<Record<Manner, readonly string[]>> = {
  cancelled: ['timeout', 'hook-failed'],
  'time limit': ['timeout', 'hook-failed', 'lock-timeout'],
  'row lock': ['timeout', 'lock-timeout'],
  'table lock': ['timeout', 'lock-timeout'],
  'advisory lock': ['lock-timeout'],
}

export const endedStatements: Scenario = {
  name: 'ended statements',
  run: async (context) => {
    const tallies: Tally[] = []
    const cases = verbCases.filter(({ name }) => !/^(?:fill|reconcile)/.test(name))
    for (const verb of drawn(cases, context)) {
      if (!context.isOver()) tallies.push(await endSome(context, verb))
    }
    return sum(tallies)
  },
}

function endSome({ url, random, extent, isOver }: FaultContext, verb: VerbCase): Promise<Tally> {
  return atSite(url, verb, async (site) => {
    const tallies: Tally[] = []
    for (let attempt = 1; attempt <= attempts[extent] && !isOver(); attempt++) {
      const manner = random.pick(manners)
      tallies.push(await endOne(site, manner, `e${attempt}`, random))
    }
    return sum(tallies)
  })
}

async function endOne(site: Site, manner: Manner, id: string, random: Random): Promise<Tally> {
  const { world, verb, other } = site
  const arranged = await verb.arrange(world, other, id)
  for (const [tenant, standings] of Object.entries(arranged.between)) world.ledger.unsure(tenant, standings)
  const { answer, detail } = await answerUnder(site, manner, arranged, random)
  const wrong = [...strange(answer, manner)]
  await world.within(
    async (next) => wrong.push(...(await repeated(world, next, arranged)), ...(await settled(world, next))),
    arranged.opening,
  )
  await tidied(world, other)
  const name = `${verb.name}, ${manner}${detail}`
  return { faults: 1, violations: wrong.map((violation) => `${name}: ${violation}`) }
}

function strange({ outcome, code, message }: Answer, manner: Manner): string[] {
  if (outcome !== undefined || honest[manner].includes(code ?? '')) return []
  return [`it said ${code}: ${message}`]
}

async function answerUnder(site: Site, manner: Manner, arranged: Arranged, random: Random) {
  const { world } = site
  switch (manner) {
    case 'cancelled':
      return cancelled(site, arranged)
    case 'time limit': {
      const statementTimeoutMs = random.between(1, 30)
      const answer = await limited(world, arranged, statementTimeoutMs)
      return { answer, detail: ` of at least ${statementTimeoutMs} ms` }
    }
    case 'row lock':
      return held(world, arranged, `select from tenantry.tenant for update`)
    case 'table lock':
      return held(world, arranged, `lock table tenantry.${random.pick(['tenant', 'audit', 'template'])}`)
    case 'advisory lock': {
      const id = 'id' in arranged.call ? arranged.call.id : ''
      const name = `'tenantry:tenant:' || encode(sha256(convert_to(lock_secret || ':${id}', 'UTF8')), 'hex')`
      const lock = `select pg_advisory_lock(hashtextextended(${name}, 0)) from tenantry.installation`
      return held(world, arranged, lock)
    }
  }
}

/** Cancels a long statement while the server runs it. */
async function cancelled({ world, proxy }: Site, { call, opening }: Arranged) {
  const client = await world.open({ ...opening, url: proxy.url })
  try {
    void proxy.count()
    const answering = answerTo(client, call)
    const statement = await cancelOne(world, proxy, answering)
    return { answer: await inTime(answering, call.verb), detail: `: ${inShort(statement)}` }
  } finally {
    await client.close()
  }
}

/** Cancels one of the client's backends in CREATE DATABASE, until the call has answered. */
async function cancelOne(world: World, proxy: FaultProxy, answering: Promise<unknown>): Promise<string> {
  const over = new AbortController()
  const end = () => over.abort()
  void answering.then(end, end)
  while (!over.signal.aborted) {
    const [row] = await world.sql<{ query: string }>(
      `select query, pg_cancel_backend(pid) from pg_stat_activity
       where pid = any($1) and state = 'active' and query ~* '^(create|drop) database' limit 1`,
      [proxy.backends],
    )
    if (row !== undefined) return row.query
  }
  return 'nothing'
}

/** With a time limit that any statement may exceed. */
async function limited(world: World, { call, opening }: Arranged, leastMs: number): Promise<Answer> {
  // Opening must not fail: on a busy machine it takes a longer limit.
  for (let statementTimeoutMs = leastMs; ; statementTimeoutMs += 5) {
    const client = await world.open({ ...opening, statementTimeoutMs }).catch(() => undefined)
    if (client === undefined) continue
    try {
      return await answerTo(client, call)
    } finally {
      await client.close()
    }
  }
}

/** Another session holds a lock in the catalog for as long as the call takes. */
async function held(world: World, { call, opening }: Arranged, statement: string) {
  const idle = world.client(world.catalog)
  const client = await world.open({ ...opening, statementTimeoutMs: limitMs, lockTimeoutMs: limitMs })
  await idle.connect()
  try {
    await idle.query('begin')
    await idle.query(statement)
    return { answer: await inTime(answerTo(client, call), call.verb), detail: ` by ${statement}` }
  } finally {
    await idle.end()
    await client.close()
  }
}
