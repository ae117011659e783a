import { type Kysely, sql } from 'kysely'
import type { Identifier } from '../kernel/names.ts'
import type { Authorship } from './audit.ts'
import type { NewTenant } from './catalog.ts'
import type { CatalogTables } from './tables.ts'
import { type SelectedTenant, type TenantRow, toTenant } from './tenant.ts'

/** A tenant that is to be, of a spare on the catalog's own server. */
export interface Claim extends Omit<NewTenant, 'rowId' | 'database' | 'origin' | 'source'> {
  /** The name of the catalog's server. */
  readonly home: string
  readonly fingerprint: string
  /** The database's name; undefined for one that is made from the spare's row id. */
  readonly database: Identifier | undefined
  /** The prefix of such a name. */
  readonly opaquePrefix: string
}

/** The result of a claim; see the function in `claim-function.ts`. */
export type Claimed =
  | { readonly outcome: 'claimed' | 'exists'; readonly row: TenantRow }
  | { readonly outcome: 'no-spare' | 'elsewhere' | 'no-open-server' | 'name-taken' }

/** Makes a tenant of a spare, in one statement that is all of the transaction. */
export async function claimSpare(db: Kysely<CatalogTables>, claim: Claim, { actor }: Authorship): Promise<Claimed> {
  const { id, displayName, metadata, servers, home, fingerprint, database, opaquePrefix } = claim
  const { rows } = await sql<{ outcome: Claimed['outcome'] } & SelectedTenant>`
    select c.outcome, (c.tenant).*, s.name as server, v.number as version, k.sealed, k.pending
    from tenantry.claim(
      ${id}, ${displayName ?? null}, ${JSON.stringify(metadata)}::jsonb, ${servers}::text[], ${home}, ${fingerprint},
      ${database ?? null}, ${opaquePrefix}, ${actor ?? null}
    ) c
    left join tenantry.server s on s.id = (c.tenant).server_id
    left join tenantry.version v on v.fingerprint = (c.tenant).fingerprint
    left join tenantry.credential k on k.row_id = (c.tenant).row_id`.execute(db)
  const [row] = rows as [(typeof rows)[number]]
  const { outcome } = row
  return outcome === 'claimed' || outcome === 'exists' ? { outcome, row: toTenant(row) } : { outcome }
}
