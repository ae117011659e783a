import { Argument, Command } from 'commander'
import { adopt } from './commands/adopt.ts'
import { check } from './commands/check.ts'
import { clone } from './commands/clone.ts'
import { dev } from './commands/dev.ts'
import { ensure } from './commands/ensure.ts'
import { exec } from './commands/exec.ts'
import { init } from './commands/init.ts'
import { list } from './commands/list.ts'
import { onboard } from './commands/onboard.ts'
import { purge } from './commands/purge.ts'
import { offboard, restore, resume, suspend } from './commands/service-state.ts'
import { show } from './commands/show.ts'
import { status } from './commands/status.ts'
import { update } from './commands/update.ts'
import { completionScript, type Shell, shells } from './completion.ts'
import type { CommandFactory, Runner } from './define-command.ts'

/** The commands, grouped as the help shows them. */
const groups: Readonly<Record<string, readonly CommandFactory[]>> = {
  'Begin:': [init, dev, ensure, check],
  'Tenants:': [onboard, list, show, update, clone, adopt],
  'In and out of service:': [suspend, resume, offboard, restore, purge],
  'Operate:': [status, exec],
}

/** The whole command line. What it does not understand it throws as a CommanderError. */
export function makeProgram(version: string, runner: Runner): Command {
  const program = new Command('tenantry')
    .description('Databases and tables on demand, a database for each tenant.')
    .version(version, '-v, --version', 'print the version')
    .enablePositionalOptions()
    .addHelpText('after', '\nMore on a command: tenantry <command> --help')
  for (const [heading, commands] of Object.entries(groups)) {
    for (const command of commands) program.addCommand(command(runner).helpGroup(heading))
  }
  program.addCommand(completion(program).helpGroup('Operate:'))
  for (const command of [program, ...program.commands]) quiet(command)
  return program
}

function completion(program: Command): Command {
  const examples = [
    ['source <(tenantry completion bash)', 'in ~/.bashrc'],
    ['source <(tenantry completion zsh)', 'in ~/.zshrc, after compinit'],
    ['tenantry completion fish | source', 'in ~/.config/fish/config.fish'],
  ]
  const lines = examples.map(([words = '', what = '']) => `  ${words.padEnd(36)}  ${what}`)
  return new Command('completion')
    .summary('Print a script that completes commands and options')
    .description('Print a script that completes commands and options.')
    .addArgument(new Argument('<shell>', 'whose script').choices(shells))
    .addHelpText('after', `\nExamples:\n${lines.join('\n')}`)
    .action((shell: Shell) => {
      process.stdout.write(`${completionScript(program, shell)}\n`)
    })
}

/** Commander throws instead of ending the process, and leaves it to us to print errors. */
function quiet(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => undefined })
  command.showSuggestionAfterError(true)
}
