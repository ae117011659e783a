import { settled } from './attempts.ts'
import { type Answer, answerTo, type Opened } from './calls.ts'
import { stepsFrom } from './load.ts'
import type { Random } from './random.ts'
import type { PhysicalDatabase } from './records.ts'
import { type FaultContext, type Scenario, sum, type Tally } from './scenario.ts'
import { quoted, World } from './world.ts'

// People comment on our databases, put others in their places, begin to drop them, and open them. Their objects are not
// touched, and ours still work.

const rounds = { bounded: 4, full: 12 }

const comment = 'Ask Ann before touching this.'

/** The codes of a call on a database that is not, or no longer, ours. */
const honest = ['foreign-database', 'tenant-state', 'tenant-unknown', 'tenant-not-active', 'database-missing']

interface Site {
  readonly world: World
  readonly tenantry: Opened
  readonly random: Random
}

type Meddling = (site: Site) => Promise<string[]>

const meddlings: Readonly<Record<string, Meddling>> = {
  'a comment on a tenant': commentOnTenant,
  'a stranger in the place of a tenant': strangerInPlace,
  'a stranger before a new tenant': strangerBefore,
  'a stranger before a restored tenant': strangerBeforeRestore,
  'an interrupted drop of a tenant': invalidTenant,
  'a spoilt template or spare': spoiltInventory,
}

export const meddling: Scenario = {
  name: 'meddling',
  run: async ({ url, random, extent, isOver }) => {
    const tallies: Tally[] = []
    for (let round = 1; round <= rounds[extent] && !isOver(); round++) {
      const [name, meddle] = random.pick(Object.entries(meddlings))
      tallies.push(await meddled(name, meddle, { url, random }))
    }
    return sum(tallies)
  },
}

async function meddled(name: string, meddle: Meddling, { url, random }: Pick<FaultContext, 'url' | 'random'>) {
  const world = new World(url, ['main'], { naming: random.pick(['readable', 'opaque'] as const) })
  const tenantry = await world.open()
  try {
    for (const id of ['a', 'b']) await world.do(tenantry, { verb: 'onboard', id })
    const wrong = await meddle({ world, tenantry, random })
    wrong.push(...(await settled(world, tenantry, true)))
    return { faults: 1, violations: wrong.map((violation) => `${name}: ${violation}`) }
  } finally {
    await tenantry.close()
    await world.drop()
  }
}

async function commentOnTenant(site: Site): Promise<string[]> {
  const { world } = site
  const database = await databaseOf(world, 'a')
  await world.sql(`comment on database ${quoted(database.name)} is '${comment}'`)
  const wrong = [...(await verbsOn(site, 'a')), ...(await untouched(world, database, comment))]
  await world.sql(`comment on database ${quoted(database.name)} is '${database.comment}'`)
  await world.acknowledged('a')
  return wrong
}

/** Another session renames a tenant's database, and makes another of its name. */
async function strangerInPlace(site: Site): Promise<string[]> {
  const { world, tenantry } = site
  const database = await databaseOf(world, 'a')
  const aside = `${database.name}_aside`
  // A stamp would identify it anywhere; without one, it belongs to no tenant.
  await world.sql(`comment on database ${quoted(database.name)} is null`)
  await world.sql(`alter database ${quoted(database.name)} rename to ${quoted(aside)}`)
  const stranger = await strangerNamed(world, database.name)
  const wrong = [...(await verbsOn(site, 'a')), ...(await untouched(world, stranger, comment))]
  await tenantry.servers.reconcile()
  wrong.push(...(await untouched(world, stranger, comment)))
  await world.dropDatabase(stranger.name)
  await world.sql(`alter database ${quoted(aside)} rename to ${quoted(database.name)}`)
  await world.sql(`comment on database ${quoted(database.name)} is '${database.comment}'`)
  await world.acknowledged('a')
  return wrong
}

async function strangerBefore({ world, tenantry }: Site): Promise<string[]> {
  const stranger = await strangerNamed(world, `${world.installation}_t_new`)
  world.ledger.stands('new', 'none')
  const { code, outcome } = await answerTo(tenantry, { verb: 'onboard', id: 'new' })
  const isOpaque = world.opening().naming === 'opaque'
  const wrong = await untouched(world, stranger, comment)
  if (isOpaque ? outcome !== 'onboarded' : code !== 'foreign-database') wrong.push(`onboard said ${code ?? outcome}`)
  if (isOpaque) await world.acknowledged('new')
  wrong.push(...(await settled(world, tenantry, true)))
  await world.dropDatabase(stranger.name)
  await world.do(tenantry, { verb: 'onboard', id: 'new' })
  return wrong
}

