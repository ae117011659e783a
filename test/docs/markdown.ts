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

/** A code block: the words behind the three backticks, and its content. */
export interface CodeBlock {
  readonly language: string
  /** The name of its file, if there is one: `ts src/app.ts`. */
  readonly file: string | undefined
  readonly code: string
}

/** A text's code blocks, in order. */
export function allCodeBlocks(text: string): CodeBlock[] {
  return [...text.matchAll(/^```(\w*)(?: (\S+))?\n(.*?)^```$/gms)].map(([, language = '', file, code = '']) => ({
    language,
    file,
    code,
  }))
}

/** The contents of a text's code blocks in that language that are no file of their own, in order. */
export function codeBlocks(text: string, language: string): string[] {
  return allCodeBlocks(text)
    .filter((block) => block.language === language && block.file === undefined)
    .map(({ code }) => code)
}

/** A text without its code blocks, where headings and links mean nothing. */
export function withoutCode(text: string): string {
  return text.replaceAll(/^```.*?^```$/gms, '')
}
