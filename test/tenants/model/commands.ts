import * as fc from 'fast-check'
import type { Call, Metadata } from './calls.ts'
import type { Installation, Side } from './installation.ts'
import { databaseOf, ownerOf, type World } from './world.ts'

/** The model while a sequence of commands runs: each puts the next world here. */
export interface Model {
  world: World
}

type Command = fc.AsyncCommand<Model, Installation>

/** The work of one process. */
export interface Task {
  readonly side: Side
  readonly call: Call
  /** True if it is generated although the tenant does not exist. */
  readonly insists: boolean
}

/** So few that calls meet; the name of the second one's database is not just its id. */
const ids = ['a', 'b-1', 'c']
/** The names of databases that may exist without a tenant: one of them takes the place of a tenant's. */
const strangers = ['_legacy', databaseOf('b-1')]

const id = fc.constantFrom('a', ...ids)
const side = fc.constantFrom<Side>('here', 'there')
const existing = fc.constantFrom('allow' as const, 'refuse' as const)
const displayName = fc.constantFrom('One', 'Zwei & "Söhne"')
const metadata = fc.constantFrom<Metadata>(
  { broken: true },
  { plan: 'pro', broken: true },
  { limits: { seats: 5, days: 1 } },
  { plan: 'free', limits: { seats: 2 } },
)
const patch = fc.constantFrom<Metadata>(
  { broken: null },
  { plan: null, note: 'x' },
  { broken: true },
  { limits: { seats: 7, days: null } },
  {},
)
const someTimes = <T>(value: fc.Arbitrary<T>) => fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, value)
const server = (...known: string[]) =>
  fc.oneof({ weight: 15, arbitrary: someTimes(fc.constantFrom(...known)) }, fc.constant('elsewhere'))

/** Returns a call without its undefined options, as a caller would make it. */
function callOf<T extends Record<string, unknown>>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Call> {
  return fc.record(shape).map((call) => {
    return Object.fromEntries(Object.entries(call).filter(([, value]) => value !== undefined)) as unknown as Call
  })
}

const verb = fc.constant
const described = { displayName: someTimes(displayName), metadata: someTimes(metadata) }

const making = fc.oneof(
  {
    weight: 3,
    arbitrary: callOf({
      verb: verb('onboard'),
      id,
      ...described,
      server: server('main', 'second'),
      existing: someTimes(existing),
    }),
  },
  {
    weight: 2,
    arbitrary: callOf({
      verb: verb('clone'),
      source: id,
      id,
      ...described,
      existing: someTimes(existing),
      breaks: someTimes(fc.constant(true)),
    }),
  },
  {
    weight: 2,
    arbitrary: callOf({
      verb: verb('adopt'),
      id,
      database: fc.constantFrom(...strangers),
      ...described,
      server: server('main'),
    }),
  },
)

const changing = fc.oneof(
  {
    weight: 2,
    arbitrary: callOf({
      verb: verb('update'),
      id,
      displayName: someTimes(fc.option(displayName)),
      metadata: someTimes(patch),
    }),
  },
  { weight: 5, arbitrary: callOf({ verb: fc.constantFrom('suspend', 'restore'), id }) },
  { weight: 3, arbitrary: callOf({ verb: fc.constantFrom('resume', 'purge'), id }) },
  { weight: 4, arbitrary: callOf({ verb: verb('offboard'), id, retentionDays: fc.constantFrom(0, 30) }) },
  { weight: 1, arbitrary: callOf({ verb: verb('purgeExpired') }) },
)

const working = fc.oneof(
  { weight: 3, arbitrary: callOf({ verb: fc.constantFrom('read', 'write', 'write', 'run'), id }) },
  { weight: 1, arbitrary: callOf({ verb: fc.constantFrom('get', 'history'), id }) },
  {
    weight: 1,
    arbitrary: callOf({
      verb: verb('list'),
      state: someTimes(fc.subarray(['onboarding', 'active', 'suspended', 'offboarded'], { minLength: 1 })),
      expired: someTimes(fc.constant(true)),
    }),
  },
)

