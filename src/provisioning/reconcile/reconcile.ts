import { type Cancellable, untilAborted } from '../../kernel/abort.ts'
import { hasCode, TenantryError } from '../../kernel/errors.ts'
import { type Identifier, physicalNames } from '../../kernel/names.ts'
import { eachOf } from '../../kernel/pages.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type { DatabaseInfo, Server } from '../../server/port.ts'
import { withSession } from '../../server/with-session.ts'
import { requireServer } from '../../server/require-server.ts'
import { takeTransition } from '../tenants/transitions.ts'
import type { ProvisioningContext, VerbOptions } from '../context.ts'
import { endAllSessions } from '../drain.ts'
import { dismiss } from '../roles/helper-login.ts'
import { onServerOf, tenantLock, underLock } from '../locks/locked-work.ts'
import { finishMaking } from '../tenants/make-tenant.ts'
import { offboard } from '../tenants/offboard.ts'
import { finishPurge, isNoLonger, removeUnfinished } from '../tenants/purge.ts'
import { type Finding, type Snapshot, planReconcile } from './reconcile-plan.ts'
import { clearLeftovers } from '../templates/retire.ts'
import { dropOurRole, enableLogin, workOf } from '../roles/separation.ts'
import { disagreeError, findDatabase, type FoundDatabase, isNewer } from '../tenants/tenant-names.ts'

/** Options of `reconcile`. */
export interface ReconcileOptions extends VerbOptions {
  /** Only reports the planned actions. */
  readonly dryRun?: boolean
}

/** A finding, and its result. */
export interface Reconciled extends Finding {
  /**
   * `planned` if nothing was to be done yet, `done`, `busy` if a process is working on that tenant at the moment,
   * `left` to a person, `failed` with the error.
   */
  readonly outcome: 'planned' | 'done' | 'busy' | 'left' | 'failed'
  readonly error: TenantryError | undefined
}

/** The result of bringing catalog and servers into agreement. */
export interface Reconciliation {
  readonly findings: readonly Reconciled[]
  /** True if the servers have stamps that the catalog does not know: nothing was undone or dropped. */
  readonly isCatalogOlder: boolean
  /** The servers that did not answer. Their databases are not covered. */
  readonly unreachable: readonly string[]
}

/**
 * Finishes or undoes interrupted work, and reports problems that a person has to decide on. A second call in a row
 * changes nothing. It changes only objects that a row with its random id, or that id in a name, proves to be this
 * installation's own, and only while no process is working on them. If the servers have stamps that the catalog does
 * not know, it destroys nothing.
 */
export async function reconcile(context: ProvisioningContext, options: ReconcileOptions): Promise<Reconciliation> {
  const { snapshot, unreachable } = await takeSnapshot(context, options)
  const { findings, isCatalogOlder } = planReconcile(snapshot)
  const reconciled: Reconciled[] = []
  for (const finding of findings) {
    reconciled.push(options.dryRun === true ? planned(finding) : await carryOutAll(context, finding, snapshot, options))
  }
  return { findings: reconciled, isCatalogOlder, unreachable }
}

/** The limits of the work at the start of a process. */
const atStart = { tenants: 100, ms: 60_000 }

/**
 * Reconciles within limits: only tenants whose making or purge has stood still for `leftBehindMinutes`, a limited
 * number of them, and for a limited time. The rest is left to the next process that opens, or to `reconcile` itself.
 */
export async function reconcileLeftBehind(context: ProvisioningContext, { signal }: Cancellable): Promise<void> {
  const since = performance.now()
  const limit = AbortSignal.any([AbortSignal.timeout(atStart.ms), ...(signal === undefined ? [] : [signal])])
  const counts = { done: 0, failed: 0 }
  let error: TenantryError | undefined
  try {
    for await (const outcome of tidying(context, { signal: limit, actor: 'tenantry at start-up' })) {
      if (outcome === 'done' || outcome === 'failed') counts[outcome]++
    }
  } catch (cause) {
    if (!(cause instanceof TenantryError)) throw cause
    error = cause
  }
  context.emit({ event: 'reconciled', ...counts, error, durationMs: performance.now() - since })
}

