import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Scheduler } from '../../dist/routing/scheduler.js'
import { type Event, SchedulerModel, waitMs } from './scheduler-model.ts'

/** A request of a tenant: `a1` is one of `a`, and the connection that is opened for it is `A1`. */
interface Request {
  readonly name: string
  readonly row: { readonly rowId: string; readonly database: string }
  readonly wantedAt: number
}

/** A scheduler whose events and decisions are words. */
function script(capacity: number, tenantShare: number) {
  let now = 0
  let decisions: string[] = []
  const requests = new Map<string, Request>()
  const decide = (...words: (string | undefined)[]) => decisions.push(words.filter(Boolean).join(' '))
  const scheduler = new Scheduler<string, Request>(
    { waitMs: 1_000, tenantShare },
    {
      grant: ({ name }, connection) => decide('grant', name, connection),
      refuse: ({ name }, reason) => decide('refuse', name, reason),
      open: ({ name }, replaced) => decide('open', name, replaced && `for ${replaced}`),
      check: ({ name }, connection) => decide('check', connection, `for ${name}`),
      close: (connection) => decide('close', connection),
      wake: () => undefined,
    },
  )
  const known = (name: string) => requests.get(name) as Request
  const events: Readonly<Record<string, (name: string) => unknown>> = {
    want: (name) => {
      requests.set(name, { name, row: { rowId: name.charAt(0), database: name.charAt(0) }, wantedAt: now })
      scheduler.request(known(name), now)
    },
    starts: (name) => scheduler.starts(known(name), now),
    opened: (name) =>
      scheduler.starts(known(name), now) && scheduler.opened(known(name), name.toUpperCase(), true, now),
    lost: (name) => scheduler.opened(known(name), name.toUpperCase(), false, now),
    failed: (name) => scheduler.openFailed(known(name), now),
    slow: (name) => scheduler.slow(known(name), now),
    release: (name) => scheduler.released(name, true, now),
    destroy: (name) => scheduler.released(name, false, now),
    ended: (name) => scheduler.ended(name, now),
    alive: (name) => scheduler.checked(name, true, now),
    dead: (name) => scheduler.checked(name, false, now),
    capacity: (count) => scheduler.setCapacity(Number(count), now),
    leave: (database) => scheduler.leave(database),
    close: () => scheduler.close(),
    pass: (ms) => scheduler.expire((now += Number(ms))),
  }
  scheduler.setCapacity(capacity, now)
  return (step: string) => {
    decisions = []
    const [event = '', name = ''] = step.split(' ')
    events[event]?.(name)
    return decisions.join(', ')
  }
}

interface Scenario {
  readonly title: string
  readonly capacity: number
  readonly share?: number
  /** Each event, and the decisions that it leads to. */
  readonly steps: readonly (readonly [event: string, decisions: string])[]
}

/** Opens and leases connections, as long as there is room. */
const leased = (...names: string[]) =>
  names.flatMap((name) => [
    [`want ${name}`, `open ${name}`] as const,
    [`opened ${name}`, `grant ${name} ${name.toUpperCase()}`] as const,
  ])
const idle = (...names: string[]) => [
  ...leased(...names),
  ...names.map((name) => [`release ${name.toUpperCase()}`, ''] as const),
]

