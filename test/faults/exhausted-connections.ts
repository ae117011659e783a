import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { repeated, settled, tidied, warmed } from './attempts.ts'
import { type Answer, answerTo, type Opened } from './calls.ts'
import { type FaultContext, type Scenario, sum, type Tally } from './scenario.ts'
import { type Arranged, drawn, type VerbCase, verbCases } from './verb-cases.ts'
import { World } from './world.ts'

// The server limits the connections of a role, and others have taken all but a few of them.

const limit = 24
const attempts = { bounded: 2, full: 6 }
/** The codes of a call that got no connection, or no more of them in the middle. */
const honest = ['too-many-connections', 'hook-failed']

export const exhaustedConnections: Scenario = {
  name: 'exhausted connections',
  run: async (context) => {
    const tallies: Tally[] = []
    // A keeper repeats its failures by itself.
    const cases = verbCases.filter(({ name }) => !name.startsWith('fill'))
    for (const verb of drawn(cases, context)) {
      if (!context.isOver()) tallies.push(await asLimitedRole(context, verb))
    }
    return sum(tallies)
  },
}

async function asLimitedRole(context: FaultContext, verb: VerbCase): Promise<Tally> {
  const role = `f${randomBytes(6).toString('hex')}`
  const superuser = new Client({ connectionString: context.url })
  superuser.on('error', () => undefined)
  await superuser.connect()
  await superuser.query(`create role ${role} login createdb createrole password '${role}' connection limit ${limit}`)
  const url = new URL(context.url)
  url.username = role
  url.password = role
  const world = new World(url.href, verb.servers, verb.opening)
  try {
    return await exhaustAgain(context, verb, world)
  } finally {
    // As the superuser: DROP DATABASE with FORCE by another role fails while autovacuum is in the database.
    await world.drop(context.url)
    await superuser.query(`drop role ${role}`)
    await superuser.end()
  }
}

async function exhaustAgain({ random, extent, isOver }: FaultContext, verb: VerbCase, world: World): Promise<Tally> {
  const owner = await world.open()
  const tallies: Tally[] = []
  try {
    await warmed(verb, world, owner)
    for (let attempt = 1; attempt <= attempts[extent] && !isOver(); attempt++) {
      const arranged = await verb.arrange(world, owner, `x${attempt}`)
      const free = random.below(4)
      const wrong = await exhaust(world, arranged, free)
      await tidied(world, owner)
      const name = `${verb.name} with ${free} connections to be had`
      tallies.push({ faults: 1, violations: wrong.map((violation) => `${name}: ${violation}`) })
    }
  } finally {
    await owner.close()
  }
  return sum(tallies)
}

/** Calls the verb with so many free connections, and again with enough. @returns the violations */
function exhaust(world: World, arranged: Arranged, free: number): Promise<string[]> {
  for (const [tenant, standings] of Object.entries(arranged.between)) world.ledger.unsure(tenant, standings)
  return world.within(async (client) => {
    const { outcome, code, message } = await withFew(world, client, arranged, free)
    const isHonest = outcome !== undefined || honest.includes(code ?? '')
    const wrong = isHonest ? [] : [`it said ${code}: ${message}`]
    return [...wrong, ...(await repeated(world, client, arranged)), ...(await settled(world, client))]
  }, arranged.opening)
}

async function withFew({ url }: World, client: Opened, { call }: Arranged, free: number): Promise<Answer> {
  const taken: Client[] = []
  try {
    for (let next = await connected(url); next !== undefined; next = await connected(url)) taken.push(next)
    await Promise.all(taken.splice(0, free).map((it) => it.end()))
    return await answerTo(client, call)
  } finally {
    await Promise.all(taken.map((it) => it.end()))
  }
}

/** Opens a connection, as long as there are any. */
async function connected(url: string): Promise<Client | undefined> {
  const client = new Client({ connectionString: url })
  client.on('error', () => undefined)
  return client.connect().then(
    () => client,
    () => undefined,
  )
}
