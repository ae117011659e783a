import type { UserProject } from './project.ts'
import { shell } from './shell.ts'

/** One command of a transcript with its output. */
export interface Step {
  readonly command: string
  readonly expected: string
}

/** A file of commands with their output; text before the first command describes its subject. */
export interface Transcript {
  readonly preamble: string
  readonly steps: readonly Step[]
}

/**
 * Parses a transcript: a line that begins with `$ ` is a command, and the lines up to the next are its output, those of
 * standard error beginning with `! `; `[3]` stands for an exit code other than 0.
 */
export function parseTranscript(text: string): Transcript {
  const [preamble = '', ...parts] = text.split(/^\$ /m)
  const steps = parts.map((part) => {
    const end = part.indexOf('\n')
    return { command: part.slice(0, end), expected: part.slice(end + 1).trim() }
  })
  return { preamble, steps }
}

/** The file that {@link parseTranscript} reads. */
export function formatTranscript({ preamble, steps }: Transcript): string {
  const parts = steps.map(({ command, expected }) => `$ ${command}\n${expected}${expected === '' ? '' : '\n'}`)
  return preamble + parts.join('\n')
}

/** Runs a command in a shell, and gives its output as a transcript has it. */
export async function runStep(command: string, project: Pick<UserProject, 'cwd' | 'env'>): Promise<string> {
  const { stdout, stderr, code } = await shell(command, project)
  return [
    ...stdout.trimEnd().split('\n'),
    ...stderr
      .trimEnd()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => `! ${line}`),
    ...(code === 0 ? [] : [`[${code}]`]),
  ]
    .join('\n')
    .trim()
}

/** Replaces values that differ from run to run by words. */
export function normalised(text: string, words: Readonly<Record<string, string>>): string {
  const named = Object.entries(words).reduce((result, [value, name]) => result.replaceAll(value, name), text)
  return named
    .replaceAll(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+Z)?/g, '<time>')
    .replaceAll(/\d{4}-\d\d-\d\d/g, '<date>')
    .replaceAll(/\b[0-9a-f]{64}\b/g, '<fingerprint>')
    .replaceAll(/\b[0-9a-f]{12}\b/g, '<fingerprint>')
    .replaceAll(/_[0-9a-f]{32}\b/g, '_<row>')
    .replaceAll(/(?<=\(pid )[\d, ]+(?=\))/g, '<pid>')
    .replaceAll(/(?<=\bkey )[0-9a-f]{8}\b/g, '<key>')
    .replaceAll(/(?<=tenantry-domain=)[0-9a-f]{32}\b/g, '<token>')
    .replaceAll(/[^\s"]+ \(tenantry\)/g, '<user> (tenantry)')
    .replaceAll(/(?<=\(tenantry\) as )\S+/g, '<role>')
    .replaceAll(/(?<="role":")[^"]+/g, '<role>')
    .replaceAll(/postgresql:\/\/postgres:[^\s"@]+@(?:localhost|127\.0\.0\.1):\d+[^\s"]*/g, '<development url>')
    .replaceAll(/(?<="durations":)\{[^}]*\}/g, '<durations>')
    .replaceAll(/(?<="version":")[\d.]+/g, '<version>')
    .replaceAll(/PostgreSQL \d+(\.\d+)*/g, 'PostgreSQL <version>')
}
