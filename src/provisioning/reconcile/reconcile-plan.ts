import { type Identifier, type Installation, physicalNames, type TenantId } from '../../kernel/names.ts'
import type { SpareRow, TemplateRow } from '../../catalog/inventory.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type { DatabaseInfo } from '../../server/port.ts'
import { readStamp, type Stamp } from '../../server/stamp.ts'
import { isNewer } from '../tenants/tenant-names.ts'

/** A deviation in an installation, and the action against it. */
export interface Finding {
  /**
   * - `unfinished`: a call on a tenant was interrupted
   * - `leftover`: a template or a spare that no process will use
   * - `ghost`: a tenant whose database is not where the catalog has it
   * - `orphan`: a database with this installation's stamp, and no row
   * - `foreign`: a database with one of our names, and no stamp of ours
   * - `outdated`: a tenant of which the server has a later state than the catalog
   * - `role`: a tenant's role that is missing, or can log in while it must not, or the other way about
   * - `invalid`: the remains of an interrupted DROP DATABASE; only another DROP can remove them
   */
  readonly kind: 'unfinished' | 'leftover' | 'ghost' | 'orphan' | 'foreign' | 'outdated' | 'role' | 'invalid'
  /**
   * - `finish`: carries a decided change out to its end; for `outdated`, the catalog takes over the server's state
   * - `undo`: removes a change that was never acknowledged
   * - `drop`: drops a database of ours, under a name that is never used again
   * - `none`: a person has to decide
   */
  readonly action: 'finish' | 'undo' | 'drop' | 'none'
  /** The name of the server. */
  readonly server: string
  readonly database: Identifier | undefined
  readonly tenant: TenantId | undefined
  /** The role to drop. */
  readonly role?: Identifier
  /** The deviation, in a sentence. */
  readonly what: string
}

/** The content of the catalog and the servers. */
export interface Snapshot {
  readonly installation: Installation
  readonly installationId: string
  /** The name of the server that the catalog is on. */
  readonly home: string
  readonly tenants: readonly TenantRow[]
  readonly templates: readonly TemplateRow[]
  readonly spares: readonly SpareRow[]
  /** The ids of all rows that the catalog had before or after the servers were looked at. */
  readonly knownRows: ReadonlySet<string>
  /** The row ids of tenants among them. A claim gives a tenant the row id of its spare. */
  readonly knownTenants: ReadonlySet<string>
  /** By the server's name; a server that did not answer is left out, and the plan does not cover it. */
  readonly databases: ReadonlyMap<string, readonly DatabaseInfo[]>
  /** By the server's name, the roles of tenants and spares, and temporary ones. */
  readonly logins: ReadonlyMap<string, ReadonlyMap<Identifier, { readonly canLogIn: boolean }>>
}

/** The planned actions. */
export interface ReconcilePlan {
  readonly findings: readonly Finding[]
  /**
   * True if the servers have stamps that the catalog does not know, or of later states than it has: it was restored
   * from an older backup, or lost rows. Nothing is undone or dropped then, since a tenant that the catalog has as
   * unfinished may be complete.
   */
  readonly isCatalogOlder: boolean
}

/** Compares the catalog with the servers. It looks at neither, and at no clock: the same snapshot has the same plan. */
export function planReconcile(snapshot: Snapshot): ReconcilePlan {
  const orphans = orphansOf(snapshot)
  const isCatalogOlder = orphans.length > 0 || snapshot.tenants.some((row) => isOutdatedAtHome(snapshot, row))
  const findings = [
    ...snapshot.tenants.flatMap((row) => tenantFindings(snapshot, row)),
    ...snapshot.tenants.flatMap((row) => roleFindings(snapshot, row)),
    ...strayRoles(snapshot),
    ...inventoryFindings(snapshot),
    ...orphans,
    ...foreignOf(snapshot),
  ]
  const isDestructive = ({ action }: Finding) => action === 'undo' || action === 'drop'
  return {
    findings: findings.map((finding) =>
      isCatalogOlder && isDestructive(finding) ? { ...finding, action: 'none' } : finding,
    ),
    isCatalogOlder,
  }
}

/** Finds a tenant's database by its stamp. */
function stampedOf(snapshot: Snapshot, { server, rowId }: TenantRow) {
  for (const info of snapshot.databases.get(server) ?? []) {
    const stamp = ownStamp(snapshot, info.comment)
    if (stamp?.row === rowId) return { info, stamp }
  }
  return undefined
}

/**
 * True if only a catalog that was set back explains it: on the catalog's server, row and stamp change in one
 * transaction.
 */
function isOutdatedAtHome(snapshot: Snapshot, row: TenantRow): boolean {
  return row.server === snapshot.home && isNewer(stampedOf(snapshot, row)?.stamp, row)
}

