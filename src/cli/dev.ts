import { once } from 'node:events'
import { defineCommand } from 'citty'
import { developmentServer } from '../embedded/index.ts'
import { TenantryError } from '../kernel/errors.ts'

/** `tenantry dev`: keeps the project's development server up until it is interrupted. */
export const dev = defineCommand({
  meta: { name: 'dev', description: 'Run the embedded PostgreSQL of this project until Ctrl-C' },
  args: {
    port: {
      type: 'string',
      valueHint: 'number',
      description: 'TCP port; by default that of the last time, or a free one',
    },
    'data-dir': {
      type: 'string',
      valueHint: 'folder',
      description: 'Where its data lies; by default .tenantry/postgres',
    },
  },
  async run({ args, rawArgs }) {
    refuseUnknown(args, rawArgs)
    const port = args.port === undefined ? undefined : Number(args.port)
    const server = await developmentServer({ port, dataDir: args['data-dir'], announce: () => {} })
    console.log(`PostgreSQL ${server.version} is ready (${server.outcome}), for development only.`)
    console.log(`  URL            ${server.url}`)
    console.log(`  password file  ${server.passwordFile}`)
    console.log(`  log            ${server.logFile}`)
    console.log('Press Ctrl-C to stop it.')
    await interruption()
    await server.stop()
    console.log('Stopped.')
  },
})

/** citty passes over what it does not know, and a mistyped option must not go unnoticed. */
function refuseUnknown(args: object, words: readonly string[]): void {
  const known = new Set(['port', 'data-dir', 'dataDir', '_'])
  const unknown = Object.keys(args).find((name) => !known.has(name))
  if (unknown !== undefined) throw invalid(`Unknown option --${unknown}.`)
  const rest: unknown = '_' in args ? args._ : []
  if (Array.isArray(rest) && rest.length > 0)
    throw invalid(`Unexpected ${JSON.stringify(rest[0])} in: ${words.join(' ')}`)
}

function invalid(message: string): TenantryError {
  return new TenantryError('invalid-option', message, { hint: 'See: tenantry dev --help' })
}

/** Waits for Ctrl-C, or for being asked to end. */
async function interruption(): Promise<void> {
  // A listener to a signal does not keep a process alive.
  const alive = setInterval(() => {}, 2 ** 30)
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), once(process, 'SIGHUP')])
  clearInterval(alive)
}
