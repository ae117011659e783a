import assert from 'node:assert/strict'
import type { SchemaSource } from '../models/port.ts'
import { checkDatabase, ensureTables } from '../provisioning/start-up/start-up.ts'
import { type Check, withDatabase } from './check.ts'

/** A schema source, and a server on which databases may be created for its checks. */
export interface SchemaSourceUnderTest {
  /** A connection URL to the server, as a role with CREATEDB. */
  readonly url: string
  /** Makes the source as a process that starts does: nothing is kept from one call to the next. */
  readonly make: () => SchemaSource
  /** Makes a source of other tables. */
  readonly makeOther: () => SchemaSource
  /** Makes an older version: for migrations alone, the first ones of `make`. */
  readonly makeOlder?: () => SchemaSource
}

/** Returns the checks that every schema source passes. */
export function schemaSourceChecks(under: SchemaSourceUnderTest): readonly Check[] {
  const { makeOlder, ...declared } = under
  return [...createdChecks(declared), ...(makeOlder === undefined ? [] : migratedChecks({ ...declared, makeOlder }))]
}

async function expectMatch(database: string, source: SchemaSource): Promise<void> {
  const { outcome } = await checkDatabase(database, source, { exact: true })
  assert.equal(outcome, 'matches')
}

function createdChecks({ url, make, makeOther }: SchemaSourceUnderTest): readonly Check[] {
  return [
    {
      name: 'has one fingerprint in every process, and another than other tables',
      run: async () => {
        const [one, two, other] = await Promise.all([make(), make(), makeOther()].map((it) => it.fingerprint()))
        assert.equal(one, two)
        assert.notEqual(one, other)
      },
    },
    {
      name: 'creates everything in an empty database, and finds nothing to do afterwards',
      run: () =>
        withDatabase(url, async (database) => {
          const { created, differing } = await ensureTables(database, make())
          assert.ok(created.length > 0)
          assert.deepEqual(differing, [])
          await expectMatch(database, make())
          const again = await ensureTables(database, make())
          assert.deepEqual([again.created, again.differing], [[], []])
        }),
    },
    {
      name: 'creates everything once, whatever number of processes start at once',
      run: () =>
        withDatabase(url, async (database) => {
          const starts = await Promise.all(Array.from({ length: 4 }, () => ensureTables(database, make())))
          assert.equal(starts.filter(({ created }) => created.length > 0).length, 1)
          await expectMatch(database, make())
        }),
    },
  ]
}

function migratedChecks({ url, make, makeOther, makeOlder }: Required<SchemaSourceUnderTest>): readonly Check[] {
  return [
    {
      name: 'leads an older version to the current one',
      run: () =>
        withDatabase(url, async (database) => {
          await ensureTables(database, makeOlder())
          const { outcome } = await checkDatabase(database, make())
          assert.equal(outcome, 'differs')
          await ensureTables(database, make())
          await expectMatch(database, make())
        }),
    },
    {
      name: 'refuses a database of other migrations, and leaves it as it is',
      run: () =>
        withDatabase(url, async (database) => {
          await ensureTables(database, makeOther())
          await assert.rejects(ensureTables(database, make()), { code: 'schema-conflict' })
          await expectMatch(database, makeOther())
        }),
    },
  ]
}
