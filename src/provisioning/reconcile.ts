import { type Cancellable, untilAborted } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { refuseUnknownOptions } from '../kernel/options.ts'
import type { TenantRow } from '../catalog/tenant.ts'
import type { DatabaseInfo, Server } from '../server/port.ts'
import type { ProvisioningContext, VerbOptions } from './context.ts'
import { finishMaking } from './make-tenant.ts'
import { offboard } from './offboard.ts'
import { finishPurge, isNoLonger, takeBack } from './purge.ts'
import { type Finding, type Inventory, planReconcile } from './reconcile-plan.ts'
import { clearLeftovers } from './retire.ts'

/** Options of `reconcile`. */
export interface ReconcileOptions extends VerbOptions {
  /** Only says what would be done. */
  readonly dryRun?: boolean
}

/** A finding, and what came of it. */
export interface Reconciled extends Finding {
  /**
   * `planned` where nothing was to be done yet, `done`, `busy` where a process is at work on that tenant at the moment,
   * `left` to a person, `failed` with the error.
   */
  readonly outcome: 'planned' | 'done' | 'busy' | 'left' | 'failed'
  readonly error: TenantryError | undefined
}

/** What came of bringing catalog and servers into agreement. */
export interface Reconciliation {
  readonly findings: readonly Reconciled[]
  /** The servers have stamps that the catalog does not know: nothing that destroys was done. */
  readonly isCatalogOlder: boolean
  /** The servers that did not answer. Nothing is known of what is on them. */
  readonly unreachable: readonly string[]
}

/**
 * Finishes or takes back what was interrupted, and reports what is for a person to decide. Twice in a row changes
 * nothing the second time.
 *
 * It touches only what a row with its random id, or that id in a name, shows to be this installation's own, and only
 * while nobody else is at work on it. If the servers have stamps that the catalog does not know, it destroys nothing.
 *
 * @throws `invalid-option`, and what may be wrong with the connection to the catalog; what goes wrong with one finding is
 *   in its outcome
 */
export async function reconcile(context: ProvisioningContext, options: ReconcileOptions): Promise<Reconciliation> {
  refuseUnknownOptions('reconcile', options, ['dryRun', 'actor', 'signal'])
  const { inventory, unreachable } = await takeStock(context, options)
  const { findings, isCatalogOlder } = planReconcile(inventory)
  const reconciled: Reconciled[] = []
  for (const finding of findings) {
    reconciled.push(options.dryRun === true ? planned(finding) : await carryOut(context, finding, inventory, options))
  }
  return { findings: reconciled, isCatalogOlder, unreachable }
}

/** Everything that is known of an installation: all rows, and all databases of every server that answers. */
async function takeStock(
  context: ProvisioningContext,
  options: Cancellable,
): Promise<{ inventory: Inventory; unreachable: readonly string[] }> {
  const { servers, installation, installationId } = context
  const before = await untilAborted(recordsOf(context), options.signal)
  const databases = new Map<string, readonly DatabaseInfo[]>()
  const unreachable: string[] = []
  for (const server of servers.values()) {
    const found = await databasesOn(context, server, options).catch(unreachableAsUndefined)
    if (found === undefined) unreachable.push(server.name)
    else databases.set(server.name, found)
  }
  // What came, went or changed meanwhile is somebody's work under way, and in order.
  const after = await untilAborted(recordsOf(context), options.signal)
  const records = {
    tenants: unchanged(before.tenants, after.tenants),
    templates: unchanged(before.templates, after.templates),
    spares: unchanged(before.spares, after.spares),
  }
  const all = [before, after].flatMap(({ tenants, templates, spares }) => [...tenants, ...templates, ...spares])
  const knownRows = new Set(all.map(({ rowId }) => rowId))
  const knownTenants = new Set([...before.tenants, ...after.tenants].map(({ rowId }) => rowId))
  return { inventory: { installation, installationId, ...records, knownRows, knownTenants, databases }, unreachable }
}

