import type { Evidence } from './evidence.ts'

/** The databases of an installation that a role may connect to, and the rows of both. */
interface Entry {
  readonly role: string
  readonly canLogIn: boolean
  /** The names of the databases that it may connect to. */
  readonly databases: readonly string[]
}

/**
 * No credential works elsewhere: every role of a tenant or a spare may connect to its own database alone, and there is
 * no other role; it can log in if the tenant's state allows it; and the catalog has its password.
 */
export async function rolesFit(evidence: Evidence): Promise<string[]> {
  const { world, tenants, inventory, databases, findings } = evidence
  const prefix = `${world.installation}_r_`
  const passwords = await world.inCatalog<{ row: string }>('select row_id::text as row from tenantry.credential')
  const kept = new Set(passwords.map(({ row }) => prefix + row.replaceAll('-', '')))
  const roles = await world.sql<Entry>(
    `select r.rolname as role, r.rolcanlogin as "canLogIn",
            array(select d.datname::text from pg_database d where has_database_privilege(r.oid, d.oid, 'connect')
                    and starts_with(d.datname, $1) and not has_database_privilege('public', d.oid, 'connect'))
              as databases
     from pg_roles r where starts_with(r.rolname, $2)`,
    [`${world.installation}_`, prefix],
  )
  const isReported = (id: string) => findings.some(({ tenant }) => tenant === id)
  const wrong: string[] = []
  for (const role of roles) {
    const row = [...tenants, ...inventory].find(({ rowId }) => prefix + rowId.replaceAll('-', '') === role.role)
    const tenant = tenants.find(({ rowId }) => rowId === row?.rowId)
    const own = databases
      .filter(({ comment }) => row !== undefined && comment?.includes(row.rowId))
      .map(({ name }) => name)
    const elsewhere = role.databases.filter((name) => !own.includes(name))
    if (row !== undefined && elsewhere.length > 0) wrong.push(`${role.role} may connect to ${elsewhere.join(', ')}`)
    // A person decides about a catalog that was set back, and about findings.
    if (row === undefined && findings.length === 0) wrong.push(`the role ${role.role} is nobody's`)
    if (row !== undefined && !kept.has(role.role)) wrong.push(`the password of ${role.role} is not kept`)
    if (tenant === undefined || isReported(tenant.id)) continue
    if (role.canLogIn !== (tenant.state === 'active')) {
      wrong.push(`the role of ${tenant.id}, which is ${tenant.state}, can ${role.canLogIn ? '' : 'not '}log in`)
    }
  }
  for (const { id, rowId, state } of tenants) {
    const role = prefix + rowId.replaceAll('-', '')
    if (kept.has(role) && !isReported(id) && !roles.some((it) => it.role === role)) {
      wrong.push(`the role of ${id}, which is ${state}, is gone`)
    }
  }
  return wrong
}
