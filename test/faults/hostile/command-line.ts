import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { startProgram } from '../../support/program.ts'
import { afterwards } from '../../support/server.ts'
import type { UserProject } from '../../cli/project.ts'
import type { Ended } from '../../cli/shell.ts'

/** Runs the command line with these words. */
export type CommandLine = (words: readonly string[]) => Promise<Ended>

/** The command line in one process for all of its runs, since starting one takes longer than most of them. */
export function inOneProcess({ cwd, env }: UserProject): CommandLine {
  const program = startProgram(new URL('./command-line-program.ts', import.meta.url), [], {
    cwd,
    env,
    atEnd: afterwards,
  })
  return async (words) => {
    // Encoded in both directions: readline breaks lines at more than one character.
    const answer = await program.ask(Buffer.from(JSON.stringify(words)).toString('base64'))
    return JSON.parse(Buffer.from(answer, 'base64').toString()) as Ended
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
