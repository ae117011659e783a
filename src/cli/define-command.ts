import { Command } from 'commander'
import { type ExitCode, exitCodes } from './exit-codes.ts'
import { printReport, type Report } from './report.ts'
import { type CommonOptions, makeTools, type Tools } from './tools.ts'

/** The name and usage of a command. */
interface CommandText {
  /** The name and the arguments: `suspend <id>`. */
  readonly usage: string
  readonly summary: string
  /** Words after `tenantry`, each with its effect. */
  readonly examples: Readonly<Record<string, string>>
}

/** Runs a command with the signal that ends it, and handles its exit code. */
export interface Runner {
  readonly signal: AbortSignal
  readonly end: (code: ExitCode) => void
}

/** A command of the command line. */
export type CommandFactory = (runner: Runner) => Command

/**
 * Defines a command: its words and its action.
 *
 * @param shape adds arguments' descriptions and options
 * @param run receives the arguments, then the options
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- Commander cannot type options; each command says
export function defineCommand<Options extends CommonOptions>(
  { usage, summary, examples }: CommandText,
  shape: (command: Command) => Command,
  run: (tools: Tools, args: readonly (string | readonly string[] | undefined)[], options: Options) => Promise<Report>,
): CommandFactory {
  return ({ signal, end }) => {
    const [name = '', ...args] = usage.split(' ')
    const command = new Command(name).summary(summary).description(`${summary}.`)
    for (const argument of args) command.argument(argument)
    shape(command)
      .option('-c, --config <file>', 'the configuration (default: the nearest tenantry.config.ts)')
      .option('--json', 'print JSON, for programs')
      .option('--verbose', 'print the stack of an error, too')
      .addHelpText('after', examplesText(examples))
      .action(async (...words: unknown[]) => {
        const options = command.opts<Options>()
        const given = words.slice(0, -2) as (string | string[] | undefined)[]
        const report = await run(makeTools(options, signal), given, options)
        printReport(name, report, options.json === true)
        end(report.exitCode ?? exitCodes.done)
      })
    return command
  }
}

function examplesText(examples: Readonly<Record<string, string>>): string {
  const width = Math.max(...Object.keys(examples).map((words) => words.length))
  const lines = Object.entries(examples).map(([words, what]) => `  tenantry ${words.padEnd(width)}  ${what}`)
  return `\nExamples:\n${lines.join('\n')}`
}
