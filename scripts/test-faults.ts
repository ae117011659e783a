/**
 * Hurts Tenantry for as long as asked: `npm run test:faults -- [--minutes 10] [--seed 123] [--only name] [--round 1]`. The
 * seed replays every choice; a run that was ended goes on with its next round. The last line gives the figures.
 */
import { parseArgs } from 'node:util'
import { Client } from 'pg'
import { Random } from '../test/faults/random.ts'
import { type FaultContext, type Scenario, tallyOf } from '../test/faults/scenario.ts'
import { scenarios } from '../test/faults/scenarios.ts'
import { startServer } from '../test/faults/servers.ts'

/** How long the scenario that is under way when the time is up may take to end, in milliseconds. */
const graceMs = 300_000

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    only: { type: 'string' },
    round: { type: 'string', default: '1' },
  },
})
const { seed, only } = values
const end = Date.now() + Number(values.minutes) * 60_000
if (Number.isNaN(end)) fail(`--minutes ${values.minutes} is no number.`)
const first = Number(values.round)
if (!(first >= 1)) fail(`--round ${values.round} is no round.`)
const chosen = scenarios.filter(({ name }) => only === undefined || name.includes(only))
if (chosen.length === 0) fail(`No fault is called ${only}. There are: ${scenarios.map(({ name }) => name).join(', ')}.`)

console.log(`seed ${seed}`)
const server = await startServer()
const total = { faults: 0, violations: 0 }
let underWay = ''
// What hangs is a violation as well.
setTimeout(
  () => {
    console.log(`  VIOLATION: ${underWay} did not end.`)
    console.log(`${total.faults} faults, ${total.violations + 1} violations`)
    process.exit(1)
  },
  end - Date.now() + graceMs,
).unref()
try {
  for (let round = first; round === first || Date.now() < end; round++) {
    for (const scenario of chosen) {
      if (Date.now() >= end) break
      // After a violation, what follows means something only while the server is there.
      if ((await hurt(scenario, round)) > 0 && !(await answers(server.url))) throw new Error('The server is gone.')
    }
  }
} finally {
  await server.stop()
}
console.log(`${total.faults} faults, ${total.violations} violations`)
process.exit(total.violations === 0 ? 0 : 1)

/** @returns how many violations there were */
async function hurt(scenario: Scenario, round: number): Promise<number> {
  const { name } = scenario
  underWay = name
  const since = performance.now()
  const context: FaultContext = {
    url: server.url,
    random: new Random(`${seed}/${name}/${round}`),
    order: new Random(`${seed}/${name}`),
    extent: 'full',
    round,
    isOver: () => Date.now() >= end,
  }
  const { faults, violations, skipped } = await tallyOf(scenario, context)
  total.faults += faults
  total.violations += violations.length
  const seconds = ((performance.now() - since) / 1_000).toFixed(1)
  console.log(skipped === undefined ? `${name}: ${faults} faults in ${seconds} s` : `${name}: SKIPPED, ${skipped}`)
  for (const violation of violations) {
    console.log(
      `  VIOLATION in round ${round}: ${violation}\n  again: npm run test:faults -- --seed ${seed} --only '${name}' --round ${round}`,
    )
  }
  return violations.length
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url })
  client.on('error', () => undefined)
  return client.connect().then(
    () => client.end().then(() => true),
    () => false,
  )
}

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}
