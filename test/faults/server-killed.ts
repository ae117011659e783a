import { settled } from './attempts.ts'
import { type Answer, answerTo, type Opened } from './calls.ts'
import { Walker } from './load.ts'
import type { Random } from './random.ts'
import { type FaultContext, type Scenario, sum, type Tally } from './scenario.ts'
import { type Death, deaths, inFolder, MortalServer } from './servers.ts'
import { World } from './world.ts'

// A server of its own is killed under load and started again. Acknowledged data is there.

/** The number of kills in one run. */
const kills = { bounded: 2, full: 8 }
const walkers = 4
/** The number of calls that may fail afterwards, each by one connection that the server took with it. */
const attemptsToReturn = 20

/** The codes of a call whose server has ended, or is recovering. */
const expectedOfTheDead = ['connection-lost', 'server-unreachable', 'query-failed']

interface Site {
  readonly server: MortalServer
  readonly world: World
  /** It survives all deaths of the server. */
  readonly survivor: Opened
  readonly walkers: readonly Walker[]
  readonly random: Random
}

export const serverKilled: Scenario = {
  name: 'server killed',
  run: (context) =>
    inFolder(async (folder) => {
      const server = await MortalServer.start(folder, {
        max_connections: 60,
        recovery_init_sync_method: 'syncfs',
        // Acknowledged data is on the disk even if the server would not wait for it.
        synchronous_commit: context.random.pick(['on', 'off']),
        wal_writer_delay: '10s',
      })
      try {
        return await killAgainAndAgain(server, context)
      } finally {
        await server.stop()
      }
    }),
}

async function killAgainAndAgain(server: MortalServer, { random, extent, isOver }: FaultContext): Promise<Tally> {
  const world = new World(server.url)
  const survivor = await world.open()
  const tallies: Tally[] = []
  try {
    const all = Array.from({ length: walkers }, (_, place) => new Walker(world, `w${place}`, random))
    for (let kill = 1; kill <= kills[extent] && !isOver(); kill++) {
      tallies.push(await killOnce({ server, world, survivor, walkers: all, random }))
    }
  } finally {
    await survivor.close()
    await world.disconnect()
  }
  return sum(tallies)
}

async function killOnce(site: Site): Promise<Tally> {
  const { server, world, survivor, random } = site
  const death = random.pick(deaths)
  const steps = random.between(4, 20)
  const keeper = await world.open({ spares: 2 })
  const { answers, backend } = await underLoad(site, death, steps)
  await world.disconnect()
  await server.revive()
  // A spare that it is filling would look unfinished.
  await keeper.close()
  const wrong = answers.filter(({ code }) => !expectedOfTheDead.includes(code ?? '')).map(strange)
  wrong.push(...(await returned(survivor)))
  await world.within(async (next) => {
    wrong.push(...(await settled(world, next)))
    for (const walker of site.walkers) await walker.catchUp()
  })
  const name = `${death}${death === 'backend' ? ` ${backend}` : ''} after ${steps} steps`
  return { faults: 1, violations: wrong.map((violation) => `${name}: ${violation}`) }
}

function strange({ code, message, sqlState }: Answer): string {
  return `a call said ${code} (${sqlState}): ${message}`
}

/** Lets all walkers walk, and kills the server at the given number of steps. @returns their errors */
async function underLoad(site: Site, death: Death, steps: number) {
  const { server, world, survivor, random } = site
  let taken = 0
  const reached = Promise.withResolvers<void>()
  const walking = site.walkers.map(async (walker) => {
    for (;;) {
      const failure = await walker.step(survivor)
      if (failure !== undefined) return failure
      if (++taken === steps) reached.resolve()
    }
  })
  await Promise.race([reached.promise, Promise.all(walking)])
  const backends = await world.sql<{ pid: number }>(
    `select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() order by pid`,
  )
  const backend = backends[random.below(backends.length)]?.pid
  // At any moment of the work under way.
  await new Promise((resolve) => setTimeout(resolve, random.pick([0, random.below(40)])))
  await server.die(death, backend)
  return { answers: await Promise.all(walking), backend }
}

/** A surviving process works again, once it has met those of its connections that were lost. */
async function returned(survivor: Opened): Promise<string[]> {
  let last: Answer = {}
  for (let attempt = 1; attempt <= attemptsToReturn; attempt++) {
    last = await answerTo(survivor, { verb: 'reconcile' })
    if (last.outcome !== undefined) return []
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return [`the process that lived through it does not come back: ${strange(last)}`]
}
