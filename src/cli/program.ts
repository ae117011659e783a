import { Argument, Command } from 'commander'
import { closestMatch } from 'leven'
import { TenantryError } from '../kernel/errors.ts'
import { accept } from './commands/accept.ts'
import { adopt } from './commands/adopt.ts'
import { check } from './commands/check.ts'
import { clone } from './commands/clone.ts'
import { dev } from './commands/dev.ts'
import { doctor } from './commands/doctor.ts'
import { addDomain, domains, removeDomain, verifyDomain } from './commands/domains.ts'
import { drift } from './commands/drift.ts'
import { ensure } from './commands/ensure.ts'
import { exec } from './commands/exec.ts'
import { init } from './commands/init.ts'
import { list } from './commands/list.ts'
import { onboard } from './commands/onboard.ts'
import { plan } from './commands/plan.ts'
import { purge } from './commands/purge.ts'
import { reconcile } from './commands/reconcile.ts'
import { removeTemplates } from './commands/remove-templates.ts'
import { restamp } from './commands/restamp.ts'
import { rotateCredentials } from './commands/rotate-credentials.ts'
import { offboard, restore, resume, suspend } from './commands/service-state.ts'
import { show } from './commands/show.ts'
import { setDesired } from './commands/set-desired.ts'
import { abortRollout, pauseRollout, resumeRollout, retryRollout } from './commands/rollout-state.ts'
import { showRollout } from './commands/show-rollout.ts'
import { startRollout } from './commands/start-rollout.ts'
import { work } from './commands/work.ts'
import { status } from './commands/status.ts'
import { update } from './commands/update.ts'
import { completionScript, type Shell, shells } from './completion.ts'
import type { CommandFactory, Runner } from './define-command.ts'

/** The commands, grouped as the help shows them. */
const groups: Readonly<Record<string, readonly CommandFactory[]>> = {
  'Begin:': [init, dev, doctor, ensure, check],
  'Tenants:': [onboard, list, show, update, clone, adopt],
  'In and out of service:': [suspend, resume, offboard, restore, purge],
  'Domains:': [addDomain, verifyDomain, removeDomain, domains],
  'New versions:': [
    plan,
    startRollout,
    showRollout,
    pauseRollout,
    resumeRollout,
    retryRollout,
    abortRollout,
    work,
    drift,
    accept,
    setDesired,
  ],
  'Operate:': [status, exec, rotateCredentials, reconcile, restamp, removeTemplates],
}

/** Makes the whole command line. Words that it does not understand throw a CommanderError. */
export function makeProgram(version: string, runner: Runner): Command {
  const program = new Command('tenantry')
    .description('Databases and tables on demand, a database for each tenant.')
    .version(version, '-v, --version', 'print the version')
    .enablePositionalOptions()
    .helpCommand(false)
    .addHelpText('after', '\nMore on a command: tenantry <command> --help')
  for (const [heading, commands] of Object.entries(groups)) {
    for (const command of commands) program.addCommand(command(runner).helpGroup(heading))
  }
  program.addCommand(completion(program).helpGroup('Operate:'))
  program.addCommand(help(program).helpGroup('Operate:'))
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

/** Makes the command `help`. Commander's own prints all commands if it does not know the given one. */
function help(program: Command): Command {
  return new Command('help')
    .summary('Show how a command is used')
    .description('Show how a command is used.')
    .argument('[command]')
    .addHelpText('after', '\nExamples:\n  tenantry help onboard')
    .action((name?: string) => {
      const command = name === undefined ? program : program.commands.find((it) => it.name() === name)
      if (command === undefined) throw unknownCommand(name ?? '', program)
      command.outputHelp()
    })
}

function unknownCommand(name: string, program: Command): TenantryError {
  const names = program.commands.map((it) => it.name())
  const meant = closestMatch(name, names, { maxDistance: 2 })
  return new TenantryError('invalid-option', `Unknown command '${name}'.`, {
    hint: `${meant === undefined ? '' : `Did you mean ${meant}? `}See: tenantry --help`,
  })
}

/** Makes Commander throw instead of ending the process, and leave the printing of errors to us. */
function quiet(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => undefined })
  command.showSuggestionAfterError(true)
}
