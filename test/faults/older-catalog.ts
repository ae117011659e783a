import { Walker } from './load.ts'
import { marksIn } from './ledger.ts'
import type { Random } from './random.ts'
import { type FaultContext, type Scenario, sum, type Tally } from './scenario.ts'
import { quoted, World } from './world.ts'

// The catalog is set back to an older copy, while its server continues. In any case, no database of a tenant is
// destroyed, and changes that the catalog does not know are reported.

const rounds = { bounded: 2, full: 6 }

export const olderCatalog: Scenario = {
  name: 'older catalog',
  run: async (context) => {
    const tallies: Tally[] = []
    for (let round = 1; round <= rounds[context.extent] && !context.isOver(); round++)
      tallies.push(await setBack(context))
    return sum(tallies)
  },
}

async function setBack({ url, random }: FaultContext): Promise<Tally> {
  const naming = random.pick(['readable', 'opaque'] as const)
  const world = new World(url, ['main'], { naming, spares: random.below(3) })
  const copy = `x${world.installation}`
  try {
    const walkers = Array.from({ length: 3 }, (_, place) => new Walker(world, `w${place}`, random))
    await walk(world, walkers, random)
    await world.sql(`create database ${quoted(copy)} template ${quoted(world.catalog)}`)
    walkers.push(new Walker(world, 'late', random))
    await walk(world, walkers, random)
    await world.sql(`drop database ${quoted(world.catalog)} with (force)`)
    await world.sql(`alter database ${quoted(copy)} rename to ${quoted(world.catalog)}`)
    const wrong = await reconciledOlder(world)
    return { faults: 1, violations: wrong.map((violation) => `older catalog, ${naming} names: ${violation}`) }
  } finally {
    await world.sql(`drop database if exists ${quoted(copy)} with (force)`)
    await world.drop()
  }
}

/** Takes some steps, and ends with as many spares as are wanted. */
async function walk(world: World, walkers: readonly Walker[], random: Random): Promise<void> {
  await world.within(async (tenantry) => {
    for (let steps = random.between(2, 10); steps > 0; steps--) {
      const failure = await random.pick(walkers).step(tenantry)
      if (failure !== undefined) throw new Error(`${failure.code}: ${failure.message}`)
    }
    if (world.opening().spares) await world.do(tenantry, { verb: 'fill' })
  })
}

/** Reconciles, fills and onboards. @returns databases that were destroyed, or not reported */
async function reconciledOlder(world: World): Promise<string[]> {
  const rows = new Set([...(await world.tenants()), ...(await world.inventory())].map(({ rowId }) => rowId))
  const known = [...rows].join(' ')
  const strangers = (await world.databases()).filter(({ comment }) => !known.includes(rowIn(comment)))
  const wrong: string[] = []
  await world.within(async (tenantry) => {
    const { findings, isCatalogOlder } = await tenantry.servers.reconcile()
    if (strangers.length > 0 && !isCatalogOlder) wrong.push('it was not noticed that the catalog is older')
    for (const { name } of strangers) {
      if (!findings.some(({ database }) => database === name)) wrong.push(`${name} was not reported`)
    }
    const before = await world.snapshotOfTenants()
    await tenantry.servers.reconcile()
    if ((await world.snapshotOfTenants()) !== before) wrong.push('reconciling twice changed something')
    if (world.opening().spares) await world.do(tenantry, { verb: 'fill' })
    await world.do(tenantry, { verb: 'onboard', id: 'new' })
    await tenantry.servers.reconcile()
  })
  return [...wrong, ...world.ledger.takeViolations(), ...(await destroyed(world))]
}

function rowIn(comment: string | null): string {
  return /"row":"([^"]*)"/.exec(comment ?? '')?.[1] ?? 'none'
}

/** Returns the violations: every database of a tenant that was not purged exists, with its data, under some name. */
async function destroyed(world: World): Promise<string[]> {
  const databases = await world.databases()
  const wrong: string[] = []
  for (const [id, { oid, standings, marks }] of world.ledger.all) {
    if (oid === undefined || standings.includes('none')) continue
    const database = databases.find((it) => it.oid === oid)
    if (database === undefined) wrong.push(`the database of ${id}, which was ${standings.join()}, is gone`)
    else if ((await marksIn(world, database.name)).join() !== marks.join())
      wrong.push(`the data of ${id} is not as it was`)
  }
  return wrong
}
