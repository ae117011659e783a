import { hasFailure, TenantryError } from '../kernel/errors.ts'
import type { Installation } from '../kernel/names.ts'
import type { Session } from '../server/port.ts'
import { type Migration, migrations, newestMigration as newest } from './migrations.ts'

/** The name of the lock under which the catalog's schema and its privileges to connect are changed. */
const catalogLock = 'catalog'

/**
 * Brings a catalog's own schema up to date, under a lock. One query if there is nothing to do.
 *
 * @throws `catalog-newer` if a newer Tenantry has changed it beyond compatibility, `foreign-database` if the database
 *   has the catalog's name but the tables of another program, `lock-timeout`
 */
export async function migrateCatalog(
  session: Session,
  installation: Installation,
  lockTimeoutMs: number,
): Promise<void> {
  if ((await versionOf(session)) >= newest) return
  await session.transaction(async () => {
    await session.lock(catalogLock, 'transaction', lockTimeoutMs)
    if (!(await isMade(session))) return createCatalog(session, installation)
    await apply(session, migrationsAfter(await versionOf(session)))
  })
}

/**
 * Checks that there is a catalog, of any version, and changes nothing.
 *
 * @returns the number of the last step that was applied
 * @throws `catalog-newer`, `catalog-missing`
 */
export async function requireCatalog(session: Session): Promise<number> {
  const version = await versionOf(session)
  if (version > 0) return version
  throw new TenantryError('catalog-missing', `The database ${session.database} has no catalog of Tenantry's in it.`, {
    hint: missingHint,
  })
}

/** The hint if there is no catalog. */
export const missingHint =
  'Make it with "tenantry init --catalog". If there should be one, check the URL and the option `installation`.'

/**
 * Checks that a catalog is as this Tenantry needs it, and changes nothing.
 *
 * @throws `catalog-newer`, `catalog-older`, `catalog-missing`
 */
export async function checkCatalog(session: Session): Promise<void> {
  const version = await requireCatalog(session)
  if (version >= newest) return
  throw new TenantryError('catalog-older', `The catalog ${session.database} is at version ${version}.`, {
    hint: `This Tenantry needs version ${newest}, and a router does not change it: run "tenantry ensure", or start a process without mode "router" first.`,
  })
}

/** The number of the last step that was applied; 0 for a catalog that is not made yet. */
async function versionOf(session: Session): Promise<number> {
  try {
    const { rows } = await session.query<{ number: number; compatible_from: number }>(
      'select number, compatible_from from tenantry.migration order by number desc limit 1',
    )
    const { number = 0, compatible_from = 0 } = rows[0] ?? {}
    if (compatible_from <= newest) return number
    throw new TenantryError('catalog-newer', `The catalog ${session.database} was migrated to version ${number}.`, {
      hint: `This Tenantry knows the catalog up to version ${newest}: upgrade the tenantry package of this process.`,
    })
  } catch (error) {
    if (hasFailure(error, 'missing-table')) return 0
    throw error
  }
}

/** True if a process has opened the catalog to the end: it made its servers known. */
export async function hasServers(session: Session): Promise<boolean> {
  if ((await versionOf(session)) === 0) return false
  const { rows } = await session.query('select from tenantry.server limit 1')
  return rows.length > 0
}

async function isMade(session: Session): Promise<boolean> {
  const { rows } = await session.query<{ made: boolean; foreign: boolean }>(
    `select to_regclass('tenantry.migration') is not null as made,
            exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                    where n.nspname <> 'information_schema' and n.nspname !~ '^pg_') as foreign`,
  )
  const { made, foreign } = rows[0] ?? {}
  if (made || !foreign) return made === true
  throw new TenantryError('foreign-database', `The database ${session.database} is not a catalog of Tenantry's.`, {
    hint: 'Give the configuration another `installation`: its name is the beginning of the name of its catalog.',
  })
}

async function createCatalog(session: Session, installation: Installation): Promise<void> {
  await apply(session, migrations)
  await session.query('insert into tenantry.installation (name) values ($1)', [installation])
}

/** Takes all steps in one round trip. */
async function apply(session: Session, steps: readonly Migration[]): Promise<void> {
  const scripts = steps.map(({ number, statements, compatibleFrom }) => [
    ...statements,
    `insert into tenantry.migration (number, compatible_from) values (${number}, ${compatibleFrom})`,
  ])
  await session.script(scripts.flat())
}

function migrationsAfter(number: number): readonly Migration[] {
  return migrations.filter((step) => step.number > number)
}
