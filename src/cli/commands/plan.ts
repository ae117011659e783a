import { readFileSync, writeFileSync } from 'node:fs'
import { messageOf, TenantryError } from '../../kernel/errors.ts'
import { defineCommand } from '../define-command.ts'
import { exitCodes } from '../exit-codes.ts'
import { asValue } from '../report.ts'
import { planLines, planScript, preflightLines } from '../plan-text.ts'
import type { CommonOptions } from '../tools.ts'
import { repeated, parseWholeNumber } from '../words.ts'

interface Options extends CommonOptions {
  readonly from?: number
  readonly steps?: string
  readonly rename?: readonly string[]
  readonly save?: string
  readonly sql?: true
  readonly preflight?: true
}

/** `tenantry plan` */
export const plan = defineCommand<Options>(
  {
    usage: 'plan',
    summary: 'Plan how tenants of older versions get the tables of the models; changes none',
    examples: {
      plan: 'shows statements, locks and hazards',
      'plan --rename author.name=author.full_name': 'a column that has another name in the models',
      'plan --preflight': 'and which tenants have rows in the way',
      'plan --save rollout.json': 'to be reviewed, and started later as it is',
    },
  },
  (command) =>
    command
      .option('--from <number>', 'for one older version', parseWholeNumber)
      .option('--steps <file>', 'the SQL to run, in place of what would be planned')
      .option('--rename <names>', 'a renamed table or column, as old=new; may be repeated', repeated)
      .option('--save <file>', 'write the plan as JSON')
      .option('--sql', 'print the statements alone')
      .option('--preflight', 'count the rows of tenants on which it would fail'),
  (tools, _, { from, steps, rename = [], save, sql, preflight }) =>
    tools.withTenantry('change', async (tenantry) => {
      const options = {
        ...(from !== undefined && { from }),
        ...(steps !== undefined && { steps: [readText(steps)] }),
        renames: Object.fromEntries(rename.map(renameFrom)),
        signal: tools.signal,
      }
      const result = await tools.progress('planning', () => tenantry.rollouts.plan(options))
      if (save !== undefined) writeFileSync(save, `${JSON.stringify(result, null, 2)}\n`)
      const isWhole = result.from.every(({ left }) => left.length === 0)
      const lines = sql ? planScript(result) : planLines(result)
      if (!preflight) return { result, lines, exitCode: isWhole ? exitCodes.done : exitCodes.failed }
      const read = await tools.progress('reading tenants', (update) =>
        tenantry.rollouts.preflight(result, {
          signal: tools.signal,
          onProgress: ({ checked, total }) => update(`${checked} of ${total}`),
        }),
      )
      const failures = read.failures.map(({ error, ...failure }) => ({ ...failure, error: asValue(error) }))
      return {
        result: { ...result, preflight: { ...read, failures } },
        lines: [...lines, ...preflightLines(read)],
        exitCode: isWhole && read.outcome === 'passed' ? exitCodes.done : exitCodes.failed,
      }
    }),
)

function renameFrom(text: string): readonly [string, string] {
  const [from = '', to = '', ...others] = text.split('=')
  if (from !== '' && to !== '' && others.length === 0) return [from, to]
  throw new TenantryError('invalid-option', `--rename cannot be ${text}.`, {
    hint: 'Write the old name and the new one: --rename author.name=author.full_name.',
  })
}

/** Reads a file that was named on the command line. @throws `invalid-option` */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new TenantryError('invalid-option', `${file} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}
