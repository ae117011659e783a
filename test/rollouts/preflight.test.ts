import { describe, expect, it } from 'vitest'
import { firstVersion, hazards, inTenant, versionsOf } from './support.ts'

const before = [
  'create table person (id int primary key)',
  'create table item (id int not null, code text, size int, person_id int)',
]
const rows = 'insert into item values'

describe('preflight', () => {
  const item = (columns: string) => `create table item (${columns})`
  it.each([
    [
      'a unique key',
      item('id int not null, code text unique, size int, person_id int'),
      `(1, 'x'), (2, 'x'), (3, null), (4, null)`,
      2,
    ],
    [
      'a primary key',
      item('id int primary key, code text, size int, person_id int'),
      `(1, 'a'), (1, 'b'), (2, 'c')`,
      2,
    ],
    [
      'a check',
      item('id int not null, code text, size int check (size > 0), person_id int'),
      `(1, 'a', 0), (2, 'b', 1), (3, 'c', null)`,
      1,
    ],
    [
      'a required column',
      item('id int not null, code text not null, size int, person_id int'),
      `(1, null), (2, 'b')`,
      1,
    ],
    [
      'a new required column',
      item('id int not null, code text, size int, person_id int, due date not null'),
      '(1), (2)',
      2,
    ],
    [
      'a foreign key',
      item('id int not null, code text, size int, person_id int references person'),
      '(1, null, null, 7), (2, null, null, null), (3, null, null, 8)',
      2,
    ],
  ])('counts the rows in the way of %s, in the tenants that have them', async (_name, changed, wrong, count) => {
    const { next } = await firstVersion(['a', 'b', 'c'], ...before)
    const second = await next(before[0]!, changed)
    await inTenant(second, 'b', `${rows} ${wrong}`)
    const plan = await second.rollouts.plan()
    const progress: unknown[] = []
    const found = await second.rollouts.preflight(plan, { onProgress: (now) => progress.push(now) })
    const [hazard] = hazards(plan)
    expect(found).toEqual({
      outcome: 'failed',
      checked: 3,
      inTheWay: [{ tenant: 'b', server: 'main', hazard, rows: count }],
      failures: [],
      uncounted: [],
    })
    expect(progress.at(-1)).toEqual({ checked: 3, total: 3 })
    const { changed: done, failures } = await second.rollouts.start(plan, { allow: hazards(plan) })
    expect({ done, failed: failures.map(({ tenant }) => tenant) }).toEqual({ done: 2, failed: ['b'] })
  })

  it('passes where no row is in the way, and names what it cannot count', async () => {
    const { next } = await firstVersion(['a'], ...before)
    const second = await next(
      before[0]!,
      'create table item (id int not null, code text, size bigint not null, person_id int)',
    )
    const plan = await second.rollouts.plan()
    expect(await second.rollouts.preflight(plan)).toEqual({
      outcome: 'passed',
      checked: 1,
      inTheWay: [],
      failures: [],
      uncounted: ['change-type:item.size'],
    })
    expect(await versionsOf(second)).toEqual({ a: 1 })
  })

  it('sees rows that row security hides from their owner, or says that it cannot', async () => {
    const guarded = [
      'alter table item enable row level security',
      'alter table item force row level security',
      'create policy none on item using (false)',
    ]
    const { next } = await firstVersion(['a'], ...before, ...guarded)
    const second = await next(
      before[0]!,
      'create table item (id int not null, code text, size int not null, person_id int)',
      ...guarded,
    )
    await inTenant(second, 'a', `${rows} (1, null, null, null)`)
    const { outcome, failures } = await second.rollouts.preflight(await second.rollouts.plan())
    expect(outcome).toBe('failed')
    expect(failures).toMatchObject([{ tenant: 'a', error: { code: 'permission-denied' } }])
  })
})
