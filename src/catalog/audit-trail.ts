import type { Kysely, QueryCreator } from 'kysely'
import type { ErrorCode } from '../kernel/errors.ts'
import type { Authorship, Verb } from './audit.ts'
import type { TenantState } from './states.ts'
import type { CatalogTables } from './tables.ts'

/** The rows of a statement that the audit trail is to have an entry of. */
interface Touched {
  readonly id: string
  readonly row_id: string
  readonly from_state: TenantState | null
}

/** Writes an audit entry for each row of the common table expression `touched`. */
export function noted(
  db: QueryCreator<CatalogTables & { touched: Touched }>,
  { verb, to, actor }: Authorship & { readonly verb: Verb; readonly to: TenantState | null },
) {
  return db
    .insertInto('audit')
    .columns(['tenant', 'row_id', 'from_state', 'verb', 'to_state', 'actor'])
    .expression((eb) =>
      eb
        .selectFrom('touched')
        .select((it) => [
          'touched.id as tenant',
          'touched.row_id as row_id',
          'touched.from_state as from_state',
          it.val<string>(verb).as('verb'),
          it.val(to).as('to_state'),
          it.val(actor ?? null).as('actor'),
        ]),
    )
}

/** A change of a tenant that has begun, and may still fail. */
export interface Begun extends Authorship {
  readonly rowId: string
  readonly verb: Verb
}

/** Writes the entry of a failure after the change began: the tenant, if it still exists, stays in its state. */
export function noteFailed(db: Kysely<CatalogTables>, { rowId, verb, actor }: Begun, error: ErrorCode) {
  return db
    .insertInto('audit')
    .columns(['tenant', 'row_id', 'from_state', 'to_state', 'verb', 'actor', 'outcome', 'error'])
    .expression((eb) =>
      eb
        .selectFrom('tenant')
        .select((it) => [
          'id',
          'row_id',
          'state as from_state',
          'state as to_state',
          it.val<string>(verb).as('verb'),
          it.val(actor ?? null).as('actor'),
          it.val<'failed'>('failed').as('outcome'),
          it.val<string>(error).as('error'),
        ])
        .where('row_id', '=', rowId),
    )
}
