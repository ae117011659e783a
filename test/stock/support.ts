import type { EntityManager } from '@mikro-orm/postgresql'
import type { TenantryConfig, TenantryEvent } from 'tenantry'
import type { PostgresOptions } from 'tenantry/postgres'
import { serverUrl, sql, sqlAt } from '../support/server.ts'
import { inCatalog, openTestTenantry, type TestTenantry } from '../support/tenants.ts'
import { models } from './models.ts'

/** A Tenantry on the models of these suites. */
export type Inventoried = TestTenantry<EntityManager>

type Config = Partial<Omit<TenantryConfig<EntityManager>, 'models'>> & { readonly postgres?: Partial<PostgresOptions> }

/** Opens a Tenantry, and collects its events from the beginning. */
export async function open(config: Config = {}): Promise<Inventoried & { readonly events: TenantryEvent[] }> {
  const tenantry = await openTestTenantry(models, config)
  const events: TenantryEvent[] = []
  tenantry.on((event) => events.push(event))
  return Object.assign(tenantry, { events })
}

/** Waits until every server has as many spares of these models as this process wants, and nothing else is left over. */
export async function filled(tenantry: Inventoried, wanted: number, servers = 1): Promise<void> {
  await told(tenantry, async () => {
    const { spares } = await tenantry.status()
    const own = spares.filter((it) => it.wanted !== undefined)
    return own.length === servers && own.every(({ ready, filling }) => ready === wanted && filling === 0)
  })
}

/** Waits until a condition holds, checking it at every event, and now and then in between. */
export async function told(tenantry: Inventoried, condition: () => Promise<boolean>): Promise<void> {
  for (;;) {
    if (await condition()) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, 100)
      const stop = tenantry.on(done)
      function done(): void {
        clearTimeout(timer)
        stop()
        resolve()
      }
    })
  }
}

interface PhysicalDatabase {
  readonly name: string
  readonly oid: number
  readonly open: boolean
  readonly template: boolean
  readonly stamp: { readonly kind: string; readonly row: string; readonly fingerprint: string } | undefined
}

/** The databases of an installation but those for administration, as the server has them. */
export async function databases(
  { installation }: { readonly installation: string },
  url = serverUrl({ database: 'postgres' }),
): Promise<PhysicalDatabase[]> {
  const rows = await sqlAt<Omit<PhysicalDatabase, 'stamp'> & { comment: string | null }>(
    url,
    `select datname as name, oid, datallowconn as open, datistemplate as template,
            shobj_description(oid, 'pg_database') as comment
     from pg_database where starts_with(datname, $1) and datname <> all($2) order by 1`,
    [`${installation}_`, [`${installation}_catalog`, `${installation}_admin`]],
  )
  return rows.map(({ comment, ...row }) => ({
    ...row,
    stamp: stampOf(comment),
  }))
}

/** Reads a stamp; a comment that is none may be anything. */
function stampOf(comment: string | null): PhysicalDatabase['stamp'] {
  return comment?.startsWith('{"tenantry":1,')
    ? (JSON.parse(comment) as NonNullable<PhysicalDatabase['stamp']>)
    : undefined
}

/** Returns the names of an installation's databases with this purpose. */
export async function namesOf(tenantry: { readonly installation: string }, purpose: string): Promise<string[]> {
  const all = await databases(tenantry)
  return all.map(({ name }) => name).filter((name) => name.startsWith(`${tenantry.installation}_${purpose}_`))
}

/**
 * Returns the violations of the invariants while no process is working: every tenant in service has one database,
 * complete and stamped as its own; every row in the inventory has its database, sealed; and there is nothing else.
 */
export async function violations(tenantry: { readonly installation: string }): Promise<string[]> {
  const all = await databases(tenantry)
  const rows = await inCatalog<{ kind: string; row: string; state: string; database: string | null }>(
    tenantry,
    `select 'tenant' as kind, row_id::text as row, state, database from tenantry.tenant
     union all select 'spare', row_id::text, state, database from tenantry.spare
     union all select 'template', row_id::text, state, null from tenantry.template`,
  )
  const wrong: string[] = []
  const seen = new Set<string>()
  for (const { kind, row, state, database } of rows) {
    const own = all.filter(({ stamp }) => stamp?.row === row)
    const wanted = kind === 'tenant' ? 'active' : 'ready'
    if (state !== wanted) wrong.push(`${kind} ${row} is ${state}`)
    if (own.length !== 1) wrong.push(`${kind} ${row} has ${own.length} databases`)
    for (const it of own) {
      seen.add(it.name)
      if (database !== null && it.name !== database) wrong.push(`${kind} ${row} is called ${it.name}`)
      if (it.stamp?.kind !== kind) wrong.push(`${it.name} is stamped ${it.stamp?.kind}`)
      if (it.open !== (kind === 'tenant')) wrong.push(`${it.name} is ${it.open ? 'open' : 'closed'}`)
      if (it.template !== (kind === 'template')) wrong.push(`${it.name} is ${it.template ? 'a' : 'no'} template`)
    }
  }
  for (const { name } of all) if (!seen.has(name)) wrong.push(`${name} is nobody's`)
  return wrong
}

/** Returns the number of rows in the users' table of a database. */
export async function usersIn(database: string): Promise<number> {
  const [row] = await sql<{ count: number }>('select count(*)::int as count from user_account', [], database)
  return row?.count ?? -1
}
