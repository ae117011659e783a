import { spawnSync } from 'node:child_process'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Places of stack frames that are not the project's. */
const elsewhere = ['node:', '/node_modules/', '\\node_modules\\', new URL('.', import.meta.url).href]

/** The first line of an error's stack that is in a file of the project. */
export function throwingFrame({ stack = '' }: Error): string | undefined {
  const frames = stack.split('\n').filter((line) => /^ +at .*[/\\]/.test(line))
  return frames.find((frame) => !elsewhere.some((place) => frame.includes(place)))
}

/**
 * The place in the project's code where an error came from, as `models.ts:12`.
 *
 * @param file the configuration, by reading which it came
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

/** For some syntax errors Node.js tells the place only where it ends by one. `--check` runs nothing of the file. */
function placeByNode(file: string): string | undefined {
  const { stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8', timeout: 10_000 })
  return shortened(compilerPlace.exec(stderr))
}

function shortened(match: RegExpExecArray | null): string | undefined {
  const [, file = '', line] = match ?? []
  if (line === undefined) return undefined
  return `${relative(process.cwd(), file.startsWith('file:') ? fileURLToPath(file) : file)}:${line}`
}
