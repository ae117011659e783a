import { createHash } from 'node:crypto'
import { openTenantry, type Models, type TenantEvent, type Tenantry, type TenantryConfig } from 'tenantry'
import { postgres, type PostgresOptions } from 'tenantry/postgres'
import { afterwards, disposableName, serverUrl, sql, sqlAt } from './server.ts'

type Overrides<Handle> = Partial<Omit<TenantryConfig<Handle>, 'models'>> & {
  readonly postgres?: Partial<PostgresOptions>
}

/** A Tenantry, and the name of its installation. */
export type TestTenantry<Handle> = Tenantry<Handle> & { readonly installation: string }

/** Opens a Tenantry on the test server as an installation of its own; closed and dropped afterwards. */
export async function openTestTenantry<Handle>(
  models: Models<Handle>,
  { postgres: options, ...overrides }: Overrides<Handle> = {},
): Promise<TestTenantry<Handle>> {
  const installation = overrides.installation ?? disposableName('i')
  const servers = [postgres({ url: serverUrl(), ...options })]
  const tenantry = await openTenantry({ models, servers, logger: silent, ...overrides, installation })
  afterwards(() => tenantry.close())
  return Object.assign(tenantry, { installation })
}

/** Takes notices, such as that tenants have older tables. */
const silent = { info: () => undefined, warn: () => undefined }

/** The fingerprint of the version that an installation's first process has. */
export async function firstFingerprint(tenantry: { readonly installation: string }): Promise<string> {
  const [row] = await inCatalog<{ fingerprint: string }>(
    tenantry,
    'select fingerprint from tenantry.version where number = 1',
  )
  return row!.fingerprint
}

/** Calls back after every change of a tenant. @returns an unsubscribe function */
export function onChange(tenantry: Pick<Tenantry<unknown>, 'on'>, listener: (event: TenantEvent) => void): () => void {
  return tenantry.on((event) => {
    if (event.event === 'tenant-changed') listener(event)
  })
}

/** Runs one statement in an installation's catalog, as the superuser. */
export function inCatalog<Row extends object = Record<string, unknown>>(
  { installation }: { readonly installation: string },
  statement: string,
  params: unknown[] = [],
): Promise<Row[]> {
  return sql<Row>(statement, params, `${installation}_catalog`)
}

/** The key of the advisory lock on a tenant's id, as SQL: its name holds a secret of the catalog. */
export async function tenantLockKey(tenantry: { readonly installation: string }, id: string): Promise<string> {
  const [row] = await inCatalog<{ lock_secret: string }>(tenantry, 'select lock_secret from tenantry.installation')
  const name = createHash('sha256').update(`${row!.lock_secret}:${id}`).digest('hex')
  return `hashtextextended('tenantry:tenant:${name}', 0)`
}

/** The names that a tenant's database may have, by its row in the catalog. */
export async function namesOf(tenantry: { readonly installation: string }, id: string) {
  const [row] = await inCatalog<{ row_id: string; database: string }>(
    tenantry,
    'select row_id, database from tenantry.tenant where id = $1',
    [id],
  )
  const { row_id: rowId, database } = row!
  const own = (purpose: string) => `${tenantry.installation}_${purpose}_${rowId.replaceAll('-', '')}`
  return { rowId, inService: database, building: own('building'), archived: own('off'), pendingDrop: own('drop') }
}

/** Returns the databases of an installation's tenants, in any state, in the order of their names. */
export async function databasesOf(
  { installation }: { readonly installation: string },
  url = serverUrl({ database: 'postgres' }),
): Promise<string[]> {
  const rows = await sqlAt<{ name: string }>(
    url,
    `select datname as name from pg_database
     where starts_with(datname, $1) and datname <> all($2) and datname !~ '_(template|spare)_[0-9a-f]{32}$'
     order by datname`,
    [`${installation}_`, [`${installation}_catalog`, `${installation}_admin`]],
  )
  return rows.map(({ name }) => name)
}

/** Returns the comment on a database: a stamp, or any other. */
export async function commentOn(
  database: string,
  url = serverUrl({ database: 'postgres' }),
): Promise<string | undefined> {
  const [row] = await sqlAt<{ comment: string | null }>(
    url,
    `select shobj_description(oid, 'pg_database') as comment from pg_database where datname = $1`,
    [database],
  )
  return row?.comment ?? undefined
}

/** All that a call may change: rows, audit trail, and databases with their comments. */
export async function snapshot(tenantry: { readonly installation: string }) {
  const records = await inCatalog(
    tenantry,
    `select (select json_agg(tenant order by id) from tenantry.tenant) as tenants,
            (select json_agg(audit order by number) from tenantry.audit) as audit`,
  )
  const databases = await sql(
    `select datname, shobj_description(oid, 'pg_database') from pg_database where starts_with(datname, $1) order by 1`,
    [`${tenantry.installation}_`],
  )
  return { records, databases }
}
