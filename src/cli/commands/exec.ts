import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { type Command, Option } from 'commander'
import { TenantryError } from '../../kernel/errors.ts'
import { commandEnvironment } from '../command-environment.ts'
import { defineCommand } from '../define-command.ts'
import type { CommonOptions } from '../tools.ts'

interface Options extends CommonOptions {
  readonly asOwner?: boolean
  readonly asAdministrator?: boolean
  readonly asTenant?: boolean
}

/** `tenantry exec` */
export const exec = defineCommand<Options>(
  {
    usage: 'exec <id> <command...>',
    summary: "Run a command with a tenant's connection in its environment",
    examples: {
      'exec acme psql': "a session in the tenant's database",
      'exec acme --as-tenant psql': "the same as the tenant's own role",
      'exec acme --as-administrator pg_dump': 'a backup of one tenant',
      "exec acme -- sh -c 'echo $PGDATABASE'": 'PGHOST and the others are set, and DATABASE_URL',
    },
  },
  (command) =>
    takingOptionsAfterId(command)
      .addOption(
        new Option(
          '--as-owner',
          "as the owner of the tenant's tables, so that the tenant can use what is created (the default)",
        ).conflicts(['asAdministrator', 'asTenant']),
      )
      .addOption(new Option('--as-administrator', 'as the role that administers, itself').conflicts('asTenant'))
      .option('--as-tenant', "as the tenant's own role, with nothing else of this environment but PATH and the like"),
  async (tools, [id, words], options) => {
    const as = options.asTenant ? 'tenant' : options.asAdministrator ? 'administrator' : 'owner'
    // It stays open for as long as the command runs: an embedded server would end with it.
    const exitCode = await tools.withTenantry('read', async (tenantry) => {
      const connection = await tenantry.tenants.environment(String(id), { as, signal: tools.signal })
      return runProgram(
        words as readonly string[],
        commandEnvironment(as, { ...connection, TENANTRY_TENANT: String(id) }),
      )
    })
    return { result: { id, exitCode }, lines: [], exitCode }
  },
)

/**
 * Allows a command's own options also between its first argument and the rest, and passes on all that follows the
 * second argument or two dashes. Commander passes on all that follows the first, so the rest is parsed once more.
 */
function takingOptionsAfterId(command: Command): Command {
  const parse = command.passThroughOptions().parseOptions.bind(command)
  command.parseOptions = (words) => {
    const { operands, unknown } = parse(words)
    const [id, ...rest] = operands
    if (id === undefined || unknown.length > 0) return { operands, unknown }
    const after = parse(rest)
    return { operands: [id, ...after.operands], unknown: after.unknown }
  }
  return command
}

function runProgram([program = '', ...words]: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  if (program === '') {
    throw new TenantryError('invalid-option', 'There is no command to run.', { hint: 'See: tenantry exec --help' })
  }
  const child = spawn(program, words, { stdio: 'inherit', env })
  // Ctrl-C is left to the command: psql cancels its query by it.
  const ignore = () => undefined
  const pass = (signal: NodeJS.Signals) => child.kill(signal)
  process.on('SIGINT', ignore).on('SIGTERM', pass).on('SIGHUP', pass)
  return new Promise((resolve, reject) => {
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGTERM']))
    child.once('error', (error) => reject(commandError(program, error)))
  })
}

function commandError(program: string, cause: Error): TenantryError {
  return new TenantryError('command-failed', `${program} cannot be run: ${cause.message}`, {
    cause,
    hint: 'Is it installed, and on the PATH?',
  })
}
