import { type Kysely, sql, type Transaction } from 'kysely'
import type { DomainName } from '../kernel/domain-names.ts'
import type { TenantId } from '../kernel/names.ts'
import type { ConnectionPool } from '../server/port.ts'
import type { Authorship, Verb } from './audit.ts'
import { openCatalogDatabase } from './open-catalog-database.ts'
import type { TenantState } from './states.ts'
import type { CatalogTables } from './tables.ts'

/** A tenant's domain as the catalog has it. */
export interface DomainRow {
  readonly domain: DomainName
  readonly tenant: TenantId
  /** The token that proves the domain, in a record of its DNS. */
  readonly token: string
  readonly addedAt: Date
  readonly verifiedAt: Date | undefined
}

/** The tenant of a domain, and its row: a later tenant may have the same id. */
export interface RoutedTenant {
  readonly tenant: TenantId
  readonly row: string
}

/** The tenant of a change, as it is and stays. */
export interface DomainOwner {
  readonly id: TenantId
  readonly rowId: string
  readonly server: string
  readonly state: TenantState
}

/** The result of a change of a domain. */
export interface DomainChange<Outcome> {
  readonly outcome: Outcome
  /** The domain after the change; undefined if there is none. */
  readonly row: DomainRow | undefined
  readonly owner: DomainOwner
}

/** A check of the tenant before its domains are changed, which throws to refuse the change. */
export type CheckOwner = (owner: DomainOwner) => void

/**
 * The catalog's records of tenants' domains. Each change locks the tenant's row, as a purge does, and writes its audit
 * entry in the same transaction. A trigger of the table notifies the processes.
 */
export class Domains {
  readonly #db: Kysely<CatalogTables>

  constructor(pool: ConnectionPool) {
    this.#db = openCatalogDatabase(pool)
  }

