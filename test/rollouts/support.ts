import type { Models, RolloutPlan, TenantryConfig } from 'tenantry'
import { createProvisioner } from '../isolation/support.ts'
import { serverUrl, sql } from '../support/server.ts'
import { modelsOf } from '../support/statements.ts'
import { namesOf, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

type Pool = ReturnType<typeof modelsOf> extends Models<infer Handle> ? Handle : never

/** A Tenantry of models that are statements. */
export type PlainTenantry = TestTenantry<Pool>

type Hooks = NonNullable<TenantryConfig<Pool>['hooks']>

/** The first version's only statement. */
export const notes = 'create table note (id int primary key, text text not null)'

/** The second version's only statement. */
export const withTag = `create table note (id int primary key, text text not null, tag text default 'none')`

/** Returns the statements of a plan. */
export const statements = ({ from }: RolloutPlan) => from.flatMap(({ steps }) => steps.map(({ sql: text }) => text))

/** Returns the hazards of a plan, as they are allowed. */
export const hazards = ({ from }: RolloutPlan) =>
  from.flatMap(({ steps }) => steps.flatMap((step) => step.hazards.map(({ code, object }) => `${code}:${object}`)))

/** Opens an installation with tenants of a first version, as a role that is no superuser. */
export async function firstVersion(ids: readonly string[], ...created: readonly string[]) {
  const provisioner = await createProvisioner()
  const url = serverUrl(provisioner)
  const first = await openTestTenantry(modelsOf(...created), { postgres: { url } })
  for (const id of ids) await first.onboard(id)
  const nextWith = (hooks: Hooks, ...changed: readonly string[]): Promise<PlainTenantry> =>
    openTestTenantry(modelsOf(...changed), { installation: first.installation, postgres: { url }, hooks })
  const next = (...changed: readonly string[]) => nextWith({}, ...changed)
  return { first, next, nextWith, provisioner }
}

/** Runs a statement in a tenant's database, as the superuser. */
export async function inTenant<Row extends object>(tenantry: PlainTenantry, id: string, statement: string) {
  const { inService } = await namesOf({ installation: tenantry.installation }, id)
  return sql<Row>(statement, [], inService)
}

/** The version of each tenant. */
export async function versionsOf(tenantry: PlainTenantry): Promise<Readonly<Record<string, number | undefined>>> {
  const tenants = await tenantry.tenants.list()
  return Object.fromEntries(tenants.map(({ id, version }) => [id, version]))
}
