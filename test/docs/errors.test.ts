import { TenantryError } from 'tenantry'
import { describe, expect, test } from 'vitest'
// The registry is not part of the public face; only this test needs it from outside.
import { type ErrorCode, errorKinds } from '../../dist/kernel/error-kinds.js'
import { readPage } from './markdown.ts'

interface Section {
  readonly title: string
  readonly paragraphs: readonly string[]
}

const codes = Object.keys(errorKinds) as ErrorCode[]
const sections = sectionsOf(readPage('docs/errors.md'))

test('every code has a section, every section a code, in the order of the alphabet', () => {
  expect(sections.map(({ title }) => title)).toEqual(codes.toSorted().map((code) => `\`${code}\``))
})

describe.each(codes)('%s', (code) => {
  const section = sections.find(({ title }) => title === `\`${code}\``)
  const { raised, retryable } = errorKinds[code]

  test('begins with its sentence', () => {
    expect(raised).toMatch(/^Raised when .+\.$/)
    expect(section?.paragraphs[0]).toBe(raised)
  })

  test('names a retry if the error itself is retryable', () => {
    expect(section?.paragraphs[1]).toMatch(retryable ? /^Retryable: yes\b/ : /^Retryable: no\b/)
    expect(new TenantryError(code, 'said by a test').retryable).toBe(retryable)
  })

  test('names the cause and the remedy', () => {
    expect(section?.paragraphs.slice(2).map((paragraph) => paragraph.split(' ', 1)[0])).toEqual(['Cause:', 'Do:'])
  })
})

/** The sections of the second level, their paragraphs each as one line. */
function sectionsOf(page: string): Section[] {
  const [, ...parts] = page.split(/^## /m)
  return parts.map((part) => {
    const [title = '', ...paragraphs] = part.trim().split(/\n{2,}/)
    return { title, paragraphs: paragraphs.map((paragraph) => paragraph.replaceAll('\n', ' ')) }
  })
}
