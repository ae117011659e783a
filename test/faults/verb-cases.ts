import type { Call, Opened, Opening } from './calls.ts'
import type { Standing } from './ledger.ts'
import type { FaultContext } from './scenario.ts'
import { quoted, type World } from './world.ts'

/** A verb that is about to be called, and its possible results. */
export interface Arranged {
  readonly call: Call
  /** The options with which the calling process is opened. */
  readonly opening: Partial<Opening>
  /** The possible states of its tenants after an interruption and `reconcile`. */
  readonly between: Readonly<Record<string, readonly Standing[]>>
  /** The possible outcomes of a repetition of the call. */
  readonly outcomes: readonly string[]
  /** The states of its tenants after a repetition. */
  readonly after: Readonly<Record<string, Standing>>
}

/** One verb on one of its paths, with its preconditions. */
export interface VerbCase {
  readonly name: string
  readonly servers?: readonly string[]
  readonly opening?: Partial<Opening>
  /** @param id of a tenant that does not exist yet */
  readonly arrange: (world: World, tenantry: Opened, id: string) => Promise<Arranged>
}

type Change = 'suspend' | 'resume' | 'offboard' | 'restore' | 'purge'

/** The calls on a new tenant before a verb. */
const before: Readonly<Record<Change, readonly Change[]>> = {
  suspend: [],
  resume: ['suspend'],
  offboard: [],
  restore: ['offboard'],
  purge: ['offboard'],
}

const changes: Readonly<Record<Change, Pick<Arranged, 'outcomes'> & { between: Standing[]; after: Standing }>> = {
  suspend: { between: ['active', 'suspended'], after: 'suspended', outcomes: ['suspended', 'already-suspended'] },
  resume: { between: ['suspended', 'active'], after: 'active', outcomes: ['resumed', 'already-active'] },
  offboard: { between: ['active', 'offboarded'], after: 'offboarded', outcomes: ['offboarded', 'already-offboarded'] },
  restore: { between: ['offboarded', 'active'], after: 'active', outcomes: ['restored', 'already-restored'] },
  purge: { between: ['offboarded', 'none'], after: 'none', outcomes: ['purged', 'already-purged'] },
}

const twoServers = ['main', 'second']

function changing(verb: Change, place: 'main' | 'second'): VerbCase {
  return {
    name: place === 'main' ? verb : `${verb} elsewhere`,
    ...(place === 'second' && { servers: twoServers }),
    arrange: async (world, tenantry, id) => {
      await world.do(tenantry, { verb: 'onboard', id, ...(place === 'second' && { server: place }) })
      for (const step of before[verb]) await world.do(tenantry, { verb: step, id })
      const { between, after, outcomes } = changes[verb]
      return { call: { verb, id }, opening: {}, between: { [id]: between }, after: { [id]: after }, outcomes }
    },
  }
}

function onboarding(id: string, opening: Partial<Opening> = {}, server?: string): Arranged {
  return {
    call: { verb: 'onboard', id, ...(server && { server }) },
    opening,
    between: { [id]: ['none', 'active'] },
    after: { [id]: 'active' },
    outcomes: ['onboarded', 'already-exists'],
  }
}

/** Leaves the wanted number of spares, and no process that keeps them. */
async function fill(world: World, opening: Partial<Opening> = {}): Promise<void> {
  await world.within((keeper) => world.do(keeper, { verb: 'fill' }), { spares: 1, ...opening })
}

const opaque = { naming: 'opaque' } as const
const hooked = { hasHooks: true } as const

const makings: readonly VerbCase[] = [
  {
    name: 'claim',
    arrange: async (world, _, id) => {
      await fill(world)
      return onboarding(id)
    },
  },
  {
    name: 'claim of an opaque name',
    opening: opaque,
    arrange: async (world, _, id) => {
      await fill(world)
      return onboarding(id)
    },
  },
  {
    name: 'onboard from the template',
    arrange: async (_, __, id) => onboarding(id),
  },
  {
    name: 'onboard with a template to build and initialise',
    arrange: async (_, __, id) => onboarding(id, { ...hooked, revision: id }),
  },
  {
    name: 'onboard from a spare with initialise',
    opening: hooked,
    arrange: async (world, _, id) => {
      await fill(world)
      return onboarding(id)
    },
  },
  {
    name: 'onboard elsewhere from a spare',
    servers: twoServers,
    arrange: async (world, _, id) => {
      await fill(world)
      return onboarding(id, {}, 'second')
    },
  },
  {
    name: 'onboard elsewhere with a template to build',
    servers: twoServers,
    arrange: async (_, __, id) => onboarding(id, { revision: id }, 'second'),
  },
  cloning('main'),
  cloning('second'),
  adopting('main'),
  adopting('second'),
]

