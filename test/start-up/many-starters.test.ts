import { checkDatabase, ensureDatabase, ensureTables, type Models } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { entities } from '../../examples/shop/models.ts'
import { startProgram } from '../support/program.ts'
import { newDatabase } from './support.ts'
import type { Start } from './starter.ts'

const starters = 32
/** The number of starts of all, each on a missing database. */
const rounds = Number(process.env['TENANTRY_TEST_ROUNDS'] ?? '2')

describe(`${starters} starters at once on a database that is missing: one creates, all see the same`, () => {
  it(`as processes, ${rounds} times`, { timeout: 120_000 + rounds * 90_000 }, async () => {
    const processes = await Promise.all(Array.from({ length: starters }, startProcess))
    for (let round = 1; round <= rounds; round++) {
      const { url } = newDatabase()
      // They are loaded and wait for this line: they really run together.
      const starts = await Promise.all(processes.map((process) => process.ensure(url)))
      await expectOneCreator(starts, { url, models: mikroOrm({ entities }) })
    }
    expect(await Promise.all(processes.map((process) => process.end()))).toEqual(Array(starters).fill(0))
  })

  it(`within one process, ${2 * rounds} times`, { timeout: 120_000 + rounds * 90_000 }, async () => {
    for (let round = 1; round <= 2 * rounds; round++) {
      const { url } = newDatabase()
      const models = mikroOrm({ entities: [User, Address] })
      const starts = await Promise.all(Array.from({ length: starters }, () => start(url, models)))
      await expectOneCreator(starts, { url, models })
    }
  })

  it('on databases of their own: each creates one', async () => {
    const databases = Array.from({ length: 8 }, () => newDatabase())
    const outcomes = await Promise.all(databases.map(({ url }) => ensureDatabase(url)))
    expect(outcomes).toEqual(databases.map(({ name }) => ({ outcome: 'created', database: name, differing: [] })))
  })
})

async function start(url: string, models: Models<unknown>): Promise<Start> {
  const { outcome } = await ensureDatabase(url)
  const { created, existing, differing } = await ensureTables(url, models)
  const nameOf = ({ name }: { name: string }) => name
  return {
    database: outcome,
    created: created.map(nameOf),
    existing: existing.map(nameOf),
    differing: differing.length,
  }
}

interface Target {
  readonly url: string
  readonly models: Models<unknown>
}

/** Expects that one of them made the database, one of them all its tables, and that the others found all in place. */
async function expectOneCreator(starts: Start[], { url, models }: Target): Promise<void> {
  expect(starts.filter((one) => 'failed' in one)).toEqual([])
  expect(starts.filter((one) => one.database === 'created')).toHaveLength(1)
  expect(starts.filter((one) => one.database === 'already-exists')).toHaveLength(starts.length - 1)
  const [creator, ...moreCreators] = starts.filter(({ created }) => created.length > 0)
  expect(moreCreators).toEqual([])
  expect(creator).toMatchObject({ existing: [], differing: 0 })
  const made = creator!.created.filter((object) => object !== 'warehouse').toSorted()
  for (const other of starts) {
    if (other !== creator) expectAllThere(other, made)
  }
  expect(await checkDatabase(url, models)).toMatchObject({ outcome: 'matches' })
}

function expectAllThere({ created, existing, differing }: Start, made: readonly string[]): void {
  expect({ created, differing }).toEqual({ created: [], differing: 0 })
  expect(existing.toSorted()).toEqual(made)
}

interface Starter {
  /** Sends the URL, and returns the process's report. */
  readonly ensure: (url: string) => Promise<Start>
  /** Waits for the end of the process, and returns its exit code. */
  readonly end: () => Promise<number | null>
}

async function startProcess(): Promise<Starter> {
  const program = startProgram(new URL('starter.ts', import.meta.url))
  expect(await program.next()).toBe('ready')
  return { ensure: async (url) => JSON.parse(await program.ask(url)) as Start, end: program.end }
}
