import { isDeepStrictEqual } from 'node:util'
import { untilAborted } from '../../kernel/abort.ts'
import { mergePatch } from '../../kernel/merge-patch.ts'
import { checkMetadata } from '../../kernel/storable.ts'
import { parseTenantId, type TenantId } from '../../kernel/names.ts'
import { stateError } from '../../catalog/states.ts'
import { publicTenant, type Tenant, unknownTenant } from '../../catalog/tenant.ts'
import { emitChange, type ProvisioningContext, type VerbOptions } from '../context.ts'

/** The changes of a tenant; absent fields stay. */
export interface UpdateOptions extends VerbOptions {
  /** For people; any text. `null` takes it away. */
  readonly displayName?: string | null
  /** A JSON merge patch (RFC 7396): keys replace those that are there, objects are merged, `null` removes a key. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

/** The outcome of an update. */
export interface Updated {
  readonly outcome: 'updated' | 'unchanged'
  readonly tenant: Tenant
}

/** Changes what the catalog says of a tenant. Two at once are both carried out, one after the other. */
export async function update(context: ProvisioningContext, id: string, options: UpdateOptions): Promise<Updated> {
  const tenantId = parseTenantId(id)
  return untilAborted(updateRow(context, tenantId, options), options.signal)
}

async function updateRow(
  context: ProvisioningContext,
  id: TenantId,
  { displayName, metadata = {}, actor }: UpdateOptions,
): Promise<Updated> {
  const since = performance.now()
  const result = await context.catalog.update(
    id,
    (row) => {
      if (row.state === 'purging') throw stateError('update', id, row.state)
      const next = {
        displayName: displayName === undefined ? row.displayName : (displayName ?? undefined),
        metadata: checkMetadata(mergePatch(row.metadata, metadata)),
      }
      const isSame = isDeepStrictEqual(next, { displayName: row.displayName, metadata: row.metadata })
      return isSame ? undefined : next
    },
    { actor },
  )
  if (result === undefined) throw unknownTenant(id)
  const { row, changed } = result
  if (changed) emitChange(context, 'update', row, { from: row.state, to: row.state, since })
  return { outcome: changed ? 'updated' : 'unchanged', tenant: publicTenant(row) }
}
