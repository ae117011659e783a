import { describe, expect, inject, it } from 'vitest'
import { Random } from './random.ts'
import { tallyOf } from './scenario.ts'
import { boundedScenarios } from './scenarios.ts'

// A small part of `npm run test:faults`. TENANTRY_FAULTS_SEED repeats the choices of another run.
const seed = process.env['TENANTRY_FAULTS_SEED'] || String(Math.floor(Math.random() * 2 ** 31))
/**
 * The time for which one scenario may begin faults, in milliseconds, and the least number of its questions before that.
 */
const limitMs = 4_000
const asksAtLeast = 4
const mostRounds = 5

describe(`faults, seed ${seed}`, () => {
  it.each(boundedScenarios)('$name', { timeout: 300_000 }, async (scenario) => {
    let tried = 0
    // A round may choose only moments that no call reaches, or at which nothing is left to break.
    for (let round = 1; round <= mostRounds && tried === 0; round++) {
      const end = Date.now() + limitMs
      let asked = 0
      const { faults, violations, skipped } = await tallyOf(scenario, {
        url: inject('serverUrl'),
        random: new Random(`${seed}/${scenario.name}/${round}`),
        order: new Random(`${seed}/order`),
        extent: 'bounded',
        round,
        // Even on a slow machine some faults are tried.
        isOver: () => ++asked > asksAtLeast && Date.now() > end,
      })
      expect(violations, `TENANTRY_FAULTS_SEED=${seed} repeats this`).toEqual([])
      if (skipped !== undefined) return void process.stderr.write(`SKIPPED: ${scenario.name}: ${skipped}\n`)
      tried = faults
    }
    expect(tried).toBeGreaterThan(0)
  })
})