function cloning(place: 'main' | 'second'): VerbCase {
  return {
    name: place === 'main' ? 'clone' : 'clone elsewhere',
    opening: hooked,
    ...(place === 'second' && { servers: twoServers }),
    arrange: async (world, tenantry, id) => {
      const source = `${id}-source`
      await world.do(tenantry, { verb: 'onboard', id: source, ...(place === 'second' && { server: place }) })
      return {
        ...onboarding(id),
        call: { verb: 'clone', source, id },
        outcomes: ['cloned', 'already-exists'],
      }
    },
  }
}

/** Adopts a copy of a tenant's database: no simpler one has the models' tables. */
function adopting(place: 'main' | 'second'): VerbCase {
  return {
    name: place === 'main' ? 'adopt' : 'adopt elsewhere',
    opening: hooked,
    ...(place === 'second' && { servers: twoServers }),
    arrange: async (world, tenantry, id) => {
      const database = `${world.installation}_was_${id}`
      await world.do(tenantry, { verb: 'onboard', id: `${id}-pattern` })
      const pattern = await world.tenant(`${id}-pattern`)
      await world.sql(`create database ${quoted(database)} template ${quoted(pattern?.database ?? '')}`)
      return {
        ...onboarding(id),
        call: { verb: 'adopt', id, database, ...(place === 'second' && { server: place }) },
        outcomes: ['adopted', 'already-adopted'],
      }
    },
  }
}

const stocking: readonly VerbCase[] = [
  {
    name: 'fill a spare with a template to build',
    arrange: async (_, __, id) => stockCall('fill', 'filled', { spares: 1, revision: id, hasHooks: true }),
  },
  {
    name: 'fill a spare',
    arrange: async (world, tenantry) => {
      await world.do(tenantry, { verb: 'remove-templates' })
      await fill(world)
      await world.inCatalog(`update tenantry.spare set state = 'dropping'`)
      return stockCall('fill', 'filled', { spares: 1 })
    },
  },
  {
    name: 'fill a spare elsewhere',
    servers: twoServers,
    arrange: async (_, __, id) => stockCall('fill', 'filled', { spares: 1, revision: id }),
  },
  {
    name: 'remove templates',
    arrange: async (world) => {
      await fill(world)
      return stockCall('remove-templates', 'removed', {})
    },
  },
  {
    name: 'update',
    arrange: async (world, tenantry, id) => {
      await world.do(tenantry, { verb: 'onboard', id })
      return {
        ...onboarding(id),
        call: { verb: 'update', id },
        between: { [id]: ['active'] },
        outcomes: ['updated', 'unchanged'],
      }
    },
  },
]

const keptActive = (id: string) => ({ opening: {}, between: { [id]: ['active'] }, after: { [id]: 'active' } }) as const

function rotating(place: 'main' | 'second'): VerbCase {
  return {
    name: place === 'main' ? 'rotate credentials' : 'rotate credentials elsewhere',
    ...(place === 'second' && { servers: twoServers }),
    arrange: async (world, tenantry, id) => {
      await world.do(tenantry, { verb: 'onboard', id, ...(place === 'second' && { server: place }) })
      return { ...keptActive(id), call: { verb: 'rotate-credentials', id }, outcomes: ['rotated'] }
    },
  }
}

/** Brings two tenants to the next version of the models, with tables that count as small or as large. */
function rollingOut(place: 'main' | 'second', size: 'small' | 'large' = 'small'): VerbCase {
  const isOnline = size === 'large'
  return {
    name: `roll out${place === 'main' ? '' : ' elsewhere'}${isOnline ? ' online' : ''}`,
    ...(place === 'second' && { servers: twoServers }),
    arrange: async (world, tenantry, id) => {
      const ids = [id, `${id}-too`]
      for (const each of ids)
        await world.do(tenantry, { verb: 'onboard', id: each, ...(place === 'second' && { server: place }) })
      return {
        call: { verb: 'roll-out', isOnline },
        opening: { isNewer: true },
        between: Object.fromEntries(ids.map((each) => [each, ['active'] as const])),
        after: Object.fromEntries(ids.map((each) => [each, 'active'] as const)),
        outcomes: ['done'],
      }
    },
  }
}

type DomainVerb = 'add-domain' | 'verify-domain' | 'remove-domain'