const call = fc.oneof(
  { weight: 3, arbitrary: making },
  { weight: 6, arbitrary: changing },
  { weight: 2, arbitrary: working },
)
const task: fc.Arbitrary<Task> = fc.record({
  side,
  call,
  insists: fc.oneof({ weight: 8, arbitrary: fc.constant(false) }, fc.constant(true)),
})

/** One call by one process, with nothing beside it. */
class Alone implements Command {
  readonly #task: Task

  constructor(alone: Task) {
    this.#task = alone
  }

  check({ world }: Readonly<Model>): boolean {
    return hasPoint(world, this.#task)
  }

  async run(model: Model, real: Installation): Promise<void> {
    const { side: who, call: what } = this.#task
    model.world = await real.performAlone({ side: who, request: { call: what, label: real.nextLabel() } }, model.world)
  }

  toString(): string {
    return shown(this.#task)
  }
}

/** Several calls by both processes, all begun before any has ended. */
class AtOnce implements Command {
  readonly #tasks: readonly Task[]

  constructor(tasks: readonly Task[]) {
    this.#tasks = tasks
  }

  check({ world }: Readonly<Model>): boolean {
    return this.#tasks.some((it) => hasPoint(world, it))
  }

  async run(model: Model, real: Installation): Promise<void> {
    const errands = this.#tasks.map((it) => ({ side: it.side, request: { call: it.call, label: real.nextLabel() } }))
    model.world = await real.performAtOnce(errands, model.world)
  }

  toString(): string {
    return `at once [${this.#tasks.map(shown).join(' | ')}]`
  }
}

/** Makes a database past Tenantry: one to adopt, or one that is in the way. */
class Appear implements Command {
  readonly #name: string
  readonly #template: string

  constructor(name: string, template: string) {
    this.#name = name
    this.#template = template
  }

  check({ world }: Readonly<Model>): boolean {
    return ownerOf(world, this.#name) === undefined
  }

  async run(model: Model, real: Installation): Promise<void> {
    await real.server.appear(this.#name, this.#template)
    const { world } = model
    model.world = { ...world, strangers: { ...world.strangers, [this.#name]: ['from before'] } }
  }

  toString(): string {
    return `appear(${this.#name})`
  }
}

/** Drops such a database again, before it was adopted. */
class Vanish implements Command {
  readonly #name: string

  constructor(name: string) {
    this.#name = name
  }

  check({ world }: Readonly<Model>): boolean {
    return this.#name in world.strangers
  }

  async run(model: Model, real: Installation): Promise<void> {
    await real.server.vanish(this.#name)
    const { [this.#name]: gone, ...strangersLeft } = model.world.strangers
    model.world = { ...model.world, strangers: strangersLeft }
  }

  toString(): string {
    return `vanish(${this.#name})`
  }
}

/** Most calls on missing tenants are left out: they are always refused in the same way. */
function hasPoint({ tenants, strangers: kept }: World, { call: what, insists }: Task): boolean {
  if (insists || what.verb === 'onboard' || !('id' in what)) return true
  if (what.verb === 'clone') return what.source in tenants
  return what.verb === 'adopt' ? what.database in kept : what.id in tenants
}

function shown({ side: who, call: { verb: what, ...options } }: Task): string {
  return `${who} ${what}(${JSON.stringify(options)})`
}

/**
 * Generates sequences of commands: calls one at a time, and now and then several at once.
 *
 * @param template the database that new ones are copied from
 * @param atOnce the number of calls that run at once; 1 for none
 */
export function lives(template: string, atOnce: number, maxCommands: number) {
  const name = fc.constantFrom(...strangers)
  const alone = task.map((it) => new Alone(it))
  const others = fc.oneof(
    { weight: 3, arbitrary: name.map((it) => new Appear(it, template)) },
    { weight: 1, arbitrary: name.map((it) => new Vanish(it)) },
  )
  const together = fc
    .array(task, { minLength: 2, maxLength: Math.max(2, atOnce), size: 'max' })
    .map((it) => new AtOnce(it))
  const command = fc.oneof(
    { weight: 16, arbitrary: alone },
    { weight: 4, arbitrary: others },
    { weight: atOnce > 1 ? 24 : 0, arbitrary: together },
  )
  return fc.commands([command], { maxCommands, size: 'max' })
}
