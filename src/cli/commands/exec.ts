import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { TenantryError } from '../../kernel/errors.ts'
import { defineCommand } from '../define-command.ts'
import type { CommonOptions } from '../tools.ts'

interface Options extends CommonOptions {
  readonly asTenant?: boolean
}

/** `tenantry exec` */
export const exec = defineCommand<Options>(
  {
    usage: 'exec <id> <command...>',
    summary: "Run a command with a tenant's connection in its environment",
    examples: {
      'exec acme psql': "a session in the tenant's database",
      'exec --as-tenant acme psql': "the same as the tenant's own role",
      'exec acme -- pg_dump -Fc -f acme.dump': 'a backup of one tenant',
      "exec acme -- sh -c 'echo $PGDATABASE'": 'PGHOST and the others are set, and DATABASE_URL',
    },
  },
  (command) =>
    command.option('--as-tenant', "as the tenant's own role, instead of the one that administers").passThroughOptions(),
  async (tools, [id, words], { asTenant = false }) => {
    // It stays open for as long as the command runs: an embedded server would end with it.
    const exitCode = await tools.withTenantry(async (tenantry) => {
      const as = asTenant ? 'tenant' : 'administrator'
      const environment = await tenantry.environment(String(id), { as, signal: tools.signal })
      const tenant = { ...environment, TENANTRY_TENANT: String(id) }
      return run(withoutDashes(words as readonly string[]), tenant)
    })
    return { result: { id, exitCode }, lines: [], exitCode }
  },
)

/** Two dashes say that what follows is the command's. */
function withoutDashes(words: readonly string[]): readonly string[] {
  return words[0] === '--' ? words.slice(1) : words
}

function run([program = '', ...words]: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  if (program === '') {
    throw new TenantryError('invalid-option', 'There is no command to run.', { hint: 'See: tenantry exec --help' })
  }
  const child = spawn(program, words, { stdio: 'inherit', env: { ...inherited(), ...environment } })
  // Ctrl-C is the command's own affair: psql cancels its query by it.
  const ignore = () => undefined
  const pass = (signal: NodeJS.Signals) => child.kill(signal)
  process.on('SIGINT', ignore).on('SIGTERM', pass).on('SIGHUP', pass)
  return new Promise((resolve, reject) => {
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGTERM']))
    child.once('error', (error) => reject(commandError(program, error)))
  })
}

/** Variables that libpq heeds before PGHOST and PGDATABASE, or that belong to another connection. */
const othersConnection = ['PGSERVICE', 'PGSERVICEFILE', 'PGHOSTADDR', 'PGOPTIONS', 'PGPASSWORD', 'PGPASSFILE']

function inherited(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !othersConnection.includes(name)))
}

function commandError(program: string, cause: Error): TenantryError {
  return new TenantryError('command-failed', `${program} cannot be run: ${cause.message}`, {
    cause,
    hint: 'Is it installed, and on the PATH?',
  })
}
