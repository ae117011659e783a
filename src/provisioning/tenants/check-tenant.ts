import type { Cancellable } from '../../kernel/abort.ts'
import { parseTenantId } from '../../kernel/names.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type { WrongPrivileges } from '../../server/wrong-privileges.ts'
import type { GroupsInUse } from '../../server/structure.ts'
import { withSession } from '../../server/with-session.ts'
import { requireServer } from '../../server/require-server.ts'
import type { Comparison } from '../../structure/comparison.ts'
import { reported } from '../tables/compare-database.ts'
import {
  buildInCatalog,
  lookAtTenant,
  lookAtVersion,
  structuresOf,
  contextOfVersion,
} from '../tables/compare-tenant.ts'
import { toolTables } from '../tables/create-tables.ts'
import type { MakingContext, ProvisioningContext } from '../context.ts'
import { loginOf } from '../roles/separation.ts'
import { ensureTemplate } from '../templates/template.ts'
import { findInService } from './existing-tenant.ts'

/** Options of `check`. */
export interface CheckOptions extends Cancellable {
  /** True if what the models do not declare counts as a difference as well. Default false: a column more is none. */
  readonly exact?: boolean
  /**
   * `models` compares with the models of this process, `version` with those that the tenant's database was last brought
   * to. Default `models`.
   */
  readonly against?: 'models' | 'version'
}

/** The result of a comparison of a tenant's database. */
export interface CheckedTenant extends Comparison {
  /**
   * `unverified` where only names could be compared, since no process has built the template of this process's version
   * yet; or nothing, since the catalog has no template of the tenant's version.
   */
  readonly outcome: 'matches' | 'differs' | 'unverified'
  /** Objects that the tenant cannot use because of their owner or grants. Empty where it shares the role of the connection. */
  readonly privileges: readonly WrongPrivileges[]
}

/**
 * Compares a tenant's database with the template of this version or its own, and its owners and grants with what Tenantry gives;
 * touches nothing. It looks as the tenant's own role, where that may log in: the role of the connection may be that of a
 * router, which may connect to no tenant's database itself.
 *
 * @param mayBuild true if the template may be built where there is none; otherwise what the models make is built in the
 *   catalog's database and taken back
 */
export async function checkTenant<Handle>(
  context: MakingContext<Handle>,
  id: string,
  { exact = false, against = 'models', ...options }: CheckOptions,
  mayBuild: boolean,
): Promise<CheckedTenant> {
  const tenantId = parseTenantId(id)
  const row = await findInService(context.catalog, 'check', tenantId, options)
  const server = requireServer(context.servers, row.server, tenantId)
  const login = row.state === 'active' ? loginOf(context, row) : undefined
  const { fingerprint: version = context.fingerprint } = against === 'version' ? row : context
  const isOwn = version === context.fingerprint
  const build = () => (mayBuild ? ensureTemplate(context, server, options) : buildInCatalog(context, options))
  if (isOwn && (await structuresOf(context)).size === 0) await build()
  const usedBy = await groupsInUse(contextOfVersion(context, version), row)
  return withSession(server.connect(row.database, { ...options, login }), async (session) => {
    const site = { server, session, usedBy }
    const look = isOwn ? await lookAtTenant(context, { ...site, build }) : await lookAtVersion(context, site, version)
    if (look === undefined) return { outcome: 'unverified', ...notCompared }
    const comparison = reported(look, context.models.schema, exact)
    const privileges = look.live.wrongPrivileges
    const wrong = [comparison.missing, comparison.differing, privileges, exact ? comparison.extra : []]
    const differs = wrong.some(({ length }) => length > 0)
    return { outcome: differs ? 'differs' : look.isKnown ? 'matches' : 'unverified', ...comparison, privileges }
  })
}

const notCompared = { existing: [], missing: [], differing: [], extra: [], createStatements: [], privileges: [] }

/** Returns the groups that use a tenant's database; undefined if it shares the role of the connection. */
export async function groupsInUse(
  context: ProvisioningContext,
  { credential }: TenantRow,
): Promise<GroupsInUse | undefined> {
  const { separation, models } = context
  if (separation === undefined || credential === undefined) return undefined
  const [structure = []] = (await structuresOf(context)).values()
  const ofTool = new Set(toolTables(models.schema).map(({ schema, table }) => `${schema}.${table}`))
  const tables = structure
    .flatMap(({ kind, schema, name }) => (kind === 'table' ? [`${schema}.${name}`] : []))
    .filter((table) => !ofTool.has(table))
  return { groups: separation.groups, tables, defaultSchema: models.schema.defaultSchema }
}
