import { execFile } from 'node:child_process'

/** One command of a transcript with what it printed. */
export interface Step {
  readonly command: string
  readonly expected: string
}

/** A file of commands with their output; text before the first command says what it is about. */
export interface Transcript {
  readonly preamble: string
  readonly steps: readonly Step[]
}

/**
 * Parses a transcript: a line that begins with `$ ` is a command, and what follows up to the next is its output, the
 * lines of standard error beginning with `! `; `[3]` stands for an exit code other than 0.
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
export async function runStep(command: string, cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  const { stdout, stderr, code } = await shell(command, cwd, env)
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

/** Puts words in the place of what differs from run to run. */
export function normalised(text: string, words: Readonly<Record<string, string>>): string {
  const named = Object.entries(words).reduce((result, [value, name]) => result.replaceAll(value, name), text)
  return named
    .replaceAll(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+Z)?/g, '<time>')
    .replaceAll(/\d{4}-\d\d-\d\d/g, '<date>')
    .replaceAll(/\b[0-9a-f]{64}\b/g, '<fingerprint>')
    .replaceAll(/\b[0-9a-f]{12}\b/g, '<fingerprint>')
    .replaceAll(/_[0-9a-f]{32}\b/g, '_<row>')
    .replaceAll(/\S+ \(tenantry\)/g, '<user> (tenantry)')
}

function shell(command: string, cwd: string, env: NodeJS.ProcessEnv) {
  return new Promise<{ stdout: string; stderr: string; code: number }>((resolve) => {
    const child = execFile('sh', ['-c', command], { cwd, env }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ stdout, stderr, code })
    })
    child.stdin?.end()
  })
}
