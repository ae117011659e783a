import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import { Secret } from '../../dist/kernel/secret.js'

it('a secret prints as stars wherever it may be printed', () => {
  const secret = new Secret('hunter2')
  const printed = [String(secret), secret.toString(), JSON.stringify({ secret }), inspect({ secret }, { depth: 9 })]
  for (const text of printed) {
    expect(text).toContain('***')
    expect(text).not.toContain('hunter2')
  }
  expect(Object.values(secret)).toEqual([])
  expect(secret.reveal()).toBe('hunter2')
})
