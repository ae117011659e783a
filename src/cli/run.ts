import { readFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import { TenantryError } from '../kernel/errors.ts'
import { RanElsewhere } from './config-file.ts'
import { exitCodeOf, exitCodes, type ExitCode } from './exit-codes.ts'
import { makeProgram } from './program.ts'
import { printError } from './report.ts'

const words = process.argv.slice(2)
process.exitCode = await run()

/** Runs what the words ask for, and gives the exit code. */
async function run(): Promise<ExitCode> {
  const ending = new AbortController()
  let exitCode: ExitCode = exitCodes.done
  const program = makeProgram(readVersion(), { signal: ending.signal, end: (code) => (exitCode = code) })
  // The first one lets what is under way end in order; the second ends the process.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => ending.abort())
  try {
    await program.parseAsync(words.length === 0 ? ['--help'] : words, { from: 'user' })
    return words.length === 0 ? exitCodes.misused : exitCode
  } catch (error) {
    if (error instanceof RanElsewhere) return error.exitCode
    if (error instanceof CommanderError && error.exitCode === 0) return words.length === 0 ? exitCodes.misused : 0
    const failure = asTenantryError(error)
    printError(words[0] ?? '', failure, words.includes('--json'))
    return exitCodeOf(failure)
  }
}

/** What Commander does not understand is a misuse like any other; what nobody expected is shown with its stack. */
function asTenantryError(error: unknown): TenantryError {
  if (error instanceof TenantryError) return error
  if (!(error instanceof CommanderError)) throw error
  const [command = ''] = words
  const isKnown = error.code !== 'commander.unknownCommand' && !command.startsWith('-')
  const help = isKnown ? `tenantry ${command} --help` : 'tenantry --help'
  return new TenantryError('invalid-option', error.message.replace(/^error: /, ''), { hint: `See: ${help}` })
}

function readVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
