import { readFileSync } from 'node:fs'
import { type Command, CommanderError } from 'commander'
import { TenantryError } from '../kernel/errors.ts'
import { RanElsewhere } from './config-file.ts'
import { exitCodeOf, exitCodes, type ExitCode } from './exit-codes.ts'
import { makeProgram } from './program.ts'
import { printError } from './report.ts'
import type { CommonOptions } from './tools.ts'

const words = process.argv.slice(2)
// The reader of the output may close it early: "tenantry list | head".
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})
process.exitCode = await run()

/** Runs the command that the words name, and returns the exit code. */
async function run(): Promise<ExitCode> {
  const ending = new AbortController()
  let exitCode: ExitCode = exitCodes.done
  const program = makeProgram(readVersion(), { signal: ending.signal, end: (code) => (exitCode = code) })
  // The first signal ends work under way in order; the second ends the process.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => ending.abort())
  try {
    await program.parseAsync(words.length === 0 ? ['--help'] : words, { from: 'user' })
    return words.length === 0 ? exitCodes.misused : exitCode
  } catch (error) {
    if (error instanceof RanElsewhere) return error.exitCode
    if (error instanceof CommanderError && error.exitCode === 0) return words.length === 0 ? exitCodes.misused : 0
    const failure = toTenantryFailure(error)
    printError(commandName(), failure, { asJson: wants(program, 'json'), withStack: wants(program, 'verbose') })
    return exitCodeOf(failure)
  }
}

function commandName(): string {
  const [first = ''] = words
  return first.startsWith('-') ? '' : first
}

/** True if tenantry itself was given an option: it may also be one of the words that "exec" passes on. */
function wants(program: Command, option: 'json' | 'verbose'): boolean {
  const command = program.commands.find((it) => it.name() === commandName())
  if (command?.name() === 'exec' && command.args.length > 0) return command.opts<CommonOptions>()[option] === true
  return words.includes(`--${option}`)
}

/**
 * Converts an error. Words that Commander does not understand are misuse like any other; an unexpected error is shown
 * with its stack.
 */
function toTenantryFailure(error: unknown): TenantryError {
  if (error instanceof TenantryError) return error.code === 'aborted' ? interruptedError(error) : error
  if (!(error instanceof CommanderError)) throw error
  const [command = ''] = words
  const isKnown = error.code !== 'commander.unknownCommand' && !command.startsWith('-')
  const help = isKnown ? `tenantry ${command} --help` : 'tenantry --help'
  const { message, suggestion } = asSentence(error.message)
  return new TenantryError('invalid-option', message, { hint: `${suggestion}See: ${help}` })
}

/** Converts Commander's words into ours: the mistake as a sentence, and the suggestion apart from it. */
function asSentence(text: string): { message: string; suggestion: string } {
  const [, first = '', suggestion = ''] = /^(?:error: )?([^]*?)(?:\n\((Did you mean [^]*)\))?$/.exec(text) ?? []
  const message = `${first.charAt(0).toUpperCase()}${first.slice(1)}`
  return { message: message.endsWith('.') ? message : `${message}.`, suggestion: suggestion && `${suggestion} ` }
}

/** Returns the error of an interruption: here, Ctrl-C is the only reason that ends a call. */
function interruptedError(cause: TenantryError): TenantryError {
  return new TenantryError('aborted', 'Interrupted.', {
    cause,
    tenant: cause.tenant,
    hint: 'Repeat the command: it finishes the work.',
  })
}

function readVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