const scenarios: readonly Scenario[] = [
  {
    title: 'an idle connection is granted to its tenant again, the last used first',
    capacity: 3,
    steps: [...idle('a1', 'a2'), ['want a3', 'grant a3 A2'], ['want a4', 'grant a4 A1'], ['want a5', 'open a5']],
  },
  {
    title: 'the least recently used is evicted, once there is no room',
    capacity: 2,
    steps: [
      ...idle('a1', 'b1'),
      ['want a2', 'grant a2 A1'],
      ['release A1', ''],
      ['want c1', 'open c1 for B1'],
      ['ended B1', ''],
      ['opened c1', 'grant c1 C1'],
    ],
  },
  {
    title: 'the tenant with the fewest is next, and among equals the longest waiter',
    capacity: 2,
    steps: [
      ...leased('a1', 'a2'),
      ['want a3', ''],
      ['want b1', ''],
      ['want c1', ''],
      ['release A1', 'open b1 for A1'],
      ['opened b1', 'grant b1 B1'],
      ['release B1', 'open c1 for B1'],
      ['opened c1', 'grant c1 C1'],
      ['release A2', 'grant a3 A2'],
    ],
  },
  {
    title: 'a tenant that has its share waits, although there is room',
    capacity: 4,
    share: 0.5,
    steps: [
      ...leased('a1', 'a2'),
      ['want a3', ''],
      ['want b1', 'open b1'],
      ['destroy A1', 'close A1, open a3'],
      ['ended A1', ''],
    ],
  },
  {
    title: 'a waiter for its share takes an idle connection of its tenant when the limit grows',
    capacity: 4,
    share: 0.5,
    steps: [
      ...leased('a1', 'a2'),
      ['release A1', ''],
      ['capacity 2', ''],
      ['want a3', ''],
      ['capacity 4', 'grant a3 A1'],
    ],
  },
  {
    title: 'a closing connection has its place until it has ended, and no idle one is evicted meanwhile',
    capacity: 2,
    steps: [...leased('a1'), ...idle('b1'), ['destroy A1', 'close A1'], ['want c1', ''], ['ended A1', 'open c1']],
  },
  {
    title: 'a released connection is passed on while another is closing',
    capacity: 2,
    steps: [...leased('a1', 'b1'), ['destroy A1', 'close A1'], ['want c1', ''], ['release B1', 'open c1 for B1']],
  },
  {
    title: 'four are opened at once; a slow opening counts no more, and one of the same tenant is not waited for',
    capacity: 8,
    steps: [
      ...leased('f1'),
      ['want a1', 'open a1'],
      ['want b1', 'open b1'],
      ['want c1', 'open c1'],
      ['want d1', 'open d1'],
      ['want e1', ''],
      ['want f2', ''],
      ['want g1', ''],
      ['slow a1', 'open e1'],
      ['release F1', 'grant f2 F1'],
      ['opened b1', 'open g1, grant b1 B1'],
    ],
  },
  {
    title: 'a tenant that has a connection evicts one at a time, and one that has none does at once',
    capacity: 4,
    steps: [
      ...leased('a1'),
      ...idle('b1', 'c1', 'd1'),
      ['want a2', 'open a2 for B1'],
      ['want a3', ''],
      ['want e1', 'open e1 for C1'],
      ['opened a2', 'open a3 for D1, grant a2 A2'],
    ],
  },
  {
    title: 'a connection that was idle for long is checked',
    capacity: 1,
    steps: [
      ...idle('a1'),
      ['pass 4999', ''],
      ['want a2', 'grant a2 A1'],
      ['release A1', ''],
      ['pass 5000', ''],
      ['want a3', 'check A1 for a3'],
      ['alive A1', 'grant a3 A1'],
      ['release A1', ''],
      ['pass 5000', ''],
      ['want a4', 'check A1 for a4'],
      ['dead A1', 'close A1'],
      ['ended A1', 'open a4'],
    ],
  },
  {
    title: 'a request is scheduled again when the connection that is checked for it ends',
    capacity: 1,
    steps: [
      ...idle('a1'),
      ['pass 5000', ''],
      ['want a2', 'check A1 for a2'],
      ['ended A1', 'open a2'],
      ['dead A1', ''],
      ['opened a2', 'grant a2 A2'],
    ],
  },
  {
    title: 'a failed opening gives its place up',
    capacity: 1,
    steps: [...leased(), ['want a1', 'open a1'], ['want b1', ''], ['failed a1', 'open b1']],
  },
  {
    title: 'surplus connections of a smaller capacity are closed: idle ones at once, leased ones on release',
    capacity: 3,
    steps: [
      ...leased('a1', 'a2'),
      ...idle('b1'),
      ['capacity 1', 'close B1'],
      ['ended B1', ''],
      ['release A1', 'close A1'],
      ['ended A1', ''],
      ['release A2', ''],
      ['want a3', 'grant a3 A2'],
    ],
  },
  {
    title: 'an opening whose place is lost before it starts, or that may not be kept, is scheduled again',
    capacity: 2,
    steps: [
      ...leased('a1'),
      ['want b1', 'open b1'],
      ['capacity 1', ''],
      ['starts b1', ''],
      ['capacity 2', 'open b1'],
      ['starts b1', ''],
      ['lost b1', 'close B1'],
      ['ended B1', 'open b1'],
      ['opened b1', 'grant b1 B1'],
    ],
  },
  {
    title: 'a request waits for its time, and an idle connection is kept for thirty seconds',
    capacity: 2,
    steps: [
      ...idle('b1'),
      ['want b2', 'grant b2 B1'],
      ...leased('a1'),
      ['release B1', ''],
      ['want b3', 'grant b3 B1'],
      ['want c1', ''],
      ['pass 999', ''],
      ['pass 1', 'refuse c1 late'],
      ['release A1', ''],
      ['pass 29999', ''],
      ['pass 1', 'close A1'],
    ],
  },
  {
    title: 'idle connections to a database that is left are closed',
    capacity: 3,
    steps: [...idle('a1', 'b1', 'a2').slice(0, -1), ['leave a', 'close A1'], ['leave b', 'close B1'], ['leave c', '']],
  },
  {
    title: 'nothing is granted after the close',
    capacity: 3,
    steps: [
      ...leased('a1'),
      ...idle('b1'),
      ['want c1', 'open c1'],
      ['capacity 2', 'close B1'],
      ['want d1', ''],
      ['close', 'refuse d1 closed'],
      ['want a2', 'refuse a2 closed'],
      ['release A1', 'close A1'],
      ['lost c1', 'close C1, refuse c1 closed'],
    ],
  },
]

