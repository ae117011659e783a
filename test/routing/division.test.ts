import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AbsentProcesses } from '../../dist/routing/absent-processes.js'
import { type Division, fairPart, freePart } from '../../dist/routing/division.js'

const division = (budget: number, others: Record<string, number>, absent: Record<string, number> = {}): Division => ({
  budget,
  self: 'self',
  others: new Map(Object.entries(others)),
  absent: new Map(Object.entries(absent)),
})

describe('the division of a budget', () => {
  it('gives each process the same, and what is left over to the first by name', () => {
    expect(fairPart(division(50, {}))).toBe(50)
    expect(fairPart(division(50, { zz: 0 }))).toBe(25)
    expect(fairPart(division(50, { aa: 0, zz: 0 }))).toBe(17)
    expect(fairPart(division(50, { aa: 0, bb: 0 }))).toBe(16)
    expect(fairPart(division(2, { aa: 0, bb: 0 }))).toBe(0)
  })

  it('keeps free what those have who are not there any more', () => {
    expect(fairPart(division(50, { zz: 20 }, { gone: 10 }))).toBe(20)
    expect(freePart(division(50, { zz: 20 }, { gone: 10 }))).toBe(20)
    expect(freePart(division(50, { zz: 50 }, { gone: 10 }))).toBe(0)
  })

  it('is never more than the budget, and all of it', () => {
    const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(names, fc.nat(200), fc.nat(200), (processes, budget, gone) => {
        const parts = processes.map((self) => {
          const others = new Map(processes.filter((name) => name !== self).map((name) => [name, 0]))
          return fairPart({ budget, self, others, absent: new Map([['gone', gone]]) })
        })
        const sum = parts.reduce((total, part) => total + part, 0)
        expect(sum).toBe(Math.max(0, budget - gone))
        expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1)
      }),
    )
  })
})

describe('what is kept for a process that is not there any more', () => {
  const shares = (record: Record<string, number>) => new Map(Object.entries(record))

  it('is all that it had set aside, until it must have noticed; then what it still has', () => {
    const absent = new AbsentProcesses(5_000)
    absent.note(shares({ one: 20, two: 10 }), 0)
    expect(absent.any).toBe(false)
    absent.note(shares({ two: 10 }), 1_000)
    expect(absent.any).toBe(true)
    expect(absent.parts(shares({ one: 3, two: 9 }), 20, 1_000)).toEqual(shares({ one: 20 }))
    expect(absent.parts(shares({ two: 9 }), 20, 5_999)).toEqual(shares({ one: 20 }))
    expect(absent.parts(shares({ one: 3, two: 9 }), 20, 6_000)).toEqual(shares({ one: 3 }))
    expect(absent.parts(shares({ two: 9 }), 20, 6_001)).toEqual(shares({}))
    expect(absent.any).toBe(false)
  })

  it('is nothing when it said that it leaves, or came back', () => {
    const absent = new AbsentProcesses(5_000)
    absent.note(shares({ one: 20, two: 10 }), 0)
    absent.left('one')
    absent.note(shares({ two: 10 }), 1)
    expect(absent.parts(shares({ two: 9 }), 20, 1)).toEqual(shares({}))
    absent.note(shares({}), 2)
    absent.note(shares({ two: 5 }), 3)
    expect(absent.parts(shares({ two: 9 }), 20, 3)).toEqual(shares({}))
  })

  it("is all that is nobody else's where it was never seen, so long as it may not know", () => {
    const absent = new AbsentProcesses(5_000)
    expect(absent.parts(shares({ stranger: 3 }), 40, 0)).toEqual(shares({ stranger: 40 }))
    expect(absent.parts(shares({ stranger: 3 }), 40, 4_999)).toEqual(shares({ stranger: 40 }))
    expect(absent.parts(shares({ stranger: 3 }), 40, 5_000)).toEqual(shares({ stranger: 3 }))
    expect(absent.parts(shares({}), 40, 5_001)).toEqual(shares({}))
  })
})