/** Returns the finding of a tenant with a later state by the stamp on its database. */
function outdatedFindings({ row, name, stamp }: { row: TenantRow; name: Identifier; stamp: Stamp }): Finding[] {
  const { server, id, state, database } = row
  const isInService = (stamp.state === 'active' || stamp.state === 'suspended') && name === database
  if (isInService && stamp.state === state) return []
  const what = `The server has it as ${stamp.state ?? 'unknown'} since a later transition, under the name ${name}.`
  const action = isInService && state !== 'onboarding' ? 'finish' : 'none'
  return [{ kind: 'outdated', action, server, database: name, tenant: id, what }]
}

function tenantFindings(snapshot: Snapshot, row: TenantRow): Finding[] {
  const databases = snapshot.databases.get(row.server)
  if (databases === undefined) return []
  const { rowId, state, server, database, id } = row
  const finding = { server, database, tenant: id }
  const { info: stamped, stamp } = stampedOf(snapshot, row) ?? {}
  const found = stamped ?? databases.find(({ name }) => ownNames(snapshot, rowId).includes(name))
  // Steps on a server without the catalog, where the database is changed before the row.
  const isMade = state === 'onboarding' && stamped?.name === database && stamp?.state === 'active'
  const isBegun = stamp?.state === 'purging' || isMade
  if (stamp !== undefined && stamped !== undefined && isNewer(stamp, row) && !isBegun) {
    return outdatedFindings({ row, name: stamped.name, stamp })
  }
  switch (state) {
    case 'onboarding': {
      const isNamed = stamped?.name === database && stamp?.kind === 'tenant' && (stamp.state ?? 'active') === 'active'
      return isNamed
        ? [{ ...finding, kind: 'unfinished', action: 'finish', what: 'Its database is whole; its row is not active.' }]
        : [{ ...finding, kind: 'unfinished', action: 'undo', what: 'Its making was interrupted.' }]
    }
    case 'purging':
      return [{ ...finding, kind: 'unfinished', action: 'finish', what: 'Its purge was interrupted.' }]
    case 'offboarded':
      if (found === undefined) return absentFindings(finding, databases)
      return offboardedFindings(snapshot, row, found)
    case 'active':
    case 'suspended':
      if (found?.name === database) return invalidOf(finding, found)
      if (found !== undefined)
        return [{ ...finding, kind: 'ghost', action: 'none', what: `Its database is ${found.name}.` }]
      return absentFindings(finding, databases)
  }
}

/** Returns the findings of a tenant without a database; one of its name may have lost its stamp. */
function absentFindings(
  finding: Pick<Finding, 'server' | 'database' | 'tenant'>,
  databases: readonly DatabaseInfo[],
): Finding[] {
  return databases.some(({ name }) => name === finding.database)
    ? [{ ...finding, kind: 'foreign', action: 'none', what: 'The database of its name does not have its stamp.' }]
    : [{ ...finding, kind: 'ghost', action: 'none', what: 'Its database is missing.' }]
}

/**
 * Returns the findings of roles, for tenants whose state decides on the login. For an unfinished tenant, finishing it
 * decides that.
 */
function roleFindings(snapshot: Snapshot, row: TenantRow): Finding[] {
  const { installation, logins } = snapshot
  const { rowId, state, server, database, id, credential } = row
  const known = logins.get(server)
  const isSettled = state === 'active' || state === 'suspended' || state === 'offboarded'
  if (known === undefined || credential === undefined || !isSettled) return []
  // Its role fits the later state.
  if (isNewer(stampedOf(snapshot, row)?.stamp, row)) return []
  const finding = { kind: 'role', server, database, tenant: id } as const
  const login = known.get(physicalNames.login(installation, rowId))
  if (login === undefined) return [{ ...finding, action: 'none', what: 'Its role is missing: rotate its credentials.' }]
  if (login.canLogIn === (state === 'active')) return []
  const what = login.canLogIn ? `Its role can log in while it is ${state}.` : 'Its role cannot log in.'
  return [{ ...finding, action: 'finish', what }]
}

/** Returns roles whose rows are not in the catalog, and temporary roles that are no longer needed. */
function strayRoles(snapshot: Snapshot): Finding[] {
  const { installation, logins, knownRows, tenants } = snapshot
  const working = new Map(tenants.map((row) => [row.rowId.replaceAll('-', ''), row]))
  const known = new Set([...knownRows].map((rowId) => rowId.replaceAll('-', '')))
  const [login, helper] = [physicalNames.loginPrefix(installation), physicalNames.helperPrefix(installation)]
  return [...logins].flatMap(([server, roles]) =>
    [...roles.keys()].flatMap((role) => {
      const isHelper = role.startsWith(helper)
      const id = role.slice((isHelper ? helper : login).length).split('_', 1)[0] ?? ''
      if (known.has(id) && (!isHelper || !working.has(id))) return []
      const what = isHelper ? `The temporary role ${role} was left.` : `The role ${role} belongs to no tenant or spare.`
      const row = working.get(id)
      // The role may still connect to it.
      const database = row?.server === server ? stampedOf(snapshot, row)?.info.name : undefined
      return [{ kind: 'role', action: 'drop', server, database, tenant: row?.id, role, what } as const]
    }),
  )
}

