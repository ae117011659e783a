import { inShort, inTime, repeated, settled, tidied } from './attempts.ts'
import { answerTo } from './calls.ts'
import type { FaultProxy } from './fault-proxy.ts'
import type { PhysicalDatabase } from './records.ts'
import { type FaultContext, type Scenario, sum, type Tally } from './scenario.ts'
import { atSite, type Site } from './site.ts'
import { drawn, type VerbCase, verbCases } from './verb-cases.ts'
import { quoted, type World } from './world.ts'

// Between any two statements of a verb, another session makes a database of the very name that the tenant's has or had.
// It is never renamed, dropped or commented on.

const attempts = { bounded: 3, full: 8 }
const racedVerbs = /^(?:purge|offboard|restore|onboard|clone)/
/** The codes of a verb that met such a database. */
const honest = ['foreign-database']

export const racingNames: Scenario = {
  name: 'racing names',
  run: async (context) => {
    const tallies: Tally[] = []
    const cases = verbCases.filter(({ name, opening }) => racedVerbs.test(name) && opening?.naming !== 'opaque')
    for (const verb of drawn(cases, context)) {
      // Even on a slow machine one such database is made.
      if (!context.isOver() || sum(tallies).faults === 0) tallies.push(await raceSome(context, verb))
    }
    return sum(tallies)
  },
}

function raceSome({ url, random, extent, isOver }: FaultContext, verb: VerbCase): Promise<Tally> {
  return atSite(url, verb, async (site) => {
    const { world, other } = site
    const tallies: Tally[] = []
    for (let attempt = 1; attempt <= attempts[extent]; attempt++) {
      if (isOver() && sum(tallies).faults > 0) break
      const point = { ordinal: random.between(1, 24), act: random.pick(['before', 'after'] as const) }
      const id = `r${attempt}`
      const arranged = await verb.arrange(world, other, id)
      const wrong = await raceAt(site, point, arranged, id)
      if (wrong !== undefined) tallies.push({ faults: 1, violations: [...wrong, ...(await settled(world, other))] })
      await tidied(world, other)
    }
    return sum(tallies)
  })
}

type Arranged = Awaited<ReturnType<VerbCase['arrange']>>
type Point = Parameters<FaultProxy['count']>[0]

/** @returns the violations; undefined if the point was not reached */
async function raceAt({ world, proxy, verb }: Site, point: Point, arranged: Arranged, id: string) {
  return world.within(
    async (client) => {
      const caught = proxy.count(point)
      const answering = answerTo(client, arranged.call)
      const statement = await inTime(Promise.race([caught, answering]), verb.name)
      const stranger =
        typeof statement === 'string' ? await appeared(world, `${world.installation}_t_${id}`) : undefined
      proxy.thaw()
      const { outcome, code, message } = await inTime(answering, verb.name)
      if (typeof statement !== 'string' || stranger === undefined) return undefined
      const wrong: string[] = []
      const now = (await world.databases()).find(({ oid }) => oid === stranger.oid)
      if (JSON.stringify(now) !== JSON.stringify(stranger)) wrong.push(`the other is ${JSON.stringify(now)} now`)
      if (outcome === undefined && !honest.includes(code ?? '')) wrong.push(`it said ${code}: ${message}`)
      await world.dropDatabase(stranger.name)
      wrong.push(...(await repeated(world, client, arranged)))
      const name = `${verb.name} #${point?.ordinal} ${point?.act}: ${inShort(statement)}`
      return wrong.map((violation) => `${name}: ${violation}`)
    },
    { ...arranged.opening, url: proxy.url },
  )
}

/**
 * Makes a database as another session; undefined if the name is taken, or is being given or given up at this moment.
 */
async function appeared(world: World, name: string): Promise<PhysicalDatabase | undefined> {
  const somebody = world.client('postgres')
  await somebody.connect()
  try {
    await somebody.query(`set lock_timeout = 200`)
    await somebody.query(`create database ${quoted(name)}`)
    return await world.database(name)
  } catch {
    return undefined
  } finally {
    await somebody.end()
  }
}
