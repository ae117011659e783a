import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AbsentProcesses } from '../../dist/routing/absent-processes.js'
import { type Division, fairPart, freePart, tenantPart } from '../../dist/routing/division.js'

const division = (
  budget: number,
  others: Record<string, number>,
  absent: Record<string, number> = {},
  reported = 0,
): Division => ({
  budget,
  self: 'self',
  others: new Map(Object.entries(others)),
  absent: new Map(Object.entries(absent)),
  reported,
})

describe('the division of a budget', () => {
  it('gives each process the same, and the remainder to the first by name', () => {
    expect(fairPart(division(50, {}))).toBe(50)
    expect(fairPart(division(50, { zz: 0 }))).toBe(25)
    expect(fairPart(division(50, { aa: 0, zz: 0 }))).toBe(17)
    expect(fairPart(division(50, { aa: 0, bb: 0 }))).toBe(16)
    expect(fairPart(division(2, { aa: 0, bb: 0 }))).toBe(0)
  })

  it('keeps the connections of absent processes free', () => {
    expect(fairPart(division(50, { zz: 20 }, { gone: 10 }))).toBe(20)
    expect(freePart(division(50, { zz: 20 }, { gone: 10 }))).toBe(20)
    expect(freePart(division(50, { zz: 50 }, { gone: 10 }))).toBe(0)
  })

  it('divides no more than another process has found, and takes no more than this one has', () => {
    expect(fairPart(division(50, { zz: 50 }, {}, 10))).toBe(20)
    expect(fairPart(division(50, { zz: 20 }, { gone: 10 }, 4))).toBe(20)
    expect(freePart(division(50, { zz: 20 }, { gone: 4 }, 10))).toBe(26)
  })

  it('is never more than the budget, and all of it', () => {
    const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(names, fc.nat(200), fc.nat(200), (processes, budget, gone) => {
        const parts = processes.map((self) => {
          const others = new Map(processes.filter((name) => name !== self).map((name) => [name, 0]))
          return fairPart({ budget, self, others, absent: new Map([['gone', gone]]), reported: 0 })
        })
        const sum = parts.reduce((total, part) => total + part, 0)
        expect(sum).toBe(Math.max(0, budget - gone))
        expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1)
      }),
    )
  })
})

describe('the part of one tenant', () => {
  it.each([
    [0.5, { 1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 10: 5 }],
    [0.1, { 1: 1, 5: 1, 10: 1, 11: 2 }],
    [0.9, { 1: 1, 2: 1, 3: 2, 5: 4, 10: 9 }],
    [1, { 1: 1, 2: 2, 10: 10 }],
  ])('at %d is rounded up, and leaves one to others where there are two', (share, parts) => {
    for (const [connections, part] of Object.entries(parts)) expect(tenantPart(Number(connections), share)).toBe(part)
  })
})

describe('the part kept for an absent process', () => {
  const shares = (record: Record<string, number>) => new Map(Object.entries(record))
  const sessions = (record: Record<string, number>, tenantRole?: string) =>
    Object.entries(record).map(([process, count]) => ({ process, tenantRole, count }))

  it('is its whole reservation, until it must have noticed; then the connections that it still has', () => {
    const absent = new AbsentProcesses(5_000)
    absent.note(shares({ one: 20, two: 10 }), 0)
    expect(absent.any).toBe(false)
    absent.note(shares({ two: 10 }), 1_000)
    expect(absent.any).toBe(true)
    expect(absent.parts(sessions({ one: 3, two: 9 }), 10, 1_000)).toEqual(shares({ one: 20 }))
    expect(absent.parts(sessions({ two: 9 }), 10, 5_999)).toEqual(shares({ one: 20 }))
    expect(absent.parts(sessions({ one: 3, two: 9 }), 10, 6_000)).toEqual(shares({ one: 3 }))
    expect(absent.parts(sessions({ two: 9 }), 10, 6_001)).toEqual(shares({}))
    expect(absent.any).toBe(false)
  })

  it('is nothing if it left, or came back', () => {
    const absent = new AbsentProcesses(5_000)
    absent.note(shares({ one: 20, two: 10 }), 0)
    absent.left('one')
    absent.note(shares({ two: 10 }), 1)
    expect(absent.parts(sessions({ two: 9 }), 10, 1)).toEqual(shares({}))
    absent.note(shares({}), 2)
    absent.note(shares({ two: 5 }), 3)
    expect(absent.parts(sessions({ two: 9 }), 10, 3)).toEqual(shares({}))
  })

  it('is no more than its sessions where it was never seen to divide the budget', () => {
    const absent = new AbsentProcesses(5_000)
    expect(absent.parts(sessions({ stranger: 3 }), 10, 0)).toEqual(shares({ stranger: 3 }))
    expect(absent.parts(sessions({ another: 1 }), 10, 1)).toEqual(shares({ another: 1 }))
    expect(absent.parts([], 10, 2)).toEqual(shares({}))
    expect(absent.any).toBe(false)
  })

  it('is the most that another process has reported, until the report is old', () => {
    const absent = new AbsentProcesses(5_000)
    expect(absent.reported(0)).toBe(0)
    absent.report(10, 0)
    absent.report(4, 1_000)
    expect(absent.reported(4_999)).toBe(10)
    expect(absent.reported(5_000)).toBe(0)
    absent.report(4, 5_000)
    expect(absent.reported(9_999)).toBe(4)
  })

  it("is, of one tenant's sessions, no more than one tenant may have, with any marks", () => {
    const absent = new AbsentProcesses(5_000)
    const marks = [...sessions({ aa: 4, bb: 4, cc: 4 }, 'evil'), ...sessions({ aa: 1, bb: 2 }, 'good')]
    expect(absent.parts(marks, 5, 0)).toEqual(shares({ aa: 5, bb: 3 }))
    expect(absent.parts(sessions({ aa: 9 }), 5, 1)).toEqual(shares({ aa: 9 }))
  })
})
