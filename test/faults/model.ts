import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Scenario } from './scenario.ts'

/** The number of random sequences of each property in one run. */
const rounds = 3

/** Random sequences of verbs beside a model in memory: the suite of test/tenants/model, with another seed each time. */
export const model: Scenario = {
  name: 'model',
  run: async ({ url, random }) => {
    const seed = String(random.below(2 ** 31))
    const suite = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', 'test/tenants/model'], {
      env: { ...process.env, TENANTRY_TEST_URL: url, TENANTRY_TEST_ROUNDS: String(rounds), TENANTRY_TEST_SEED: seed },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [suite.stdout, suite.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
    }
    const [exitCode] = (await once(suite, 'close')) as [number | null]
    const violations = exitCode === 0 ? [] : [`the model with seed ${seed}: ${output}`]
    return { faults: 2 * rounds, violations }
  },
}
