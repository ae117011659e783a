import { expect, it } from 'vitest'
import { firstVersion, notes, versionsOf, withTag } from './support.ts'

it('keeps no request of the older version from its answer, prepared statements included', async () => {
  const ids = ['a', 'b', 'c']
  const { first, next } = await firstVersion(ids, notes)
  const second = await next(withTag, 'create index note_text on note (text)')
  const plan = await second.rollouts.plan()
  const over = new AbortController()
  const errors: unknown[] = []
  let answers = 0
  const read = { name: 'notes', text: 'select * from note order by id desc limit 1' }
  const request = async (id: string, number: number) => {
    const write = { text: `insert into note values ($1, 'x')`, values: [number] }
    try {
      await first.with(id, (pool) => pool.query(number % 2 === 0 ? read : write))
      answers++
    } catch (error) {
      errors.push(error)
    }
  }
  const visitors = ids.flatMap((id) =>
    [0, 1].map(async (visitor) => {
      for (let i = 0; !over.signal.aborted; i++) await request(id, 1_000_000 * visitor + i)
    }),
  )
  for (const largeTableBytes of [2 ** 40, 1]) {
    const only = largeTableBytes === 1 ? ['b', 'c'] : ['a']
    expect(await second.rollouts.start(plan, { only, largeTableBytes })).toMatchObject({ changed: only.length })
  }
  over.abort()
  await Promise.all(visitors)
  expect(errors).toEqual([])
  expect(answers).toBeGreaterThan(0)
  expect(await versionsOf(second)).toEqual({ a: 2, b: 2, c: 2 })
  const { rows } = await first.with('a', (pool) => pool.query(read))
  expect(Object.keys(rows[0] as object)).toEqual(['id', 'text', 'tag'])
})