  /** Returns a domain of any tenant, verified or not. */
  find(domain: DomainName): Promise<DomainRow | undefined> {
    return find(this.#db, domain)
  }

  /** Domains of a tenant, or of all, in their order: at most `limit`, those after `after`. */
  async list(tenant: TenantId, limit: number, after: DomainName | undefined): Promise<DomainRow[]> {
    const page = rowsOfDomains(this.#db).where('tenant.id', '=', tenant).orderBy('domain.domain').limit(limit)
    return (await (after === undefined ? page : page.where('domain.domain', '>', after)).execute()).map(toDomain)
  }

  /** The tenants of those of the domains that are verified. */
  async routes(domains: readonly DomainName[]): Promise<ReadonlyMap<DomainName, RoutedTenant>> {
    const rows = await rowsOfDomains(this.#db)
      .where('domain.domain', '=', sql<string>`any(${domains})`)
      .where('domain.verified_at', 'is not', null)
      .execute()
    return new Map(
      rows.map((selected) => {
        const { domain, tenant } = toDomain(selected)
        return [domain, { tenant, row: selected.row_id }]
      }),
    )
  }

  /** Adds a domain that no tenant has. @returns undefined if there is no such tenant */
  add(
    id: TenantId,
    domain: DomainName,
    token: string,
    { actor, check }: Authorship & { readonly check: CheckOwner },
  ): Promise<DomainChange<'added' | 'already-added' | 'taken'> | undefined> {
    return this.#change(id, check, async (db, owner) => {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('domain')
        .values({ domain, row_id: owner.rowId, token })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirstOrThrow()
      if (numInsertedOrUpdatedRows === 1n) {
        await note(db, 'add-domain', owner, domain, actor)
        return { outcome: 'added', row: await find(db, domain), owner }
      }
      const row = await find(db, domain)
      return { outcome: row?.tenant === id ? 'already-added' : 'taken', row, owner }
    })
  }

  /**
   * Marks a domain as verified.
   *
   * @param token the token that was proven: the domain may have been removed and added again since
   * @returns undefined if there is no such tenant; without a row if it does not have that domain with that token
   */
  verify(
    id: TenantId,
    domain: DomainName,
    token: string,
    { actor, check }: Authorship & { readonly check: CheckOwner },
  ): Promise<DomainChange<'verified' | 'already-verified'> | undefined> {
    return this.#change(id, check, async (db, owner) => {
      const { numUpdatedRows } = await db
        .updateTable('domain')
        .set({ verified_at: sql<Date>`now()` })
        .where('domain', '=', domain)
        .where('row_id', '=', owner.rowId)
        .where('token', '=', token)
        .where('verified_at', 'is', null)
        .executeTakeFirst()
      if (numUpdatedRows === 1n) await note(db, 'verify-domain', owner, domain, actor)
      const row = await find(db, domain)
      const isMeant = row?.tenant === id && row.token === token
      return { outcome: numUpdatedRows === 1n ? 'verified' : 'already-verified', row: isMeant ? row : undefined, owner }
    })
  }

  /** Removes a domain from a tenant. @returns undefined if there is no such tenant */
  remove(
    id: TenantId,
    domain: DomainName,
    { actor }: Authorship,
  ): Promise<DomainChange<'removed' | 'already-removed'> | undefined> {
    return this.#change(
      id,
      () => undefined,
      async (db, owner) => {
        const { numDeletedRows } = await db
          .deleteFrom('domain')
          .where('domain', '=', domain)
          .where('row_id', '=', owner.rowId)
          .executeTakeFirst()
        if (numDeletedRows === 1n) await note(db, 'remove-domain', owner, domain, actor)
        return { outcome: numDeletedRows === 1n ? 'removed' : 'already-removed', row: undefined, owner }
      },
    )
  }

  /** Runs a change under a lock of the tenant, in a transaction that is on disk on return. */
  #change<Outcome>(
    id: TenantId,
    check: CheckOwner,
    change: (db: Transaction<CatalogTables>, owner: DomainOwner) => Promise<DomainChange<Outcome>>,
  ): Promise<DomainChange<Outcome> | undefined> {
    return this.#db.transaction().execute(async (db) => {
      const found = await db
        .selectFrom('tenant')
        .innerJoin('server', 'server.id', 'tenant.server_id')
        .select(['tenant.row_id as rowId', 'tenant.state as state', 'server.name as server'])
        .where('tenant.id', '=', id)
        .where(sql<boolean>`set_config('synchronous_commit', 'on', true) is not null`)
        .forUpdate('tenant')
        .executeTakeFirst()
      if (found === undefined) return undefined
      const owner = { ...found, id }
      check(owner)
      return change(db, owner)
    })
  }
}

function rowsOfDomains(db: Kysely<CatalogTables>) {
  return db
    .selectFrom('domain')
    .innerJoin('tenant', 'tenant.row_id', 'domain.row_id')
    .select(['domain.domain', 'domain.row_id', 'domain.token', 'domain.added_at', 'domain.verified_at'])
    .select('tenant.id as tenant')
}

async function find(db: Kysely<CatalogTables>, domain: DomainName): Promise<DomainRow | undefined> {
  const row = await rowsOfDomains(db).where('domain.domain', '=', domain).executeTakeFirst()
  return row && toDomain(row)
}

interface SelectedDomain {
  readonly domain: string
  readonly row_id: string
  readonly tenant: string
  readonly token: string
  readonly added_at: Date
  readonly verified_at: Date | null
}

function toDomain({ domain, tenant, token, added_at, verified_at }: SelectedDomain): DomainRow {
  // The catalog holds only domains and ids that were checked on their way in.
  const checked = { domain: domain as DomainName, tenant: tenant as TenantId }
  return { ...checked, token, addedAt: added_at, verifiedAt: verified_at ?? undefined }
}

/** Records a change of a domain, in the transaction that makes it. */
async function note(
  db: Kysely<CatalogTables>,
  verb: Verb,
  { id, rowId, state }: DomainOwner,
  domain: DomainName,
  actor: string | undefined,
): Promise<void> {
  const entry = { tenant: id, row_id: rowId, verb, from_state: state, to_state: state, domain }
  await db
    .insertInto('audit')
    .values({ ...entry, actor: actor ?? null })
    .execute()
}
