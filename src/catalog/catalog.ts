import { Kysely, PostgresDialect, type PostgresPool, sql } from 'kysely'
import { TenantryError } from '../kernel/errors.ts'
import type { Identifier, TenantId } from '../kernel/names.ts'
import type { ConnectionPool } from '../server/port.ts'
import type { CatalogTables, TenantState } from './tables.ts'

/** A tenant as the catalog knows it. */
export interface Tenant {
  readonly id: TenantId
  /** For people; any text. */
  readonly displayName: string | undefined
  /** The service's own notes on the tenant. */
  readonly metadata: Readonly<Record<string, unknown>>
  readonly state: TenantState
  /** The name of the server where its database is. */
  readonly server: string
  readonly database: Identifier
  /** The version of the models its database was last verified against; undefined while onboarding. */
  readonly fingerprint: string | undefined
  readonly createdAt: Date
  readonly activatedAt: Date | undefined
}

/** A tenant with the id that its database's stamp names it by. */
export interface TenantRow extends Tenant {
  readonly rowId: string
}

/** A tenant without what is of no use outside. */
export function publicTenant({ rowId, ...tenant }: TenantRow): Tenant {
  return tenant
}

/** A tenant that is to be. */
export interface NewTenant {
  readonly id: TenantId
  readonly displayName: string | undefined
  readonly metadata: Readonly<Record<string, unknown>>
  /** The names of the servers that may be chosen: the open one with the fewest tenants will be. At least one. */
  readonly servers: readonly string[]
  readonly database: Identifier
}

/** The catalog's records, over a pool or over one session. */
export class Catalog {
  readonly #db: Kysely<CatalogTables>

  constructor(pool: ConnectionPool) {
    // Kysely's name for a pool; ours has all that it uses.
    const dialect = new PostgresDialect({ pool: pool as unknown as PostgresPool })
    this.#db = new Kysely<CatalogTables>({ dialect }).withSchema('tenantry')
  }

  /** The installation's id, which stamps carry. */
  async installationId(): Promise<string> {
    const { id } = await this.#db.selectFrom('installation').select('id').executeTakeFirstOrThrow()
    return id
  }

  /** Makes servers and a version known, if they are not. */
  async register(servers: readonly string[], fingerprint: string): Promise<void> {
    const known = await this.#db.selectFrom('server').select('name').where('name', 'in', servers).execute()
    const unknown = servers.filter((name) => !known.some((server) => server.name === name))
    for (const name of unknown) {
      await this.#db
        .insertInto('server')
        .values({ name })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    }
    const version = this.#db.selectFrom('version').select('number').where('fingerprint', '=', fingerprint)
    if ((await version.executeTakeFirst()) !== undefined) return
    await this.#db
      .insertInto('version')
      .values({ fingerprint })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }

  async find(id: TenantId): Promise<TenantRow | undefined> {
    const row = await this.#tenants().where('tenant.id', '=', id).executeTakeFirst()
    return row && toTenant(row)
  }

  /** Tenants in the order of their ids, at most `limit`, those after `after`. */
  async list(limit: number, after: string | undefined): Promise<TenantRow[]> {
    const page = this.#tenants().orderBy('tenant.id').limit(limit)
    const rows = await (after === undefined ? page : page.where('tenant.id', '>', after)).execute()
    return rows.map(toTenant)
  }

  /**
   * Writes down that a tenant is to be, and where; the one that is there already where there is one.
   *
   * @throws `no-open-server`
   */
  async intend(tenant: NewTenant): Promise<TenantRow> {
    await this.#db
      .insertInto('tenant')
      .columns(['id', 'display_name', 'metadata', 'database', 'server_id'])
      .expression(this.#placement(tenant))
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    const row = await this.find(tenant.id)
    if (row !== undefined) return row
    throw new TenantryError('no-open-server', `None of ${tenant.servers.join(', ')} is open for new tenants.`, {
      tenant: tenant.id,
      hint: 'Open one, or add a server to the configuration.',
    })
  }

  /**
   * Records that a tenant's database is made and verified.
   *
   * @throws `tenant-unknown` when the row was taken away meanwhile
   */
  async activate(rowId: string, fingerprint: string): Promise<void> {
    const { numUpdatedRows } = await this.#db
      .updateTable('tenant')
      .set({ state: 'active', fingerprint, activated_at: sql`now()` })
      .where('row_id', '=', rowId)
      .where('state', '=', 'onboarding')
      .executeTakeFirst()
    if (numUpdatedRows === 1n) return
    throw new TenantryError('tenant-unknown', 'The tenant was taken from the catalog while it was being onboarded.', {
      hint: 'Onboard it again.',
      retryable: true,
    })
  }

  /** Takes back what {@link intend} wrote. */
  async withdraw(rowId: string): Promise<void> {
    await this.#db.deleteFrom('tenant').where('row_id', '=', rowId).where('state', '=', 'onboarding').execute()
  }

  /** The new tenant's row, with the server as chosen at this moment: the open one with the fewest tenants. */
  #placement({ id, displayName, metadata, servers, database }: NewTenant) {
    return this.#db
      .selectFrom('server')
      .select((eb) => [
        eb.val(id).as('id'),
        eb.val(displayName ?? null).as('display_name'),
        sql<string>`${JSON.stringify(metadata)}::jsonb`.as('metadata'),
        eb.val<string>(database).as('database'),
        'server.id as server_id',
      ])
      .where('server.state', '=', 'open')
      .where('server.name', 'in', servers)
      .orderBy((eb) =>
        eb
          .selectFrom('tenant')
          .select((count) => count.fn.countAll().as('tenants'))
          .whereRef('tenant.server_id', '=', 'server.id'),
      )
      .orderBy('server.id')
      .limit(1)
  }

  #tenants() {
    return this.#db
      .selectFrom('tenant')
      .innerJoin('server', 'server.id', 'tenant.server_id')
      .selectAll('tenant')
      .select('server.name as server')
  }
}

interface Row {
  readonly row_id: string
  readonly id: string
  readonly display_name: string | null
  readonly metadata: Record<string, unknown>
  readonly state: TenantState
  readonly server: string
  readonly database: string
  readonly fingerprint: string | null
  readonly created_at: Date
  readonly activated_at: Date | null
}

function toTenant(row: Row): TenantRow {
  return {
    rowId: row.row_id,
    // The catalog holds only ids and names that were checked on their way in.
    id: row.id as TenantId,
    database: row.database as Identifier,
    displayName: row.display_name ?? undefined,
    metadata: row.metadata,
    state: row.state,
    server: row.server,
    fingerprint: row.fingerprint ?? undefined,
    createdAt: row.created_at,
    activatedAt: row.activated_at ?? undefined,
  }
}
