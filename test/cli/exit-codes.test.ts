import { TenantryError } from 'tenantry'
import { expect, test } from 'vitest'
// Neither is part of the public face.
import { exitCodeOf, exitCodes } from '../../dist/cli/exit-codes.js'
import { type ErrorCode, errorKinds } from '../../dist/kernel/error-kinds.js'
import { readPage } from '../docs/markdown.ts'

const codes = Object.keys(errorKinds) as ErrorCode[]
const rows = readPage('docs/commands/exit-codes.md')
  .split('\n')
  .filter((line) => /^\| .*\d+ \|$|^\| \d+ \|/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()))
const meanings = rows.filter(([, first]) => /^\d+$/.test(first ?? ''))
const ofErrors = rows.filter(([, first]) => !/^\d+$/.test(first ?? ''))
const named = new Map(
  ofErrors.flatMap(([, names = '', exitCode]) =>
    [...names.matchAll(/`([a-z-]+)`/g)].map(([, code = '']) => [code, Number(exitCode)] as const),
  ),
)

test('the page explains every exit code, and no other', () => {
  expect(meanings.map(([, code]) => Number(code))).toEqual(Object.values(exitCodes))
})

test('the page names errors that there are', () => {
  expect([...named.keys()].filter((code) => !Object.hasOwn(errorKinds, code))).toEqual([])
})

test.each(codes)('%s ends with the code on the page', (code) => {
  const written =
    named.get(code) ?? (errorKinds[code].retryable ? otherwise('retryable') : otherwise('every other one |'))
  expect(exitCodeOf(new TenantryError(code, 'said by a test'))).toBe(written)
})

test('an error that is retryable this once ends with the code on the page for such', () => {
  expect(exitCodeOf(new TenantryError('embedded-failed', 'said by a test', { retryable: true }))).toBe(
    otherwise('retryable'),
  )
})

/** The exit code of the row for errors that the page does not name. */
function otherwise(words: string): number {
  const row = ofErrors.find((cells) => cells.slice(1).join(' | ').includes(words))
  return Number(row?.[2])
}
