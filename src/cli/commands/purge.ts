import { TenantryError } from '../../kernel/errors.ts'
import type { PurgedExpired, Tenant, Tenantry, TenantState } from '../../index.ts'
import { confirmByTyping } from '../confirm.ts'
import { defineCommand } from '../define-command.ts'
import { exitCodes } from '../exit-codes.ts'
import { asValue, coloured, failureLine, type Report, shown } from '../report.ts'
import { tenantTable } from '../tenant-text.ts'
import type { CommonOptions, Tools } from '../tools.ts'
import { parseWholeNumber } from '../words.ts'

interface Options extends CommonOptions {
  readonly expired?: boolean
  readonly limit: number
  readonly yes?: boolean
  readonly dryRun?: boolean
}

/** `tenantry purge` */
export const purge = defineCommand<Options>(
  {
    usage: 'purge [id]',
    summary: 'Destroy an offboarded tenant with all its data',
    examples: {
      'purge acme': "asks for the tenant's id to be typed",
      'purge acme --dry-run': 'shows what would be destroyed',
      'purge --expired --yes': 'all whose retention has ended: run it once a day',
    },
  },
  (command) =>
    command
      .option('--expired', 'all tenants whose retention has ended')
      .option('--limit <number>', 'at most this number of them', parseWholeNumber, 100)
      .option('-y, --yes', 'do not ask')
      .option('--dry-run', 'show the tenants, and destroy nothing'),
  (tools, [id], options) => {
    if ((id === undefined) === (options.expired !== true)) throw whatToPurgeError()
    return tools.withTenantry(options.dryRun ? 'read' : 'change', (tenantry) =>
      typeof id === 'string' ? purgeOne(tenantry, tools, id, options) : purgeAll(tenantry, tools, options),
    )
  },
)

const purgeable: ReadonlySet<TenantState> = new Set(['onboarding', 'offboarded', 'purging'])

async function purgeOne(tenantry: Tenantry<unknown>, tools: Tools, id: string, options: Options): Promise<Report> {
  const { signal, actor } = tools
  const tenant = await tenantry.tenants.get(id, { signal })
  if (tenant !== undefined) {
    // In a state that it refuses, purge itself reports that, without a question before.
    const isPurgeable = purgeable.has(tenant.state)
    if (options.dryRun) return dryRun(isPurgeable ? [tenant] : [])
    if (!options.yes && isPurgeable)
      await confirmByTyping(id, `This destroys ${id} with all its data (${shown(tenant.database)}).`, signal)
  } else if (options.dryRun) {
    return dryRun([])
  }
  const result = await tools.progress(`purging ${id}`, () => tenantry.tenants.purge(id, { signal, actor }))
  return { result: { ...result, id }, lines: [`${coloured('bold', id)}: ${result.outcome}`] }
}

async function purgeAll(tenantry: Tenantry<unknown>, tools: Tools, options: Options): Promise<Report> {
  const { signal, actor } = tools
  // The library takes them in the same order, and no more at once than a page has.
  const expired = await tenantry.tenants.list({ expired: true, limit: options.limit, signal })
  if (options.dryRun) return dryRun(expired)
  if (!options.yes && expired.length > 0) {
    const { installation } = await tenantry.status({ signal })
    await confirmByTyping(
      installation,
      `This destroys ${expired.length === 1 ? '1 tenant with all its' : `${expired.length} tenants with all their`} data.`,
      signal,
    )
  }
  if (expired.length === 0) return expiredReport({ purged: [], failed: [] })
  // No more than were shown, though others may have expired since.
  const limit = expired.length
  return expiredReport(await tools.progress('purging', () => tenantry.tenants.purgeExpired({ limit, signal, actor })))
}

function expiredReport({ purged, failed }: PurgedExpired): Report {
  return {
    result: { purged, failed: failed.map(({ tenant, error }) => ({ id: tenant, error: asValue(error) })) },
    lines: [
      ...purged.map((id) => `${coloured('bold', id)}: purged`),
      ...failed.map(({ tenant, error }) => failureLine(tenant, error)),
      ...(purged.length + failed.length === 0 ? ["No tenant's retention has ended."] : []),
    ],
    exitCode: failed.length > 0 ? exitCodes.failed : exitCodes.done,
  }
}

function dryRun(tenants: readonly Tenant[]): Report {
  return {
    result: { dryRun: true, tenants },
    lines: tenants.length === 0 ? ['Nothing would be destroyed.'] : ['Would be destroyed:', ...tenantTable(tenants)],
  }
}

function whatToPurgeError(): TenantryError {
  return new TenantryError('invalid-option', 'Which tenant is to be purged?', {
    hint: 'Give either an id or --expired.',
  })
}
