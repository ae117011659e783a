import { settled } from './attempts.ts'
import { type Call, answerTo } from './calls.ts'
import { Walker } from './load.ts'
import { type Scenario, sum, type Tally } from './scenario.ts'
import { World } from './world.ts'

// Two installations on one server, with tenants of the same ids: no call on one changes the other.

const rounds = { bounded: 1, full: 3 }

const broom: readonly Call[] = [
  { verb: 'reconcile' },
  { verb: 'fill' },
  { verb: 'remove-templates' },
  { verb: 'reconcile' },
]

export const neighbours: Scenario = {
  name: 'neighbours',
  run: async ({ url, random, extent, isOver }) => {
    const tallies: Tally[] = []
    const worlds = [new World(url, ['main'], { spares: 1 }), new World(url, ['main'], { spares: 1 })] as const
    try {
      const walkers = worlds.map((world) => ['a', 'b', 'c'].map((id) => new Walker(world, id, random)))
      for (let round = 1; round <= rounds[extent] && !isOver(); round++) {
        for (const [place, world] of worlds.entries()) {
          const other = worlds[1 - place] as World
          const before = await other.databases()
          const wrong: string[] = []
          await world.within(async (tenantry) => {
            for (let steps = random.between(3, 9); steps > 0; steps--) {
              const failure = await random.pick(walkers[place] ?? []).step(tenantry)
              if (failure !== undefined) wrong.push(`${failure.code}: ${failure.message}`)
            }
            for (const call of broom) {
              const { code, message } = await answerTo(tenantry, call)
              if (code !== undefined) wrong.push(`${call.verb} said ${code}: ${message}`)
            }
            wrong.push(...(await settled(world, tenantry)))
          })
          const after = await other.databases()
          if (JSON.stringify(after) !== JSON.stringify(before)) wrong.push('the other installation was changed')
          tallies.push({ faults: 1, violations: wrong.map((violation) => `neighbours: ${violation}`) })
        }
      }
    } finally {
      for (const world of worlds) await world.drop()
    }
    return sum(tallies)
  },
}
