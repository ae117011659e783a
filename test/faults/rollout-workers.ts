import { setTimeout } from 'node:timers/promises'
import { inTime, settled } from './attempts.ts'
import { type Child, Nursery } from './nursery.ts'
import type { Random } from './random.ts'
import type { Scenario, Tally } from './scenario.ts'
import { World } from './world.ts'

// Processes that share a rollout are killed, or stopped for longer than a lease, while they change tenants. Others take
// over: every tenant is at the new version, and was changed once.

const tenants = { bounded: 6, full: 16 }
/** The number of processes that share the rollout. */
const atOnce = 2
/** The number of faults in one rollout, at most. */
const mostFaults = { bounded: 2, full: 6 }

export const rolloutWorkers: Scenario = {
  name: 'rollout workers',
  run: async ({ url, random, extent, isOver }) => {
    const world = new World(url)
    const nursery = new Nursery(atOnce)
    const ids = Array.from({ length: tenants[extent] }, (_, i) => `w${i}`)
    try {
      await world.within(async (older) => {
        for (const id of ids) await world.do(older, { verb: 'onboard', id })
      })
      const team = new Team(world, nursery, random)
      await Promise.all(
        Array.from({ length: atOnce }, () => team.work(() => isOver() || team.faults >= mostFaults[extent])),
      )
      const wrong = await world.within((newer) => settled(world, newer), { isNewer: true })
      wrong.push(...(await notChangedOnce(world, ids)), ...(await team.continued()))
      return { faults: team.faults, violations: wrong } satisfies Tally
    } finally {
      await nursery.close()
      await world.drop()
    }
  },
}

/** The processes of one rollout. */
class Team {
  faults = 0
  readonly #world: World
  readonly #nursery: Nursery
  readonly #random: Random
  readonly #stopped: { readonly child: Child; readonly answering: Promise<{ outcome?: string; code?: string }> }[] = []

  constructor(world: World, nursery: Nursery, random: Random) {
    this.#world = world
    this.#nursery = nursery
    this.#random = random
  }

  /** Lets processes work one after the other, each until its fault; the last one until the rollout is over. */
  async work(isEnough: () => boolean): Promise<void> {
    for (;;) {
      const child = this.#nursery.take()
      const failure = await child.open(this.#world.opening({ isNewer: true }))
      if (failure !== undefined) throw new Error(`The process did not open: ${failure.message}`)
      const answering = child.call({ verb: 'roll-out' })
      if (isEnough()) {
        const { outcome, code, message } = await inTime(answering, 'the last process of a rollout')
        if (outcome !== 'done') throw new Error(`The rollout ended with ${outcome ?? code}: ${message}`)
        return this.#nursery.end(child)
      }
      const most = this.#random.between(0, 3)
      const before = await this.#changed()
      // Not while it plans: it would keep the locks of templates, which no lease limits.
      const isDue = async () => (await this.#changed()) >= before + most && (await this.#isChanging(child))
      const looking = new AbortController()
      const due = until(isDue, looking.signal)
      const over = await inTime(Promise.race([answering, due]), 'tenants of a rollout')
      looking.abort()
      await due
      if (over !== undefined) return this.#nursery.end(child)
      this.faults++
      if (this.#random.between(1, 3) > 1) await child.kill()
      else {
        child.stop()
        this.#stopped.push({ child, answering })
      }
    }
  }

  /** Continues the processes that were stopped. @returns the violations */
  async continued(): Promise<readonly string[]> {
    const before = await this.#world.snapshotOfTenants()
    for (const { child, answering } of this.#stopped) {
      child.goOn()
      await inTime(answering, 'a process that was stopped')
      await this.#nursery.end(child)
    }
    return (await this.#world.snapshotOfTenants()) === before
      ? []
      : ['a stopped process went on, and changed something']
  }

  async #changed(): Promise<number> {
    const [row] = await this.#world.inCatalog<{ changed: number }>(
      `select count(*)::int as changed from tenantry.rollout_target where state = 'changed'`,
    )
    return row?.changed ?? 0
  }

  async #isChanging({ pid }: Child): Promise<boolean> {
    const running = await this.#world.inCatalog(
      `select from tenantry.rollout_target where state = 'running' and worker like '%:' || $1`,
      [pid],
    )
    return running.length > 0
  }
}

/** Looks again and again until a condition holds, or the signal comes. */
async function until(condition: () => Promise<boolean>, signal: AbortSignal): Promise<undefined> {
  while (!signal.aborted && !(await condition())) await setTimeout(20)
}

async function notChangedOnce(world: World, ids: readonly string[]): Promise<readonly string[]> {
  const rows = await world.inCatalog<{ id: string; version: number; times: number }>(
    `select t.id, v.number as version,
            (select count(*)::int from tenantry.audit a where a.row_id = t.row_id and a.verb = 'roll-out') as times
     from tenantry.tenant t join tenantry.version v using (fingerprint)`,
  )
  return ids.flatMap((id) => {
    const { version, times } = rows.find((row) => row.id === id) ?? {}
    return version === 2 && times === 1 ? [] : [`${id} is at version ${version}, changed ${times} times`]
  })
}
