import { spawnSync } from 'node:child_process'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Places of stack frames outside of the project. */
const elsewhere = ['node:', '/node_modules/', '\\node_modules\\', new URL('.', import.meta.url).href]

/** Returns the first line of an error's stack that is in a file of the project. */
export function throwingFrame({ stack = '' }: Error): string | undefined {
  const frames = stack.split('\n').filter((line) => /^ +at .*[/\\]/.test(line))
  return frames.find((frame) => !elsewhere.some((place) => frame.includes(place)))
}

/**
 * Returns the place in the project's code that an error came from, as `models.ts:12`.
 *
 * @param file the configuration file that was read
 */
export function placeInCode(error: unknown, file: string): string | undefined {
  if (!(error instanceof Error)) return undefined
  const frame = throwingFrame(error)
  if (frame !== undefined) return shortened(/\(?(\S+?):(\d+):\d+\)?$/.exec(frame.trim()))
  return (
    shortened(compilerPlace.exec(error.stack ?? '')) ?? (error instanceof SyntaxError ? placeByNode(file) : undefined)
  )
}

/** The place of a syntax error: Node.js shows it in the line before the code. */
const compilerPlace = /^((?:file:\/\/)?\S.*):(\d+)\n/

/**
 * Returns the place of a syntax error according to `node --check`, which runs nothing of the file. Node.js reports the
 * place of some syntax errors only when it ends by one.
 */
function placeByNode(file: string): string | undefined {
  const { stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8', timeout: 10_000 })
  return shortened(compilerPlace.exec(stderr))
}

function shortened(match: RegExpExecArray | null): string | undefined {
  const [, file = '', line] = match ?? []
  if (line === undefined) return undefined
  return `${relative(process.cwd(), file.startsWith('file:') ? fileURLToPath(file) : file)}:${line}`
}
