import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'

/** The folder of the project, where all paths here begin. */
export const root = resolve(import.meta.dirname, '../..')

/** The project's pages, as paths from its root. */
export const pages = globSync('**/*.md', {
  cwd: root,
  exclude: (path) => /(?:^|\/)(?:node_modules|dist|\.[^/]+)$/.test(path),
}).toSorted()

export function readPage(page: string): string {
  return readFileSync(resolve(root, page), 'utf8')
}

/** The contents of a text's code blocks in that language, in order. */
export function codeBlocks(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter(([, marked]) => marked === language)
    .map(([, , code]) => code ?? '')
}

/** A text without its code blocks, where headings and links mean nothing. */
export function withoutCode(text: string): string {
  return text.replaceAll(/^```.*?^```$/gms, '')
}