/** The possible outcomes of each when it is repeated, and the calls before it. */
const domainChanges: Readonly<Record<DomainVerb, Pick<Arranged, 'outcomes'> & { before: readonly DomainVerb[] }>> = {
  'add-domain': { before: [], outcomes: ['added', 'already-added'] },
  'verify-domain': { before: ['add-domain'], outcomes: ['verified', 'already-verified'] },
  'remove-domain': { before: ['add-domain', 'verify-domain'], outcomes: ['removed', 'already-removed'] },
}

function changingDomain(verb: DomainVerb): VerbCase {
  return {
    name: verb.replace('-', ' '),
    arrange: async (world, tenantry, id) => {
      const domain = `${id}.example.com`
      await world.do(tenantry, { verb: 'onboard', id })
      for (const step of domainChanges[verb].before) await world.do(tenantry, { verb: step, id, domain })
      return { ...keptActive(id), call: { verb, id, domain }, outcomes: domainChanges[verb].outcomes }
    },
  }
}

function stockCall(verb: 'fill' | 'remove-templates' | 'reconcile', outcome: string, opening: Partial<Opening>) {
  return { call: { verb }, opening, between: {}, after: {}, outcomes: [outcome] } as const
}

/** Everything that `reconcile` finishes or undoes, one of each. */
const reconciling: VerbCase = {
  name: 'reconcile',
  arrange: async (world, tenantry, id) => {
    const [half, whole, leaving, purging] = ['half', 'whole', 'leaving', 'purging'].map((it) => `${id}-${it}`) as [
      string,
      string,
      string,
      string,
    ]
    for (const made of [half, whole, leaving, purging]) await world.do(tenantry, { verb: 'onboard', id: made })
    for (const gone of [leaving, purging]) await world.do(tenantry, { verb: 'offboard', id: gone })
    const back = `set state = 'onboarding', activated_at = null, fingerprint = null`
    await world.inCatalog(`update tenantry.tenant ${back} where id in ($1, $2)`, [half, whole])
    await world.inCatalog(`update tenantry.tenant set state = 'purging' where id = $1`, [purging])
    await rename(world, half, 'building')
    await rename(world, leaving, undefined)
    await rename(world, purging, 'drop')
    await leaveSpare(world)
    return {
      call: { verb: 'reconcile' },
      opening: {},
      between: { [half]: ['none'], [whole]: ['active'], [leaving]: ['offboarded'], [purging]: ['none'] },
      after: { [half]: 'none', [whole]: 'active', [leaving]: 'offboarded', [purging]: 'none' },
      outcomes: ['reconciled'],
    }
  },
}

/** Gives a tenant's database the name that it has for a purpose, or that of its service. */
async function rename(world: World, id: string, purpose: string | undefined): Promise<void> {
  const row = await world.tenant(id)
  const database = (await world.databases()).find(({ comment }) => comment?.includes(row?.rowId ?? ''))
  const name =
    purpose === undefined ? row?.database : `${world.installation}_${purpose}_${row?.rowId.replaceAll('-', '')}`
  await world.sql(`alter database ${quoted(database?.name ?? '')} rename to ${quoted(name ?? '')}`)
}

/** Leaves a spare whose filling was interrupted. */
async function leaveSpare(world: World): Promise<void> {
  const [row] = await world.inCatalog<{ database: string }>(
    `insert into tenantry.spare (row_id, server_id, fingerprint, database)
     select u, server_id, fingerprint, $1 || '_spare_' || replace(u::text, '-', '')
     from (select gen_random_uuid() as u, server_id, fingerprint from tenantry.template limit 1) as made
     returning database`,
    [world.installation],
  )
  await world.sql(`create database ${quoted(row?.database ?? '')}`)
}

const verbs = Object.keys(before) as Change[]
const domainVerbs = Object.keys(domainChanges) as DomainVerb[]

/** Every verb, on every one of its paths. */
export const verbCases: readonly VerbCase[] = [
  ...makings,
  ...verbs.map((verb) => changing(verb, 'main')),
  ...verbs.filter((verb) => verb !== 'resume').map((verb) => changing(verb, 'second')),
  rotating('main'),
  rotating('second'),
  rollingOut('main'),
  rollingOut('main', 'large'),
  rollingOut('second'),
  ...domainVerbs.map(changingDomain),
  ...stocking,
  reconciling,
]

/** The number of verbs in one round of the full run, so that the other scenarios get their turn. */
const drawnAtOnce = 6

/** Returns verbs in random order: in the bounded run all of them, if there is time. */
export function drawn(cases: readonly VerbCase[], { random, extent }: Pick<FaultContext, 'random' | 'extent'>) {
  return random.shuffled(cases).slice(0, extent === 'full' ? drawnAtOnce : undefined)
}
