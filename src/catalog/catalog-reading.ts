import { type Kysely, sql } from 'kysely'
import type { TenantId } from '../kernel/names.ts'
import { type AuditEntry, toAuditEntry } from './audit.ts'
import { filtered, type TenantFilter, tenantsOf } from './listing.ts'
import { leftBehindMinutes } from './opening-look.ts'
import type { TenantState } from './states.ts'
import type { CatalogTables } from './tables.ts'
import { type TenantRow, toTenant } from './tenant.ts'
import { desiredVersion, isUpToDate, type Version } from './versions.ts'

/** Counts of the tenants of one installation. */
export interface TenantCounts {
  readonly server: string
  readonly serverState: 'open' | 'closed'
  readonly state: TenantState | undefined
  readonly version: number | undefined
  /** The version's place in the order of versions. */
  readonly rank: number | undefined
  /** True if the version comes before the desired one. */
  readonly isBehind: boolean
  readonly fingerprint: string | undefined
  readonly tenants: number
  /** The number of them that have a role of their own. */
  readonly separate: number
}

/** The queries of the catalog: they change nothing. */
export class CatalogReading {
  readonly #db: Kysely<CatalogTables>

  constructor(db: Kysely<CatalogTables>) {
    this.#db = db
  }

  /** Returns every tenant that is active or suspended on another server than this, with only its place. */
  async inServiceElsewhere(
    home: string,
  ): Promise<readonly { readonly id: TenantId; readonly rowId: string; readonly server: string }[]> {
    const rows = await this.#db
      .selectFrom('tenant')
      .innerJoin('server', 'server.id', 'tenant.server_id')
      .select(['tenant.id', 'tenant.row_id as rowId', 'server.name as server'])
      .where('tenant.state', 'in', ['active', 'suspended'])
      .where('server.name', '<>', home)
      .execute()
    // The catalog holds only ids that were checked on their way in.
    return rows.map((row) => ({ ...row, id: row.id as TenantId }))
  }

  async find(id: TenantId): Promise<TenantRow | undefined> {
    return (await this.findAll([id])).get(id)
  }

  /** Returns the existing ones among some tenants. */
  async findAll(ids: readonly TenantId[]): Promise<ReadonlyMap<TenantId, TenantRow>> {
    const rows = await this.#tenants()
      .where('tenant.id', '=', sql<string>`any(${ids})`)
      .execute()
    return new Map(rows.map(toTenant).map((row) => [row.id, row]))
  }

  /** Tenants in the order of their ids, at most `limit`, those after `after`. */
  async list(filter: TenantFilter, limit: number, after: string | undefined): Promise<TenantRow[]> {
    const page = filtered(this.#tenants(), filter).orderBy('tenant.id').limit(limit)
    const rows = await (after === undefined ? page : page.where('tenant.id', '>', after)).execute()
    return rows.map(toTenant)
  }

  /** The ids of tenants that `purgeExpired` is to take, in the order in which `list` shows them. */
  async expired(limit: number): Promise<TenantId[]> {
    const rows = await filtered(this.#tenants(), { expired: true }).orderBy('tenant.id').limit(limit).execute()
    return rows.map((row) => toTenant(row).id)
  }

  /** True if the retention of a tenant has ended, by the server's clock. */
  async hasExpired(id: TenantId): Promise<boolean> {
    const row = await filtered(this.#tenants(), { expired: true }).where('tenant.id', '=', id).executeTakeFirst()
    return row !== undefined
  }

  /**
   * Returns tenants whose making or purge has stood still for `leftBehindMinutes`, by the server's clock; at most
   * `limit`.
   */
  async leftBehind(limit: number): Promise<ReadonlySet<TenantId>> {
    const rows = await this.#tenants()
      .where('tenant.state', 'in', ['onboarding', 'purging'])
      .where('tenant.state_since', '<', sql<Date>`now() - make_interval(mins => ${leftBehindMinutes})`)
      .orderBy('tenant.state_since')
      .limit(limit)
      .execute()
    return new Set(rows.map((row) => toTenant(row).id))
  }

  /** Every server with its tenants, counted by state and version. */
  async count(): Promise<TenantCounts[]> {
    const rows = await this.#db
      .selectFrom('server')
      .leftJoin('tenant', 'tenant.server_id', 'server.id')
      .leftJoin('version', 'version.fingerprint', 'tenant.fingerprint')
      .leftJoin('credential', 'credential.row_id', 'tenant.row_id')
      .select((eb) => [
        'server.name as server',
        'server.state as server_state',
        'tenant.state as state',
        'version.number as version',
        'version.fingerprint as fingerprint',
        'version.rank as rank',
        sql<boolean | null>`not (version.${sql.raw(isUpToDate)})`.as('is_behind'),
        eb.fn.count<string>('tenant.row_id').as('tenants'),
        eb.fn.count<string>('credential.row_id').as('separate'),
      ])
      .groupBy(['server.name', 'server.state', 'tenant.state', 'version.number', 'version.fingerprint', 'version.rank'])
      .orderBy('server.name')
      .execute()
    return rows.map(({ server_state, ...row }) => ({
      server: row.server,
      serverState: server_state,
      state: row.state ?? undefined,
      version: row.version ?? undefined,
      fingerprint: row.fingerprint ?? undefined,
      rank: row.rank === null ? undefined : Number(row.rank),
      isBehind: row.is_behind ?? false,
      tenants: Number(row.tenants),
      separate: Number(row.separate),
    }))
  }

  /** Returns the number of the catalog's newest migration, and the desired version; that is undefined before the first. */
  async heads(): Promise<{ readonly migration: number; readonly desired: Version | undefined }> {
    const { migration, number, fingerprint } = await this.#db
      .selectFrom('migration')
      .leftJoin(desiredVersion(this.#db).as('desired'), (join) => join.onTrue())
      .select(['migration.number as migration', 'desired.number as number', 'desired.fingerprint as fingerprint'])
      .orderBy('migration.number', 'desc')
      .limit(1)
      .executeTakeFirstOrThrow()
    return { migration, desired: number === null || fingerprint === null ? undefined : { number, fingerprint } }
  }

  /** Returns the audit trail of a tenant's id, the latest entry first. It outlives the tenant. */
  async history(id: TenantId, limit: number): Promise<AuditEntry[]> {
    const rows = await this.#db
      .selectFrom('audit')
      .selectAll()
      .where('tenant', '=', id)
      .orderBy('number', 'desc')
      .limit(limit)
      .execute()
    return rows.map(toAuditEntry)
  }

  #tenants() {
    return tenantsOf(this.#db)
  }
}
