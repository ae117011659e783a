import type { Reconciled } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { exitCodes } from '../exit-codes.ts'
import { asValue, shown, table } from '../report.ts'
import type { CommonOptions } from '../tools.ts'

interface Options extends CommonOptions {
  readonly dryRun?: boolean
}

/** `tenantry reconcile` */
export const reconcile = defineCommand<Options>(
  {
    usage: 'reconcile',
    summary: 'Finish or undo interrupted work, and report the rest',
    examples: { 'reconcile --dry-run': 'only report the plan', reconcile: 'do it' },
  },
  (command) => command.option('--dry-run', 'change nothing'),
  (tools, _, { dryRun = false }) =>
    tools.withTenantry(dryRun ? 'read' : 'change', async (tenantry) => {
      const { signal, actor } = tools
      const result = await tools.progress('comparing the catalog with the servers', () =>
        tenantry.servers.reconcile({ dryRun, signal, actor }),
      )
      const { findings, isCatalogOlder, unreachable } = result
      return {
        result: { ...result, findings: findings.map((it) => ({ ...it, error: it.error && asValue(it.error) })) },
        lines: [
          ...(findings.length === 0 ? ['all is as it should be'] : findingTable(findings)),
          ...(isCatalogOlder ? ['', olderText] : []),
          ...unreachable.map((name) => `${shown(name)} did not answer: its databases are not covered.`),
        ],
        exitCode: findings.some(({ outcome }) => outcome === 'failed') ? exitCodes.failed : exitCodes.done,
      }
    }),
)

const olderText =
  'The servers have databases of this installation that the catalog does not know: it may be an older copy. Nothing is\n' +
  'undone or dropped until they are removed or in the catalog.'

function findingTable(findings: readonly Reconciled[]): string[] {
  return table([
    ['FOUND', 'ACTION', 'OUTCOME', 'TENANT', 'SERVER', 'DATABASE', 'WHAT'],
    ...findings.map(({ kind, action, outcome, tenant, server, database, what, error }) => [
      kind,
      action,
      outcome,
      tenant ?? '-',
      shown(server),
      database === undefined ? '-' : shown(database),
      error === undefined ? what : `${what} ${error.message} (${error.code})`,
    ]),
  ])
}
