import { globSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { pages, readPage, root } from './markdown.ts'

/** Files and folders, by the beginning of their paths, that are still to be rewritten. */
const unfinished: readonly string[] = []

/** An opening without a noun or a verb. "True if ..." takes the place of "Whether ...". */
const vague = /^(?:What|Whether|Who|Whose|Somebody|Whoever|Whatever)\b/

/** Words without a meaning in the field, each with the term to use. */
const replaced: Readonly<Record<string, RegExp>> = {
  transition: /\barrows?\b(?! functions?\b)/i,
  'revoke public access': /\bseclud\w*/i,
  'temporary role': /\bhir(?:e|es|ed|ing)\b/i,
  'pool of spares, inventory of templates': /\bshel(?:f|ves|ving)\b/i,
  'pending drop': /\bdoomed\b/i,
  archived: /\bset(?:s|ting)? aside\b/i,
  discarded: /\bset apart\b/i,
  'acquire, lease': /\b(?:borrow\w*|lend(?:s|ers?|ing)?|lent)\b/i,
  'slow path': /\blonger way\b/i,
  generates: /\bthinks? up\b/i,
  'fix, repair': /\bmend(?:s|ed|ing)?\b/i,
  'disable login': /\block(?:s|ed|ing)? out\b/i,
  'if, where': /\b(?:be it that|in so far)\b/i,
  'least recently used': /\blongest unused\b/i,
}

const sources = filesIn('src/**/*.ts')
const prose = [...sources, ...pages.filter((page) => page === 'README.md' || page.startsWith('docs/'))]

test('doc comments open with a noun or a verb', () => {
  const files = finished([...sources, ...filesIn('test/**/*.ts')])
  const comments = files.flatMap((file) => docComments(readPage(file)).map((text) => ({ file, text })))
  expect(comments.filter(({ text }) => vague.test(text))).toEqual([])
})

describe.each(Object.entries(replaced))('instead of "%s"', (_, word) => {
  test('no other word is used', () => {
    expect(finished(prose).filter((file) => word.test(readPage(file)))).toEqual([])
  })
})

function filesIn(pattern: string): readonly string[] {
  const files = globSync(pattern, { cwd: root, exclude: (path) => /(?:^|\/)(?:node_modules|dist)$/.test(path) })
  return files.map((file) => file.replaceAll('\\', '/')).toSorted()
}

function finished(files: readonly string[]): readonly string[] {
  return files.filter((file) => !unfinished.some((beginning) => file.startsWith(beginning)))
}

/** Returns the text of each doc comment, without its stars. */
function docComments(code: string): readonly string[] {
  return [...code.matchAll(/\/\*\*(.*?)\*\//gs)].map(([, text = '']) => text.replaceAll(/^\s*\*?/gm, '').trim())
}
