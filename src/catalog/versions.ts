import { type Kysely, sql } from 'kysely'
import type { CatalogTables } from './tables.ts'

/** A version of the models in the catalog. */
export interface Version {
  /** Its running number, for people. */
  readonly number: number
  readonly fingerprint: string
}

/**
 * The condition that a row of `tenantry.version` is at or after the desired version: the one that was set, or else the
 * one that was declared last.
 */
export const isUpToDate = `rank >= (select coalesce(
    (select v.rank from tenantry.version v join tenantry.installation i on i.desired = v.fingerprint),
    (select max(rank) from tenantry.version)))`

/** Returns the query for the desired version, which is none before a process has declared one. */
export function desiredVersion(db: Kysely<CatalogTables>) {
  return db
    .selectFrom('version')
    .select(['number', 'fingerprint'])
    .where(sql<boolean>`${sql.raw(isUpToDate)}`)
    .orderBy('rank')
    .limit(1)
}

/**
 * Makes a version the desired one, and the last in order.
 *
 * @param version its number or its fingerprint
 * @returns the version, and whether it was the desired one that was set before; undefined if there is none
 */
export function setDesiredVersion(
  on: Kysely<CatalogTables>,
  version: number | string,
): Promise<(Version & { readonly wasSet: boolean }) | undefined> {
  return on.transaction().execute(async (db) => {
    // Locked, so that of two calls at once the later one counts.
    const { desired } = await db.selectFrom('installation').select('desired').forUpdate().executeTakeFirstOrThrow()
    const found = await db
      .selectFrom('version')
      .select(['number', 'fingerprint'])
      .where(typeof version === 'number' ? 'number' : 'fingerprint', '=', version)
      .executeTakeFirst()
    if (found === undefined || found.fingerprint === desired) return found && { ...found, wasSet: true }
    await db
      .updateTable('version')
      .set({ rank: sql`default` })
      .where('fingerprint', '=', found.fingerprint)
      .execute()
    await db.updateTable('installation').set({ desired: found.fingerprint }).execute()
    return { ...found, wasSet: false }
  })
}

/** How a tenant's version stands to that of a process. */
export interface Standing {
  /** The running number of the process's version; undefined if the catalog does not have it. */
  readonly number: number | undefined
  /** True unless the tenant's version comes after the process's. */
  readonly isBehind: boolean
}

/** Compares the version of a tenant with that of a process. */
export async function compareVersions(
  db: Kysely<CatalogTables>,
  tenants: string | undefined,
  processes: string,
): Promise<Standing> {
  const rows = await db
    .selectFrom('version')
    .select(['number', 'fingerprint', 'rank'])
    .where('fingerprint', 'in', [processes, ...(tenants === undefined ? [] : [tenants])])
    .execute()
  const ours = rows.find(({ fingerprint }) => fingerprint === processes)
  const theirs = rows.find(({ fingerprint }) => fingerprint === tenants)
  const isAfter = ours !== undefined && theirs !== undefined && BigInt(theirs.rank) > BigInt(ours.rank)
  return { number: ours?.number, isBehind: !isAfter }
}