async function* tidying(
  context: ProvisioningContext,
  options: ReconcileOptions,
): AsyncGenerator<Reconciled['outcome'], void> {
  const leftBehind = await untilAborted(context.catalog.leftBehind(atStart.tenants), options.signal)
  const { snapshot } = await takeSnapshot(context, options)
  for (const finding of planReconcile(snapshot).findings) {
    if (finding.tenant === undefined || !leftBehind.has(finding.tenant)) continue
    yield (await carryOutAll(context, finding, snapshot, options)).outcome
  }
}

/** Reads everything about an installation: all rows, and all databases of every server that answers. */
async function takeSnapshot(
  context: ProvisioningContext,
  options: Cancellable,
): Promise<{ snapshot: Snapshot; unreachable: readonly string[] }> {
  const { home, servers, installation, installationId } = context
  const before = await untilAborted(recordsOf(context), options.signal)
  const databases = new Map<string, readonly DatabaseInfo[]>()
  const logins = new Map<string, Logins>()
  const unreachable: string[] = []
  for (const server of servers.values()) {
    const found = await inspectServer(context, server, options).catch(unreachableAsUndefined)
    if (found === undefined) unreachable.push(server.name)
    else {
      databases.set(server.name, found.databases)
      logins.set(server.name, found.logins)
    }
  }
  // A difference between two looks is work under way, and in order.
  const after = await untilAborted(recordsOf(context), options.signal)
  const records = {
    tenants: unchanged(before.tenants, after.tenants),
    templates: unchanged(before.templates, after.templates),
    spares: unchanged(before.spares, after.spares),
  }
  const all = [before, after].flatMap(({ tenants, templates, spares }) => [...tenants, ...templates, ...spares])
  const knownRows = new Set(all.map(({ rowId }) => rowId))
  const knownTenants = new Set([...before.tenants, ...after.tenants].map(({ rowId }) => rowId))
  return {
    snapshot: {
      installation,
      installationId,
      home: home.name,
      ...records,
      knownRows,
      knownTenants,
      databases,
      logins,
    },
    unreachable,
  }
}

async function recordsOf({ catalog, inventory }: ProvisioningContext) {
  return {
    tenants: await allTenants(catalog),
    templates: await inventory.allTemplates(),
    spares: await inventory.allSpares(),
  }
}

function unchanged<Row extends { readonly rowId: string; readonly state: string; readonly transition?: number }>(
  before: readonly Row[],
  after: readonly Row[],
): readonly Row[] {
  const known = new Map(before.map((row) => [row.rowId, row]))
  return after.filter(({ rowId, state, transition }) => {
    const row = known.get(rowId)
    return row?.state === state && row.transition === transition
  })
}

const pageSize = 1_000

async function allTenants(catalog: ProvisioningContext['catalog']): Promise<readonly TenantRow[]> {
  const all: TenantRow[] = []
  for await (const row of eachOf<TenantRow>(pageSize, (after) => catalog.list({}, pageSize, after?.id))) all.push(row)
  return all
}

type Logins = ReadonlyMap<Identifier, { readonly canLogIn: boolean }>

async function inspectServer(
  { installation, installationId, connect }: ProvisioningContext,
  server: Server,
  options: Cancellable,
): Promise<{ databases: readonly DatabaseInfo[]; logins: Logins }> {
  return withSession(connect(server, options), async (session) => {
    const databases = await server.databases.find(session, { prefix: `${installation}_`, comment: installationId })
    return { databases, logins: await server.roles.find(session, physicalNames.loginPrefix(installation)) }
  })
}

function unreachableAsUndefined(error: unknown): undefined {
  if (hasCode(error, 'server-unreachable', 'unknown-host', 'connection-lost', 'too-many-connections')) return undefined
  throw error
}

function planned(finding: Finding): Reconciled {
  return { ...finding, outcome: finding.action === 'none' ? 'left' : 'planned', error: undefined }
}

async function carryOutAll(
  context: ProvisioningContext,
  finding: Finding,
  { tenants }: Snapshot,
  options: ReconcileOptions,
): Promise<Reconciled> {
  if (finding.action === 'none') return { ...finding, outcome: 'left', error: undefined }
  const row = tenants.find(({ id }) => id === finding.tenant)
  try {
    const isFree = row === undefined || (await isUnlocked(context, row, options))
    if (!isFree) return { ...finding, outcome: 'busy', error: undefined }
    if (finding.role !== undefined) {
      const isDropped = await dropStray(context, finding, finding.role, options)
      return { ...finding, outcome: isDropped ? 'done' : 'left', error: undefined }
    }
    if (row === undefined) await clearLeftovers(context, finding.server, options)
    else await settle(context, row, finding, options)
    return { ...finding, outcome: 'done', error: undefined }
  } catch (error) {
    if (!(error instanceof TenantryError) || error.code === 'aborted') throw error
    // Another process finished or removed it since the look.
    if (isNoLonger(error)) return { ...finding, outcome: 'done', error: undefined }
    return { ...finding, outcome: 'failed', error }
  }
}

