import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterwards } from '../../support/server.ts'
import type { UserProject } from '../../cli/project.ts'
import type { Ended } from '../../cli/shell.ts'

/** Runs the command line with these words. */
export type CommandLine = (words: readonly string[]) => Promise<Ended>

/** The command line in one process for all of its runs, since starting one takes longer than most of them. */
export function inOneProcess({ cwd, env }: UserProject): CommandLine {
  const program = fileURLToPath(new URL('./command-line-program.ts', import.meta.url))
  const child = spawn(process.execPath, [program], { cwd, env, stdio: ['pipe', 'pipe', 'inherit'] })
  const exit = once(child, 'exit').then(([code]) => {
    throw new Error(`The process of the command line ended with ${String(code)}.`)
  })
  exit.catch(() => undefined)
  child.stdin.on('error', () => undefined)
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  afterwards(async () => {
    child.stdin.end()
    await exit.catch(() => undefined)
  })
  return async (words) => {
    // Encoded in both directions: readline breaks lines at more than one character.
    child.stdin.write(`${Buffer.from(JSON.stringify(words)).toString('base64')}\n`)
    const { value } = await Promise.race([answers.next(), exit])
    return JSON.parse(Buffer.from(value ?? '', 'base64').toString()) as Ended
  }
}

/** The command line as a user starts it, without a shell between. */
export function inItsOwnProcess({ cwd, env }: UserProject): CommandLine {
  const program = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))
  return (words) =>
    new Promise((resolve) => {
      const child = execFile(process.execPath, [program, ...words], { cwd, env }, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        resolve({ stdout, stderr, code })
      })
      child.stdin?.end()
    })
}
