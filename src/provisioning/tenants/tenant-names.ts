import { TenantryError } from '../../kernel/errors.ts'
import { type Identifier, physicalNames, type TenantId } from '../../kernel/names.ts'
import type { TenantState } from '../../catalog/states.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type { Change, Server, Session } from '../../server/port.ts'
import { readStamp, type Stamp, writeStamp } from '../../server/stamp.ts'
import type { ProvisioningContext } from '../context.ts'

/** A tenant's database, under its current name. */
export interface FoundDatabase {
  readonly name: Identifier
  readonly stamp: Stamp
}

/** The name that a new tenant's database will have. */
export function newName({ installation, naming }: ProvisioningContext, id: TenantId, rowId: string): Identifier {
  return naming === 'opaque' ? physicalNames.opaque(installation, rowId) : physicalNames.tenant(installation, id)
}

/** Returns the names that a tenant's database has in the course of its life, each with its purpose. */
export function namesOf({ installation }: ProvisioningContext, row: TenantRow) {
  return {
    inService: row.database,
    building: physicalNames.building(installation, row.rowId),
    archived: physicalNames.archived(installation, row.rowId),
    pendingDrop: physicalNames.pendingDrop(installation, row.rowId),
  }
}

/**
 * Finds a tenant's database under one of its names. Its stamp proves that it is this tenant's; a database without it
 * counts as ours only under a name that contains the tenant's random row id.
 *
 * @throws `foreign-database` if there is one under the tenant's name, and none of ours under any
 */
export async function findDatabase(
  context: ProvisioningContext,
  server: Server,
  admin: Session,
  row: TenantRow,
): Promise<FoundDatabase | undefined> {
  const { inService, ...own } = namesOf(context, row)
  const databases = await server.databases.describe(admin, [inService, ...Object.values(own)])
  for (const { name, comment } of databases) {
    const stamp = readStamp(comment)
    if (isStampOf(context, row, stamp)) return { name, stamp }
    const unstamped = {
      installation: context.installationId,
      kind: 'building',
      row: row.rowId,
      fingerprint: '',
    } as const
    if (name !== inService) return { name, stamp: unstamped }
  }
  if (databases.length > 0) throw foreignError(row, strangerHint)
  return undefined
}

/** Returns the text of the stamp on a tenant's database: its state, as a proof on the server. */
export function tenantStamp(
  { installationId }: ProvisioningContext,
  { rowId }: TenantRow,
  now: Pick<Stamp, 'fingerprint' | 'comment'> & { readonly state: TenantState; readonly transition: number },
): string {
  const { fingerprint, state, transition, comment } = now
  return writeStamp({
    installation: installationId,
    kind: 'tenant',
    row: rowId,
    fingerprint,
    state,
    transition,
    comment,
  })
}

/** Returns the change that stamps a tenant's database, under the given name, with its new state. */
export function stampChange(
  context: ProvisioningContext,
  row: TenantRow,
  { name, stamp }: FoundDatabase,
  now: { readonly state: TenantState; readonly transition: number },
): Change {
  const fingerprint = stamp.kind === 'tenant' ? stamp.fingerprint : (row.fingerprint ?? '')
  const comment = tenantStamp(context, row, { ...now, fingerprint, comment: stamp.comment })
  return { change: 'stamp', database: name, comment }
}

/** True if a database has a later state than its row in the catalog, which was restored from an older backup. */
export function isNewer(
  stamp: Pick<Stamp, 'transition'> | undefined,
  { transition }: Pick<TenantRow, 'transition'>,
): boolean {
  return (stamp?.transition ?? 0) > transition
}

/** Returns the error of a tenant whose state in the catalog is not that of its database on the server. */
export function disagreeError({ id, state }: TenantRow, { name, stamp }: FoundDatabase): TenantryError {
  const there = stamp.state === undefined ? `named ${name}` : `${stamp.state}, named ${name}`
  return new TenantryError(
    'catalog-disagrees',
    `The catalog has the tenant ${id} as ${state}, and its database on the server is ${there}.`,
    {
      tenant: id,
      hint: 'Nothing was destroyed. A call may have been interrupted, or the catalog restored from an older backup: run "tenantry reconcile", then repeat the call.',
    },
  )
}

const strangerHint =
  'Rename it, and repeat the call. If it is the tenant\'s own, restored from a backup, run "tenantry restamp" first.'

/** True if a stamp is that of a tenant's own database. */
export function isStampOf(context: ProvisioningContext, row: TenantRow, stamp: Stamp | undefined): stamp is Stamp {
  return stamp?.row === row.rowId && stamp.installation === context.installationId
}

/** Returns the error of a database that has a tenant's name and another origin. */
export function foreignError({ database, id }: TenantRow, hint: string): TenantryError {
  return new TenantryError('foreign-database', `The database ${database} is there and is not ours.`, {
    tenant: id,
    hint: `It was not touched. ${hint}`,
  })
}

/** Returns the error of a tenant whose database is missing. */
export function missingError({ database, server, id }: TenantRow): TenantryError {
  return new TenantryError('database-missing', `The database ${database} of the tenant ${id} is not on ${server}.`, {
    tenant: id,
    hint: 'Bring it back under that name, or remove the tenant (offboard, then purge): it was dropped or renamed.',
  })
}
