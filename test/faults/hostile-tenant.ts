import type { Client } from 'pg'
import { settled } from './attempts.ts'
import type { Call } from './calls.ts'
import type { Random } from './random.ts'
import { type FaultContext, type Scenario, sum, type Tally } from './scenario.ts'
import { quoted, World } from './world.ts'

// An attacker with a tenant's password holds every lock that the role may hold. Every verb on that tenant and on others
// succeeds all the same.

const rounds = { bounded: 3, full: 12 }

type Attack = (client: Client, world: World) => Promise<unknown>

const attacks: Readonly<Record<string, Attack>> = {
  'its own role in an open transaction': (client) => client.query(`begin; alter role current_user password 'x'`),
  'its own settings in an open transaction': (client) =>
    client.query(`begin; alter role current_user set work_mem = '1MB'`),
  'locks on all databases': lockDatabases,
  'locks on all roles': async (client, world) => {
    await client.query('begin; create temporary table mine ()')
    for (const { name } of await world.roles()) await client.query(`grant select on mine to ${quoted(name)}`)
  },
  'grants to all roles': async (client, world) => {
    await client.query('select lo_create(0)')
    await client.query('create temporary table mine ()')
    for (const { name } of await world.roles()) await client.query(`grant select on mine to ${quoted(name)}`)
  },
  'a COPY without data': (client) => startCopy(client),
  'a DROP DATABASE that waits': async (client, world) => {
    await lockDatabases(client, world)
    const { name } = (await world.databases()).at(-1) as { name: string }
    const waiting = await login(world)
    void waiting.query(`drop database ${quoted(name)}`).catch(() => undefined)
    void waiting.end().catch(() => undefined)
  },
}

export const hostileTenant: Scenario = {
  name: 'hostile tenant',
  run: async (context) => {
    const tallies: Tally[] = []
    for (let round = 1; round <= rounds[context.extent] && !context.isOver(); round++)
      tallies.push(await attacked(context))
    return sum(tallies)
  },
}

async function attacked({ url, random }: FaultContext): Promise<Tally> {
  const naming = random.pick(['readable', 'opaque'] as const)
  const world = new World(url, ['main'], { naming, spares: random.below(3) })
  const tenantry = await world.open()
  const [name, attack] = random.pick(Object.entries(attacks))
  try {
    for (const id of ['evil', 'other']) await world.do(tenantry, { verb: 'onboard', id })
    if (world.opening().spares) await world.do(tenantry, { verb: 'fill' })
    const client = await login(world)
    await attack(client, world)
    const wrong: string[] = []
    for (const call of callsOf(random)) {
      await world.do(tenantry, call).catch((error: unknown) => wrong.push(`${call.verb}: ${String(error)}`))
    }
    await client.end().catch(() => undefined)
    if (world.opening().spares) await world.do(tenantry, { verb: 'fill' })
    wrong.push(...(await settled(world, tenantry, true)))
    return { faults: 1, violations: wrong.map((violation) => `${name}: ${violation}`) }
  } finally {
    await tenantry.close()
    await world.drop()
  }
}

async function lockDatabases(client: Client, world: World): Promise<void> {
  await client.query('begin')
  for (const { name } of await world.databases()) {
    await client.query(`alter role current_user in database ${quoted(name)} set work_mem = '1MB'`)
  }
}

/** Returns some calls on other tenants, and then on the attacker, which end it. */
function callsOf(random: Random): readonly Call[] {
  const others: readonly (readonly Call[])[] = [
    [{ verb: 'onboard', id: 'new' }],
    [{ verb: 'work', id: 'other' }],
    [{ verb: 'clone', source: 'other', id: 'copy' }],
    [{ verb: 'rotate-credentials', id: 'other' }],
    [
      { verb: 'suspend', id: 'other' },
      { verb: 'resume', id: 'other' },
    ],
    [
      { verb: 'offboard', id: 'other' },
      { verb: 'purge', id: 'other' },
    ],
  ]
  const own: readonly (readonly Call[])[] = [
    [{ verb: 'suspend', id: 'evil' }],
    [{ verb: 'rotate-credentials', id: 'evil' }],
    [
      { verb: 'offboard', id: 'evil' },
      { verb: 'purge', id: 'evil' },
    ],
  ]
  return [...random.pick(others), ...random.pick(own)]
}

/** A connection of the attacker's own role to its own database. */
async function login(world: World): Promise<Client> {
  const { database, user, password } = await world.within((tenantry) => tenantry.tenants.credentials('evil'))
  const url = Object.assign(new URL(world.url), { username: user, password: password.reveal() }).href
  const client = world.client(database, url)
  await client.connect()
  return client
}

/** Begins a COPY that never sends anything. */
function startCopy(client: Client): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const copying = {
    submit: (connection: { query(text: string): void }) => connection.query('copy user_account (name) from stdin'),
    handleCopyInResponse: () => resolve(),
    handleError: () => resolve(),
    handleReadyForQuery: () => undefined,
  }
  client.query(copying)
  return promise
}
