import { describe, expect, it } from 'vitest'
import { features } from '../structure/features.ts'
import { firstVersion } from './support.ts'

/** The changes that no statement is known for: the plan says so, and takes it by hand. */
const notPlanned: ReadonlySet<string> = new Set([
  'alter table generated alter b drop expression',
  'alter table generated alter c set generated always',
  'alter table generated alter d drop default',
  'alter sequence generated_d_seq increment 2',
  "alter type mood rename value 'bad' to 'worse'",
  "alter domain code set default 'b'",
  'alter domain code drop constraint code_check',
  'alter table triggered disable trigger stamp',
  'alter table parted detach partition parted_1',
  'alter table heir no inherit forebear',
  'alter table collated alter b type text collate "C"',
  'alter collation german rename to austrian',
  'alter conversion from_latin rename to other',
  'alter text search configuration plain drop mapping for word',
  'alter text search dictionary stopped (stopwords)',
])

/** Features that only a superuser may make, or that are refused. */
const privileged: ReadonlySet<string> = new Set(['published', 'operators', 'event triggers', 'foreign servers'])

// Each change is a version: what leads to it is planned, or said to be missing, and is never wrong.
describe.each(features.filter(({ name }) => !privileged.has(name)))('$name', ({ statements, changes }) => {
  it('is changed by statements that are planned or given', { timeout: 120_000 }, async () => {
    const { next } = await firstVersion(['a'], ...statements)
    for (const { change } of changes.filter((each) => !each.change.includes('trigger all'))) {
      const second = await next(...statements, change)
      const plan = await second.rollouts.plan()
      const isWhole = plan.from.every(({ left }) => left.length === 0)
      expect({ change, isWhole }).toEqual({ change, isWhole: !notPlanned.has(change) })
      const [given] = isWhole ? plan.from : (await second.rollouts.plan({ steps: [change] })).from
      expect({ change, left: given?.left }).toEqual({ change, left: [] })
    }
  })
})