async function dropStray(
  context: ProvisioningContext,
  { server: serverName, database }: Finding,
  role: Identifier,
  options: ReconcileOptions,
): Promise<boolean> {
  const server = requireServer(context.servers, serverName, role)
  const isHelper = role.startsWith(physicalNames.helperPrefix(context.installation))
  return withSession(context.connect(server, options), (session) =>
    isHelper
      ? dismiss(context, { server, admin: session, database }, role)
      : dropOurRole(context, server, session, role, database),
  )
}

/** True if no process holds the tenant's lock: work under way is not interrupted. */
async function isUnlocked(context: ProvisioningContext, { id }: TenantRow, options: Cancellable): Promise<boolean> {
  const lock = tenantLock(context, id)
  return withSession(context.connect(context.home, options), (session) => session.tryLock(lock, 'exclusive'))
}

/** Settles a finding, if it still holds under the tenant's lock. */
async function settle(
  context: ProvisioningContext,
  row: TenantRow,
  { action, kind }: Finding,
  { actor, signal }: ReconcileOptions,
): Promise<void> {
  const options = { signal, ...(actor !== undefined && { actor }) }
  if (kind === 'role') return settleLogin(context, row, options)
  if (kind === 'outdated') return takeOverState(context, row, options)
  if (action === 'undo') await removeUnfinished(context, row, options)
  else if (row.state === 'purging') await finishPurge(context, row, options)
  else if (row.state === 'onboarding') await finishMaking(context, row, options)
  else await finishOffboarding(context, row, options)
}

/** Gives a tenant in the catalog the later state that the stamp on its database proves. */
function takeOverState(context: ProvisioningContext, tenant: TenantRow, options: VerbOptions): Promise<void> {
  return underLock(context, tenant.id, options, async (locked) => {
    const row = await locked.catalog.find(tenant.id)
    if (row?.rowId !== tenant.rowId || row.state !== tenant.state) return
    await onServerOf(context, locked, row, options, async (server, admin) => {
      const found = await findDatabase(context, server, admin, row)
      const { state: to, transition } = found?.stamp ?? {}
      if (found?.name !== row.database || transition === undefined || transition <= row.transition) return
      if (to !== 'active' && to !== 'suspended') return
      const verb = row.state === 'offboarded' ? 'restore' : to === 'active' ? 'resume' : 'suspend'
      const before = { row, isDone: false, transition }
      await takeTransition(context, locked, before, { verb, to, actor: options.actor })
    })
  })
}

/** Finishes an offboarding: the row is offboarded, and the database still has its name. */
async function finishOffboarding(context: ProvisioningContext, row: TenantRow, options: VerbOptions): Promise<void> {
  const now = await context.catalog.find(row.id)
  if (now?.rowId === row.rowId && now.state === 'offboarded') await offboard(context, row.id, options)
}

/** Enables or disables the login of a tenant's role, by its state. */
function settleLogin(context: ProvisioningContext, tenant: TenantRow, options: VerbOptions): Promise<void> {
  return underLock(context, tenant.id, options, async (locked) => {
    const row = await locked.catalog.find(tenant.id)
    if (row?.rowId !== tenant.rowId || row.state !== tenant.state) return
    await onServerOf(context, locked, row, options, async (server, admin) => {
      const found = await findDatabase(context, server, admin, row)
      if (isNewer(found?.stamp, row)) throw disagreeError(row, found as FoundDatabase)
      if (row.state === 'active') return server.apply(admin, enableLogin(context, row))
      // The database of an offboarded tenant has another name, and PUBLIC cannot connect to it either.
      const database = row.state === 'suspended' ? row.database : undefined
      const user = physicalNames.login(context.installation, row.rowId)
      await server.apply(admin, [{ change: 'disable-login', user, database }])
      if (database === undefined) return
      await endAllSessions(server, admin, { database, which: workOf(context, row), signal: options.signal })
    })
  })
}
