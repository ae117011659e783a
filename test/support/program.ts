import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** A program of the tests in a process of its own, which answers each line with a line. */
export interface Program {
  readonly child: ChildProcess
  /** Returns the next line. @throws if the program ends first */
  readonly next: () => Promise<string>
  /** Sends a line, and returns the answer. */
  readonly ask: (line: string) => Promise<string>
  /** Ends the program's input, and returns its exit code. */
  readonly end: () => Promise<number | null>
}

/** The surroundings of a program. */
interface Surroundings {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Registers the end of the program. Default: when the test has finished. */
  readonly atEnd?: (end: () => Promise<void>) => void
}

/** Starts a program; what it writes to its error output is shown. */
export function startProgram(
  file: URL,
  words: readonly string[] = [],
  { atEnd = onTestFinished, ...options }: Surroundings = {},
): Program {
  const child = spawn(process.execPath, [fileURLToPath(file), ...words], {
    ...options,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit') as Promise<[number | null]>
  // The rest of the input of a killed program is not read.
  child.stdin.on('error', () => undefined)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  atEnd(async () => {
    child.kill('SIGKILL')
    await exit
  })
  const next = async () => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error(`${file.pathname} ended with ${String(child.exitCode ?? child.signalCode)}.`)
    return value
  }
  return {
    child,
    next,
    ask: (line) => {
      child.stdin.write(`${line}\n`)
      return next()
    },
    end: async () => {
      child.stdin.end()
      const [code] = await exit
      return code
    },
  }
}
