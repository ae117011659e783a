import { readFile } from 'node:fs/promises'
import { text as readAll } from 'node:stream/consumers'
import { TenantryError } from '../../kernel/errors.ts'
import type { NewTenantOptions, OnboardOptions, Onboarded, Tenantry } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { exitCodes } from '../exit-codes.ts'
import { asValue, failureLine, type Report } from '../report.ts'
import { outcomeLine } from '../tenant-text.ts'
import type { CommonOptions, Tools } from '../tools.ts'
import { jsonObject, parseJson, RoundedError, parseWholeNumber } from '../words.ts'

interface Options extends CommonOptions {
  readonly displayName?: string
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly server?: string
  readonly refuseExisting?: boolean
  readonly from?: string
  readonly count?: number
  readonly prefix: string
}

/** `tenantry onboard` */
export const onboard = defineCommand<Options>(
  {
    usage: 'onboard [id...]',
    summary: 'Create tenants, each with its own database',
    examples: {
      'onboard acme': 'one tenant',
      "onboard acme --display-name 'Acme GmbH'": 'with a name for people',
      'onboard --from tenants.jsonl': 'an id on each line, or {"id":"acme",...}',
      'onboard --count 50 --prefix load-': 'load-1 to load-50, for trying out',
    },
  },
  (command) =>
    command
      .option('--display-name <text>', 'a name for people')
      .option('--metadata <json>', "the service's own notes, as a JSON object", jsonObject)
      .option('--server <name>', 'the server to place them on (default: the open server with the fewest tenants)')
      .option('--refuse-existing', 'fail if an id exists already')
      .option('--from <file>', 'read tenants from a file, one a line; - for standard input')
      .option('--count <number>', 'make this number of tenants', parseWholeNumber)
      .option('--prefix <text>', 'the prefix of the ids of --count', 'tenant-'),
  async (tools, [ids], options) => {
    const tenants = await wanted(ids as readonly string[], options)
    return tools.withTenantry('create', (tenantry) =>
      tools.progress(`0 of ${tenants.length}`, (update) => onboardAll(tenantry, tools, tenants, options, update)),
    )
  },
)

type Wanted = Pick<NewTenantOptions, 'displayName' | 'metadata'> & { readonly id: string }

async function wanted(
  ids: readonly string[],
  { from, count, prefix, displayName, metadata }: Options,
): Promise<Wanted[]> {
  const common = { ...(displayName !== undefined && { displayName }), ...(metadata !== undefined && { metadata }) }
  if (count !== undefined && count > mostNumbered) throw countError()
  const numbered = Array.from({ length: count ?? 0 }, (_, index) => ({ id: `${prefix}${index + 1}` }))
  const tenants = [...ids.map((id) => ({ id })), ...numbered, ...(from === undefined ? [] : await readTenants(from))]
  if (tenants.length > 0) return tenants.map((tenant) => ({ ...common, ...tenant }))
  throw new TenantryError('invalid-option', 'There is no tenant to onboard.', {
    hint: 'Give an id, --from <file> or --count <number>.',
  })
}

/** The largest number of tenants at once. A PostgreSQL server does not bear more databases. */
const mostNumbered = 100_000

function countError(): TenantryError {
  return new TenantryError('invalid-option', `--count must be at most ${mostNumbered}.`, {
    hint: 'Give a smaller number, or tenants of your own by --from <file>.',
  })
}

async function readTenants(file: string): Promise<Wanted[]> {
  const text = await (file === '-' ? readAll(process.stdin) : readFile(file, 'utf8')).catch((error: unknown) => {
    throw new TenantryError('invalid-option', `${file} cannot be read.`, { cause: error, hint: 'Check the name.' })
  })
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => (line.startsWith('{') ? parseTenant(line) : { id: line }))
}

function parseTenant(line: string): Wanted {
  const { id, displayName, metadata, ...others } = parseLine(line)
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw lineError(`The key ${JSON.stringify(unknown)} is unknown in this line`, line)
  if (typeof id !== 'string') throw lineError('This line has no id', line)
  // Values of other types are checked where they are used.
  return { id, ...(displayName !== undefined && { displayName }), ...(metadata !== undefined && { metadata }) }
}

function parseLine(line: string): Partial<Wanted> {
  try {
    return parseJson(line) as Partial<Wanted>
  } catch (error) {
    const isRounded = error instanceof RoundedError
    throw lineError(isRounded ? `${error.message} It is in this line` : 'This line is no JSON', line, error)
  }
}

function lineError(problem: string, line: string, cause?: unknown): TenantryError {
  return new TenantryError('invalid-option', `${problem}: ${line.slice(0, 80)}`, {
    cause,
    hint: 'Each line is an id, or {"id":"acme","displayName":"Acme GmbH","metadata":{}}.',
  })
}

/** The number of calls that run at once; Tenantry itself makes fewer at a time. */
const ahead = 16

async function onboardAll(
  tenantry: Tenantry<unknown>,
  { signal, actor }: Tools,
  tenants: readonly Wanted[],
  { server, refuseExisting }: Options,
  update: (text: string) => void,
): Promise<Report> {
  const done = new Map<number, Onboarded>()
  const failed = new Map<number, { id: string; error: TenantryError }>()
  const left = tenants.entries()
  const options: OnboardOptions = {
    signal,
    actor,
    ...(server !== undefined && { server }),
    ...(refuseExisting && { existing: 'refuse' }),
  }
  const work = async () => {
    for (const [index, { id, ...rest }] of left) {
      try {
        done.set(index, await tenantry.onboard(id, { ...options, ...rest }))
      } catch (error) {
        if (!(error instanceof TenantryError) || error.code === 'aborted' || tenants.length === 1) throw error
        failed.set(index, { id, error })
      }
      update(`${done.size + failed.size} of ${tenants.length}`)
    }
  }
  await Promise.all(Array.from({ length: Math.min(ahead, tenants.length) }, work))
  // In the order of the arguments, whichever was ready first.
  return report(inOrder(done), inOrder(failed))
}

function inOrder<T>(entries: ReadonlyMap<number, T>): T[] {
  return [...entries].toSorted(([one], [other]) => one - other).map(([, value]) => value)
}

function report(done: readonly Onboarded[], failed: readonly { id: string; error: TenantryError }[]): Report {
  return {
    result: { tenants: done, failed: failed.map(({ id, error }) => ({ id, error: asValue(error) })) },
    lines: [
      ...done.map(({ outcome, tenant }) => outcomeLine(outcome, tenant)),
      ...failed.map(({ id, error }) => failureLine(id, error)),
    ],
    exitCode: failed.length > 0 ? exitCodes.failed : exitCodes.done,
  }
}
