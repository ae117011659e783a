import { ensureDatabase, ensureTables } from 'tenantry'
import * as fc from 'fast-check'
import { beforeAll, describe, it } from 'vitest'
import { disposableName, serverUrl, sql } from '../../support/server.ts'
import { lives, type Model } from './commands.ts'
import { Installation } from './installation.ts'
import { Neighbour } from './neighbour.ts'
import { models } from './note.ts'
import { newWorld } from './world.ts'

// TENANTRY_TEST_ROUNDS is the number of sequences, TENANTRY_TEST_SEED their seed, which is in the report of a failure.
const rounds = Number(process.env['TENANTRY_TEST_ROUNDS'] ?? '4')
const seed = process.env['TENANTRY_TEST_SEED']
/** The time for all sequences of one property in milliseconds, including the search for the shortest that fails. */
const limitMs = 30_000 + rounds * 20_000

const timeout = 2 * limitMs

const oneServer = ['main']
const twoServers = ['main', 'second']

describe('the whole life of tenants, by two processes', () => {
  let template: string

  beforeAll(async () => {
    // An adopted database has the models' tables and rows already.
    template = disposableName('m')
    await ensureDatabase(serverUrl({ database: template }))
    await ensureTables(serverUrl({ database: template }), models)
    await sql(`insert into note (text) values ('from before')`, [], template)
  })

  async function expectAsTheModelSays(calls: { atOnce: number; most: number }, parameters: fc.Parameters<unknown>) {
    const there = new Neighbour()
    const follow = async (servers: readonly string[], commands: Iterable<fc.AsyncCommand<Model, Installation>>) => {
      const real = await Installation.open(serverUrl(), servers, there)
      const model: Model = { world: newWorld(servers) }
      try {
        await fc.asyncModelRun(() => ({ model, real }), commands)
        await real.expectRows(model.world)
      } finally {
        await real.close()
      }
    }
    try {
      const servers = fc.constantFrom(oneServer, oneServer, twoServers)
      const commands = lives(template, calls.atOnce, calls.most)
      await fc.assert(fc.asyncProperty(servers, commands, follow), {
        numRuns: rounds,
        // Long sequences from the first on, and an end to the search for a shorter one.
        plugins: [fc.unbiased(), fc.interruptAfterTimeLimit(limitMs)],
        ...(seed !== undefined && { seed: Number(seed) }),
        ...parameters,
      })
    } finally {
      await there.end()
    }
  }

  it('one call after the other: each has the outcome, and leaves the state, of the model', { timeout }, () =>
    expectAsTheModelSays({ atOnce: 1, most: 150 }, {}),
  )

  // Concurrent calls do not interleave again in the same way, so there is no search for a shorter sequence.
  it('several calls at once: some order of them explains their results and the final state', { timeout }, () =>
    expectAsTheModelSays({ atOnce: 4, most: 40 }, { endOnFailure: true }),
  )
})