/**
 * Returns the findings of an offboarded tenant. Its database is archived; or not yet; or has the name of a purge that
 * was never decided.
 */
function offboardedFindings({ installation }: Snapshot, row: TenantRow, found: DatabaseInfo): Finding[] {
  const { rowId, server, database, id } = row
  const finding = { server, database, tenant: id }
  switch (found.name) {
    case physicalNames.archived(installation, rowId):
      return invalidOf(finding, found)
    case database:
      return [{ ...finding, kind: 'unfinished', action: 'finish', what: 'Its database still has its name.' }]
    case physicalNames.pendingDrop(installation, rowId):
      return [{ ...finding, kind: 'unfinished', action: 'finish', what: 'Its purge was begun, and not decided.' }]
    default:
      return [{ ...finding, kind: 'ghost', action: 'none', what: `Its database is ${found.name}.` }]
  }
}

function invalidOf(finding: Pick<Finding, 'server' | 'tenant'>, { name, invalid }: DatabaseInfo): Finding[] {
  if (!invalid) return []
  const what = 'A DROP DATABASE of it was interrupted: its data is lost.'
  return [{ ...finding, database: name, kind: 'invalid', action: 'none', what }]
}

/** The names that contain a row's random id: a database with one of them belongs to that row. */
function ownNames({ installation }: Snapshot, rowId: string): readonly Identifier[] {
  const makers = ['building', 'archived', 'pendingDrop', 'template', 'spare', 'opaque'] as const
  return makers.map((maker) => physicalNames[maker](installation, rowId))
}

/** Returns templates and spares that were begun, or discarded, and that no running process may ever finish. */
function inventoryFindings(snapshot: Snapshot): Finding[] {
  const { templates, spares, databases } = snapshot
  return [...templates, ...spares].flatMap((row) => {
    const onServer = databases.get(row.server)
    if (onServer === undefined) return []
    const found = onServer.find(({ name }) => ownNames(snapshot, row.rowId).includes(name))
    const what = 'database' in row ? 'spare' : 'template'
    if (row.state === 'ready' && found !== undefined && !found.invalid) return []
    const why = row.state === 'ready' ? 'is not there any more' : `was left while it was ${row.state}`
    const finding = { server: row.server, database: found?.name, tenant: undefined }
    return [{ ...finding, kind: 'leftover', action: 'drop', what: `A ${what} ${why}.` } as const]
  })
}

/** Returns databases that this installation made, and that the catalog does not know. */
function orphansOf(snapshot: Snapshot): Finding[] {
  const { knownRows, knownTenants } = snapshot
  return everyDatabase(snapshot).flatMap(({ server, info }) => {
    const stamp = ownStamp(snapshot, info.comment)
    if (stamp === undefined || (stamp.kind === 'tenant' ? knownTenants : knownRows).has(stamp.row)) return []
    const what = `It is stamped as ${stamp.kind === 'building' ? 'being built' : `a ${stamp.kind}`}, and has no row.`
    return [{ kind: 'orphan', action: 'none', server, database: info.name, tenant: undefined, what } as const]
  })
}

/** Returns databases with one of our names that are not ours, or not provably so. */
function foreignOf(snapshot: Snapshot): Finding[] {
  const { tenants, knownRows, installation } = snapshot
  const own = new Set([...knownRows].flatMap((rowId) => ownNames(snapshot, rowId)))
  const ours: readonly string[] = [physicalNames.catalog(installation), physicalNames.administration(installation)]
  // A database with a tenant's name is reported with the tenant.
  const tenantsNames = new Set(tenants.map(({ server, database }) => `${server} ${database}`))
  return everyDatabase(snapshot).flatMap(({ server, info }) => {
    const isNamedLikeOurs = info.name.startsWith(`${installation}_`) && !ours.includes(info.name)
    const isOurs = ownStamp(snapshot, info.comment) !== undefined || own.has(info.name)
    if (!isNamedLikeOurs || isOurs || tenantsNames.has(`${server} ${info.name}`)) return []
    const what = info.comment === undefined ? 'It has no stamp.' : 'Its comment is no stamp of this installation.'
    return [{ kind: 'foreign', action: 'none', server, database: info.name, tenant: undefined, what } as const]
  })
}

function everyDatabase({ databases }: Snapshot): { readonly server: string; readonly info: DatabaseInfo }[] {
  return [...databases].flatMap(([server, all]) => all.map((info) => ({ server, info })))
}

function ownStamp({ installationId }: Snapshot, comment: string | undefined): Stamp | undefined {
  const stamp = readStamp(comment)
  return stamp?.installation === installationId ? stamp : undefined
}
