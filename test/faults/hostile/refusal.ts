import { TenantryError } from 'tenantry'
import { expect } from 'vitest'
import { errorKinds } from '../../../dist/kernel/error-kinds.js'
import { tally } from './seed.ts'

/** Characters that move a cursor, break a line, or turn the direction of text; several lines are several lines. */
export const harmful = /(?!\n)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u

/** Far more than a refusal needs, on a machine that may be busy with others. */
const longestMs = 10_000
/** The longest message: a refusal names the refused value, and does not repeat all of it. */
const longestMessage = 1_000

/** Returns the result of a call, or the error of its refusal. Any other error fails the test. */
export async function attempt<T>(call: () => Promise<T>): Promise<{ value: T } | { error: TenantryError }> {
  const start = performance.now()
  try {
    return { value: await call() }
  } catch (error) {
    expectClean(error)
    return { error: error as TenantryError }
  } finally {
    expect(performance.now() - start).toBeLessThan(longestMs)
  }
}

/** Expects a call to be refused, by one of these codes. */
export async function expectRefused(call: () => Promise<unknown>, ...codes: string[]): Promise<void> {
  const result = await attempt(call)
  if (!('error' in result)) expect.fail('It was accepted.')
  expect(codes).toContain(result.error.code)
  tally.refused++
}

function expectClean(error: unknown): void {
  if (!(error instanceof TenantryError)) throw new Error('It ended with a raw error.', { cause: error })
  const { code, message, hint = '' } = error
  expect(errorKinds).toHaveProperty([code])
  for (const text of [message, hint]) {
    expect(text).not.toMatch(harmful)
    expect(text.length).toBeLessThan(longestMessage)
  }
}