async function recordsOf({ catalog, stock }: ProvisioningContext) {
  return {
    tenants: await allTenants(catalog),
    templates: await stock.allTemplates(),
    spares: await stock.allSpares(),
  }
}

function unchanged<Row extends { readonly rowId: string; readonly state: string }>(
  before: readonly Row[],
  after: readonly Row[],
): readonly Row[] {
  const states = new Map(before.map(({ rowId, state }) => [rowId, state]))
  return after.filter(({ rowId, state }) => states.get(rowId) === state)
}

const pageSize = 1_000

async function allTenants(catalog: ProvisioningContext['catalog']): Promise<readonly TenantRow[]> {
  const all: TenantRow[] = []
  for (;;) {
    const page = await catalog.list({}, pageSize, all.at(-1)?.id)
    all.push(...page)
    if (page.length < pageSize) return all
  }
}

async function databasesOn(
  { installation, installationId, connect }: ProvisioningContext,
  server: Server,
  options: Cancellable,
): Promise<readonly DatabaseInfo[]> {
  const session = await connect(server, options)
  try {
    return await server.find(session, { prefix: `${installation}_`, comment: installationId })
  } finally {
    await session.close()
  }
}

function unreachableAsUndefined(error: unknown): undefined {
  const codes: readonly string[] = ['server-unreachable', 'unknown-host', 'connection-lost', 'too-many-connections']
  if (error instanceof TenantryError && codes.includes(error.code)) return undefined
  throw error
}

function planned(finding: Finding): Reconciled {
  return { ...finding, outcome: finding.action === 'none' ? 'left' : 'planned', error: undefined }
}

async function carryOut(
  context: ProvisioningContext,
  finding: Finding,
  { tenants }: Inventory,
  options: ReconcileOptions,
): Promise<Reconciled> {
  if (finding.action === 'none') return { ...finding, outcome: 'left', error: undefined }
  const row = tenants.find(({ id }) => id === finding.tenant)
  try {
    const isFree = row === undefined || (await isNobodyAtWork(context, row, options))
    if (!isFree) return { ...finding, outcome: 'busy', error: undefined }
    if (row === undefined) await clearLeftovers(context, finding.server, options)
    else await settle(context, row, finding, options)
    return { ...finding, outcome: 'done', error: undefined }
  } catch (error) {
    if (!(error instanceof TenantryError) || error.code === 'aborted') throw error
    // Somebody finished it, or took it back, since it was looked at.
    if (isNoLonger(error)) return { ...finding, outcome: 'done', error: undefined }
    return { ...finding, outcome: 'failed', error }
  }
}

/** Whoever works on a tenant holds its lock: what is in the making is not interrupted. */
async function isNobodyAtWork(context: ProvisioningContext, { id }: TenantRow, options: Cancellable): Promise<boolean> {
  const session = await context.connect(context.home, options)
  try {
    return await session.tryLock(`tenant:${id}`, 'exclusive')
  } finally {
    await session.close()
  }
}

/** Each looks again under the tenant's lock whether it is still as it was found. */
async function settle(
  context: ProvisioningContext,
  row: TenantRow,
  { action }: Finding,
  { actor, signal }: ReconcileOptions,
): Promise<void> {
  const options = { signal, ...(actor !== undefined && { actor }) }
  if (action === 'undo') await takeBack(context, row, options)
  else if (row.state === 'purging') await finishPurge(context, row, options)
  else if (row.state === 'onboarding') await finishMaking(context, row, options)
  else await finishOffboarding(context, row, options)
}

/** The row says offboarded, and the database still has its name. */
async function finishOffboarding(context: ProvisioningContext, row: TenantRow, options: VerbOptions): Promise<void> {
  const now = await context.catalog.find(row.id)
  if (now?.rowId === row.rowId && now.state === 'offboarded') await offboard(context, row.id, options)
}
