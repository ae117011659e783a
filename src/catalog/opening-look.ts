import { hasFailure } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import type { Session } from '../server/port.ts'
import { newestMigration } from './migrations.ts'
import { isUpToDate } from './versions.ts'

/** The parameters of the query with which a process opens the catalog. */
export interface OpeningQuestion {
  /** The name of the server that the catalog is on. */
  readonly home: string
  /** The names of all servers that the process knows. */
  readonly servers: readonly string[]
  readonly fingerprint: string
  /** The name of the role that owns the databases, if tenants have roles of their own. */
  readonly owner: string
}

/** The state of the catalog and its server when a process opens. */
export interface OpeningLook {
  readonly installationId: string
  /** The secret in the names of locks on tenants. Only roles that can read the catalog know it. */
  readonly lockSecret: string
  /** The names of those of the servers that the catalog knows. */
  readonly knownServers: readonly string[]
  readonly isVersionKnown: boolean
  /** The fingerprints of the desired version and of those that come after it. */
  readonly upToDate: readonly string[]
  /** True if the desired version was set. Otherwise it is the one that was declared last. */
  readonly isDesiredSet: boolean
  /** True if the making or purge of a tenant has stood still for so long that its process has probably ended. */
  readonly hasLeftBehind: boolean
  /** True if every role of the server may connect to the catalog. */
  readonly isPublic: boolean
  /** True if the roles exist, and the session's role may act as the owner. */
  readonly hasGroups: boolean
  /** The check value for the key of a process; null before the first process that has one. */
  readonly keyCheck: string | null
  /** The tenants in service on the catalog's own server, held against the stamps there. */
  readonly fleet: FleetCount
}

/** Tenants in service, counted by the stamps on their databases. */
export interface FleetCount {
  readonly tenants: number
  /** The number of tenants with the given version. */
  readonly current: number
  /** The number with any version: with a stamp on a database of its name. */
  readonly stamped: number
  /** The number with a version that comes before the desired one. */
  readonly behind: number
  /** Tenants without a database under its name, with its stamp: the first 100. */
  readonly missing: readonly TenantId[]
}

/**
 * Looks at a catalog, and at the stamps of its server, in one statement, however many tenants there are.
 *
 * @returns undefined if the catalog is not made yet, or not at the migration that this Tenantry needs
 */
export async function lookAtCatalog(
  session: Session,
  { home, servers, fingerprint, owner }: OpeningQuestion,
): Promise<OpeningLook | undefined> {
  try {
    const { rows } = await session.query<OpeningRow>(openingSql, [home, servers, fingerprint, owner])
    const [row] = rows
    if (row === undefined || row.migration < newestMigration || row.compatible_from > newestMigration) return undefined
    const { migration, compatible_from, tenants, stamped, current, behind, missing, ...look } = row
    return { ...look, fleet: { tenants, stamped, current, behind, missing: missing as TenantId[] } }
  } catch (error) {
    if (hasFailure(error, 'missing-schema', 'missing-table', 'missing-column')) return undefined
    throw error
  }
}

interface OpeningRow extends Omit<OpeningLook, 'fleet'>, Omit<FleetCount, 'missing'> {
  readonly missing: readonly string[]
  readonly migration: number
  readonly compatible_from: number
}

/** The time for which a tenant's making or purge may stand still before the next process that opens takes it over. */
export const leftBehindMinutes = 10

/**
 * The query for {@link lookAtCatalog}. Rows and stamps are concatenated and grouped, rather than joined: with 1,000
 * tenants that takes half as long as a look-up of each database, which the planner would choose since it does not know
 * the number of rows.
 *
 * A stamp is read as text, since any text may be there, and text that is not JSON would fail the query. Its wording is
 * that of `writeStamp`.
 */
const openingSql = `
  with up_to_date (fingerprint) as (
    select fingerprint from tenantry.version where ${isUpToDate}
  ), side (name, row, id, fingerprint) as (
    select t.database, t.row_id::text, t.id, null
    from tenantry.tenant t join tenantry.server s on s.id = t.server_id and s.name = $1
    where t.state in ('active', 'suspended')
    union all
    select d.datname, split_part(split_part(c.description, '"row":"', 2), '"', 1), null,
           split_part(c.description, '"fingerprint":', 2)
    from pg_catalog.pg_shdescription c join pg_catalog.pg_database d on d.oid = c.objoid
    where c.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass and starts_with(c.description, '{"tenantry":1,')
      and strpos(c.description, '"kind":"tenant"') > 0
  ), fleet as materialized (
    select max(id) as id, count(fingerprint) > 0 as is_there,
           starts_with(max(fingerprint), to_json($3::text)::text) as is_current,
           exists (select from up_to_date u where starts_with(max(side.fingerprint), to_json(u.fingerprint)::text))
             as is_up_to_date
    from side group by name, row having count(id) > 0
  )
  select m.number as migration, m.compatible_from, i.id as "installationId", i.lock_secret as "lockSecret",
         i.key_check as "keyCheck",
         array(select name from tenantry.server where name = any($2)) as "knownServers",
         exists (select from tenantry.version where fingerprint = $3) as "isVersionKnown",
         array(select fingerprint from up_to_date) as "upToDate", i.desired is not null as "isDesiredSet",
         exists (select from tenantry.tenant where state in ('onboarding', 'purging')
                   and state_since < now() - make_interval(mins => ${leftBehindMinutes})) as "hasLeftBehind",
         exists (select from pg_catalog.pg_database d where d.datname = current_database() and (d.datacl is null
                   or exists (select from pg_catalog.aclexplode(d.datacl) a
                              where a.grantee = 0 and a.privilege_type = 'CONNECT'))) as "isPublic",
         exists (select from pg_catalog.pg_roles where rolname = $4 and pg_has_role(oid, 'usage')) as "hasGroups",
         f.*, array(select id from fleet where not is_there order by id limit 100) as missing
  from (select number, compatible_from from tenantry.migration order by number desc limit 1) m
  cross join tenantry.installation i
  cross join (select count(*)::int as tenants, (count(*) filter (where is_there and is_current))::int as current,
                     (count(*) filter (where is_there))::int as stamped,
                     (count(*) filter (where is_there and not is_up_to_date))::int as behind
              from fleet) f`
