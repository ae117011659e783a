import { TenantryError } from '../../kernel/errors.ts'
import { printableLines } from '../../kernel/printable.ts'
import { eachTenant } from '../each-tenant.ts'
import type { CheckedTenant, Comparison, Difference, Tenantry } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { exitCodes } from '../exit-codes.ts'
import { asValue, coloured, failureLine, type Report, shown } from '../report.ts'
import { type CommonOptions, library, type Tools } from '../tools.ts'

interface Options extends CommonOptions {
  readonly url?: string
  readonly exact?: true
}

/** `tenantry check` */
export const check = defineCommand<Options>(
  {
    usage: 'check [id...]',
    summary: 'Compare databases with the models; exit with 1 on a difference',
    examples: {
      check: 'those of all tenants in service, or suspended',
      'check acme globex': 'those of two tenants',
      'check --url postgresql://app@localhost/app': 'a single database, as in CI',
    },
  },
  (command) =>
    command
      .option('--url <url>', "a single database instead of tenants'")
      .option('--exact', 'count extra objects as differences'),
  async (tools, [ids], { url, exact = false }) => {
    const given = ids as readonly string[]
    if (url === undefined) return checkTenants(tools, given, { exact, against: 'models' })
    if (given.length > 0) {
      throw new TenantryError('invalid-option', 'Both tenants and a database were named.', {
        hint: 'Give either ids or --url.',
      })
    }
    return checkOne(tools, url, exact)
  },
)

async function checkOne(tools: Tools, url: string, exact: boolean): Promise<Report> {
  const { models } = await tools.config()
  const { checkDatabase } = await library()
  const result = await checkDatabase(url, models, { exact, signal: tools.signal })
  const { outcome, database } = result
  return {
    result,
    lines:
      result.outcome === 'database-missing'
        ? [`${shown(database)}: is missing`]
        : differences(database, result, result, { exact, against: 'models' }),
    exitCode: outcome === 'matches' ? exitCodes.done : exitCodes.failed,
  }
}

interface Checked {
  readonly id: string
  readonly outcome: CheckedTenant['outcome'] | 'failed'
  readonly comparison?: Omit<CheckedTenant, 'outcome'>
  readonly error?: TenantryError
}

/** The comparison that is made of each database. */
interface HowToCheck {
  readonly exact: boolean
  readonly against: 'models' | 'version'
}

/** Compares the databases of the given tenants, or of all that are active or suspended. */
export function checkTenants(tools: Tools, given: readonly string[], how: HowToCheck): Promise<Report> {
  return tools.withTenantry('read', async (tenantry) => {
    const ids = given.length > 0 ? given : await idsInService(tenantry, tools.signal)
    const checked = await tools.progress(`0 of ${ids.length}`, (update) =>
      checkAll(tenantry, { ids, ...how, signal: tools.signal }, update),
    )
    return {
      result: { tenants: checked.map(({ error, ...rest }) => ({ ...rest, ...(error && { error: asValue(error) }) })) },
      lines: checked.length === 0 ? ['No tenants.'] : checked.flatMap((it) => linesOf(it, how)),
      exitCode: checked.every(({ outcome }) => outcome === 'matches') ? exitCodes.done : exitCodes.failed,
    }
  })
}

async function idsInService(tenantry: Tenantry<unknown>, signal: AbortSignal): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of eachTenant(tenantry, { state: ['active', 'suspended'], signal })) ids.push(id)
  return ids
}

/** The number of databases that are checked at once. */
const atOnce = 4

interface Checking extends HowToCheck {
  readonly ids: readonly string[]
  readonly signal: AbortSignal
}

async function checkAll(
  tenantry: Tenantry<unknown>,
  checking: Checking,
  update: (text: string) => void,
): Promise<Checked[]> {
  const checked: Checked[] = []
  const { ids } = checking
  const left = ids.values()
  const work = async () => {
    for (const id of left) {
      checked.push(await printTenantCheck(tenantry, id, checking))
      update(`${checked.length} of ${ids.length}`)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return checked.toSorted((one, other) => (one.id < other.id ? -1 : 1))
}

async function printTenantCheck(
  tenantry: Tenantry<unknown>,
  id: string,
  { ids, signal, exact, against }: Checking,
): Promise<Checked> {
  try {
    const { outcome, ...comparison } = await tenantry.tenants.check(id, { exact, against, signal })
    return { id, outcome, comparison }
  } catch (error) {
    if (!(error instanceof TenantryError) || error.code === 'aborted' || ids.length === 1) throw error
    return { id, outcome: 'failed', error }
  }
}

function linesOf({ id, outcome, comparison, error }: Checked, how: HowToCheck): string[] {
  if (error !== undefined) return [failureLine(id, error)]
  return comparison === undefined ? [] : differences(id, { outcome }, comparison, how)
}

type Found = Pick<Comparison, 'missing' | 'differing' | 'extra'> & Pick<Partial<CheckedTenant>, 'privileges'>

function differences(
  of: string,
  { outcome }: { readonly outcome: string },
  { missing, differing, extra, privileges = [] }: Found,
  { exact, against }: HowToCheck,
): string[] {
  const name = shown(of)
  const other = against === 'models' ? 'the models' : 'its version'
  const differs = missing.length + differing.length + (exact ? extra.length : 0) > 0
  return [
    `${name}: ${headline(outcome, differs, other)}`,
    ...missing.map((object) => `  ${object.kind} ${shown(object.name)} is missing`),
    ...differing.flatMap((object) => [
      `  ${object.kind} ${shown(object.name)} differs`,
      ...object.differences.flatMap(differenceLines),
    ]),
    ...extra.flatMap((it) => [
      `  ${it.object.kind} ${shown(it.object.name)} is not part of ${other}`,
      ...(exact ? statementLines(it.statements, '    ') : []),
    ]),
    ...privileges.flatMap(({ kind, name: object, owner, statements }) => [
      `  ${kind} ${shown(object)} belongs to ${shown(owner)}, and the tenant lacks privileges on it`,
      ...statementLines(statements, '    '),
    ]),
  ]
}

function headline(outcome: string, differs: boolean, other: string): string {
  if (outcome === 'matches') return coloured('green', `matches ${other}`)
  if (outcome === 'unverified' && other === 'the models')
    return coloured('red', 'has all objects of the models; their structure could not be compared')
  if (outcome === 'unverified')
    return coloured('red', 'could not be compared: the structure of its version is not known')
  return coloured('red', differs ? `differs from ${other}` : `matches ${other}, but not all of it can be used`)
}

function differenceLines({ change, object, found, expected, statements }: Difference): string[] {
  const what = `    ${object.kind} ${shown(object.name)}`
  const line = change === 'missing' ? `${what} is missing:` : `${what} is ${shown(found ?? '')}, not:`
  return [`${line} ${shown(expected ?? '')}`, ...statementLines(statements, '      ')]
}

function statementLines(statements: readonly string[], indent: string): string[] {
  return statements.map((statement) => coloured('dim', `${indent}${printableLines(statement)}`))
}
