import { existsSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { pages, readPage, root, withoutCode } from './markdown.ts'

test('the pages are found', () => {
  expect(pages).toEqual(expect.arrayContaining(['README.md', 'CONTRIBUTING.md', 'docs/errors.md']))
})

test.each(pages)('every relative link of %s leads somewhere', (page) => {
  expect(linksOf(page).filter((link) => !leadsSomewhere(page, link))).toEqual([])
})

test('every page in docs/ can be reached from README.md', () => {
  const reached = new Set<string>()
  const toVisit = ['README.md']
  for (let page = toVisit.pop(); page !== undefined; page = toVisit.pop()) {
    if (reached.has(page) || !pages.includes(page)) continue
    reached.add(page)
    for (const link of linksOf(page)) toVisit.push(targetOf(page, link))
  }
  expect(pages.filter((page) => page.startsWith('docs/') && !reached.has(page))).toEqual([])
})

test('package.json ships the documentation, and has one address', () => {
  const { files, repository, homepage, bugs } = JSON.parse(readPage('package.json')) as Record<string, unknown> & {
    readonly repository: { readonly url: string }
  }
  expect(files).toContain('docs')
  // A registry resolves the README's relative links with it.
  const [, address] = /^git\+(https:\/\/github\.com\/[^/]+\/[^/]+)\.git$/.exec(repository.url) ?? []
  expect({ homepage, bugs }).toEqual({ homepage: `${address}#readme`, bugs: `${address}/issues` })
})

/** Inline links to something in this project: `[text](target)`. Code between backticks is no link. */
function linksOf(page: string): string[] {
  const prose = withoutCode(readPage(page)).replaceAll(/`[^`\n]*`/g, (code) => 'x'.repeat(code.length))
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => (/^[a-z]+:/.test(link) ? [] : [link]))
}

function leadsSomewhere(page: string, link: string): boolean {
  const target = targetOf(page, link)
  if (target.startsWith('..') || !existsSync(join(root, target))) return false
  const [, anchor] = link.split('#')
  return anchor === undefined || (isFile(target) && anchorsOf(target).has(anchor))
}

function targetOf(page: string, link: string): string {
  const [path] = link.split('#')
  return path === '' ? page : relative(root, resolve(root, dirname(page), path ?? ''))
}

function isFile(path: string): boolean {
  return statSync(join(root, path)).isFile()
}

/**
 * Returns GitHub's anchors of headings: small letters, no punctuation, hyphens for spaces, a number for a repeated one.
 */
function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of withoutCode(readPage(page)).matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const anchor = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-')
    let numbered = anchor
    for (let i = 1; anchors.has(numbered); i++) numbered = `${anchor}-${i}`
    anchors.add(numbered)
  }
  return anchors
}