describe('the scheduler of connections', () => {
  it.each(scenarios)('$title', ({ capacity, share = 1, steps }) => {
    const run = script(capacity, share)
    expect(steps.map(([event]) => [event, run(event)])).toEqual(steps)
  })

  const kinds = {
    request: 10,
    release: 8,
    opened: 8,
    starts: 8,
    closed: 8,
    destroy: 1,
    openFailed: 1,
    lost: 1,
    ended: 2,
    checked: 3,
    slow: 1,
    capacity: 1,
    pass: 2,
    leave: 1,
  } satisfies Record<Event['kind'], number>
  const event = fc.record({
    kind: fc.oneof(
      ...Object.entries(kinds).map(([kind, weight]) => ({ weight, arbitrary: fc.constant(kind as Event['kind']) })),
    ),
    pick: fc.nat(1_000),
  })
  const events = fc.array(event, { maxLength: 120, size: 'max' })

  it.each([1, 0.5, 0.2])('keeps its rules in any order of events, with a share of %d', (share) => {
    fc.assert(
      fc.property(events, fc.integer({ min: 1, max: 12 }), (all, capacity) => {
        const model = new SchedulerModel(capacity, share)
        for (const one of all) model.happen(one)
        model.finish()
      }),
      { numRuns: 150 },
    )
  })

  it('refuses all requests when it is closed in the midst of anything', () => {
    fc.assert(
      fc.property(events, fc.integer({ min: 1, max: 12 }), (all, capacity) => {
        const model = new SchedulerModel(capacity, 0.5)
        for (const one of all) model.happen(one)
        model.close()
        for (const one of all) model.happen(one)
        model.finish()
        expect(model.open).toBe(0)
      }),
    )
  })

  it('wakes up for the first of all deadlines', () => {
    let wakesAt = Infinity
    const none = () => undefined
    const scheduler = new Scheduler<string, Request>(
      { waitMs },
      { grant: none, refuse: none, open: none, check: none, close: none, wake: (at) => (wakesAt = at) },
    )
    const row = { rowId: 'a', database: 'a' }
    scheduler.setCapacity(1, 0)
    for (const [name, wantedAt] of [['a1', 0] as const, ['a2', 5] as const, ['a3', 3] as const])
      scheduler.request({ name, row, wantedAt }, 5)
    expect(wakesAt).toBe(3 + waitMs)
    scheduler.expire(wakesAt)
    expect(wakesAt).toBe(5 + waitMs)
  })
})
