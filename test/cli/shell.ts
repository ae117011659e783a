import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { UserProject } from './project.ts'

/** The end of a command, and its output. */
export interface Ended {
  readonly stdout: string
  readonly stderr: string
  readonly code: number
}

/** Runs a command in a shell, without a terminal and with nothing to read. */
export function shell(command: string, { cwd, env }: Pick<UserProject, 'cwd' | 'env'>): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile('sh', ['-c', command], { cwd, env }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ stdout, stderr, code })
    })
    child.stdin?.end()
  })
}

/** Runs the preparation of a test, and returns its output. */
export async function prepare(command: string, project: Pick<UserProject, 'cwd' | 'env'>): Promise<string> {
  const { stdout, stderr, code } = await shell(command, project)
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${stdout}${stderr}`)
  return stdout
}

/** True if this machine has `script` of util-linux, which gives a command a terminal. */
export const hasTerminals = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux')

/** A command on a terminal of its own. */
export interface OnTerminal {
  /** Waits until the terminal shows that. */
  readonly shows: (text: RegExp) => Promise<void>
  readonly type: (keys: string) => void
  /** Everything that the terminal showed, and the exit code. */
  readonly ended: Promise<{ readonly screen: string; readonly code: number | null }>
}

/** The key that interrupts. */
export const ctrlC = '\u0003'

/** Runs a command on a terminal: standard input, output and error, unless the command redirects them. */
export function onTerminal(command: string, { cwd, env }: Pick<UserProject, 'cwd' | 'env'>): OnTerminal {
  const child = spawn('script', ['-qec', command, '/dev/null'], { cwd, env: { ...env, TERM: 'xterm' } })
  let screen = ''
  let look = (): void => undefined
  child.stdout.on('data', (chunk: Buffer) => {
    screen += chunk.toString()
    look()
  })
  const ended = closing(child).then((code) => ({ screen, code }))
  const shows = (text: RegExp) =>
    new Promise<void>((resolve) => {
      look = () => (text.test(screen) ? resolve() : undefined)
      look()
    })
  return {
    shows: async (text) => {
      await Promise.race([shows(text), ended])
      if (!text.test(screen)) throw new Error(`It ended and showed: ${screen}`)
    },
    type: (keys) => child.stdin.write(keys),
    ended,
  }
}

/** Returns the exit code of a process whose output has ended as well. */
export async function closing(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'close')) as [number | null]
  return code
}