async function strangerBeforeRestore({ world, tenantry }: Site): Promise<string[]> {
  const row = await world.tenant('a')
  await world.do(tenantry, { verb: 'offboard', id: 'a' })
  const stranger = await strangerNamed(world, row?.database ?? '')
  const { code, outcome } = await answerTo(tenantry, { verb: 'restore', id: 'a' })
  const wrong = await untouched(world, stranger, comment)
  if (code !== 'foreign-database') wrong.push(`restore said ${code ?? outcome}`)
  await world.dropDatabase(stranger.name)
  await world.do(tenantry, { verb: 'restore', id: 'a' })
  return wrong
}

/** A lost database is reported, and its tenant can still be offboarded. */
async function invalidTenant({ world, tenantry, random }: Site): Promise<string[]> {
  if (random.below(2) === 0) await world.do(tenantry, { verb: 'offboard', id: 'a' })
  const database = await databaseOf(world, 'a')
  await world.sql('update pg_database set datconnlimit = -2 where oid = $1', [database.oid])
  const { findings } = await tenantry.servers.reconcile()
  const isReported = findings.some(({ kind, tenant }) => kind === 'invalid' && tenant === 'a')
  const wrong = isReported ? [] : ['it was not reported']
  wrong.push(...(await settled(world, tenantry, true)))
  await world.do(tenantry, { verb: 'offboard', id: 'a' })
  await world.do(tenantry, { verb: 'purge', id: 'a' })
  await world.do(tenantry, { verb: 'onboard', id: 'a' })
  return wrong
}

const spoilings: Readonly<Record<string, (name: string) => string[]>> = {
  commented: (name) => [`comment on database ${quoted(name)} is '${comment}'`],
  opened: (name) => [`alter database ${quoted(name)} allow_connections true`],
  renamed: (name) => [`alter database ${quoted(name)} rename to ${quoted(`${name.slice(0, 40)}_x`)}`],
  dropped: (name) => [`alter database ${quoted(name)} is_template false`, `drop database ${quoted(name)}`],
  invalid: (name) => [
    `alter database ${quoted(name)} is_template false`,
    `update pg_database set datconnlimit = -2 where datname = '${name}'`,
  ],
}

/** Tenants can still be made. */
async function spoiltInventory({ world, tenantry, random }: Site): Promise<string[]> {
  await world.within((keeper) => world.do(keeper, { verb: 'fill' }), { spares: 2 })
  const inventory = (await world.databases()).filter(({ isOpen }) => !isOpen)
  const spoilt = random.pick(inventory)
  const [how, statements] = random.pick(Object.entries(spoilings))
  for (const statement of statements(spoilt.name)) await world.sql(statement)
  const wrong: string[] = []
  for (const id of ['n1', 'n2', 'n3']) {
    const { code, message } = await answerTo(tenantry, { verb: 'onboard', id })
    if (code !== undefined) wrong.push(`with a ${spoilt.isTemplate ? 'template' : 'spare'} ${how}: ${code}: ${message}`)
    await world.acknowledged(id)
  }
  await world.within((keeper) => world.do(keeper, { verb: 'fill' }), { spares: 2 })
  return wrong
}

/** Calls verbs on a tenant whose database is missing. @returns the wrong answers */
async function verbsOn({ world, tenantry, random }: Site, id: string): Promise<string[]> {
  const wrong: string[] = []
  const answers: Answer[] = []
  for (let calls = random.between(2, 5); calls > 0; calls--) {
    const verb = random.pick([...new Set(Object.values(stepsFrom).flat())])
    const answer = await answerTo(tenantry, { verb, id })
    answers.push(answer)
    const isHonest = answer.outcome !== undefined || honest.includes(answer.code ?? '')
    if (!isHonest) wrong.push(`${verb} said ${answer.code}: ${answer.message}`)
  }
  world.ledger.unsure(id, ['active', 'suspended', 'offboarded'])
  return wrong
}

async function strangerNamed(world: World, name: string): Promise<PhysicalDatabase> {
  await world.sql(`create database ${quoted(name)}`)
  await world.sql(`comment on database ${quoted(name)} is '${comment}'`)
  return found(await world.database(name), name)
}

async function untouched(world: World, { oid, name }: PhysicalDatabase, said: string): Promise<string[]> {
  const now = (await world.databases()).find((it) => it.oid === oid)
  return now?.name === name && now.comment === said ? [] : [`${name} was touched: ${JSON.stringify(now)}`]
}

async function databaseOf(world: World, id: string): Promise<PhysicalDatabase> {
  const row = await world.tenant(id)
  return found(
    (await world.databases()).find((it) => it.comment?.includes(row?.rowId ?? '')),
    id,
  )
}

function found(database: PhysicalDatabase | undefined, what: string): PhysicalDatabase {
  if (database === undefined) throw new Error(`There is no database of ${what}.`)
  return database
}
