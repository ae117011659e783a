import { TenantryError, hasCode } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { GroupRoles, Session } from '../port.ts'
import { quoteIdentifier as quote } from './quoting.ts'

/** The time that another process may take to make the groups, in milliseconds. */
const lockMs = 30_000

/** Returns the roles whose names begin with a prefix. */
export async function findRoles(
  session: Session,
  prefix: string,
): Promise<ReadonlyMap<Identifier, { readonly canLogIn: boolean }>> {
  const { rows } = await session.query<{ name: Identifier; canLogIn: boolean }>(
    'select rolname as name, rolcanlogin as "canLogIn" from pg_catalog.pg_roles where starts_with(rolname, $1)',
    [prefix],
  )
  return new Map(rows.map(({ name, canLogIn }) => [name, { canLogIn }]))
}

/** The state of the groups, and the session role's privileges on them. */
interface GroupState {
  readonly missing: readonly Identifier[]
  /** The owning groups that the role has to become a member of. */
  readonly outside: readonly Identifier[]
  /** True if it may make members of `app`. */
  readonly mayAdmit: boolean
}

/** Makes the missing ones of the groups; see `Roles.ensureGroups`. */
export async function createMissingGroups(session: Session, groups: GroupRoles): Promise<void> {
  if (isComplete(await readGroups(session, groups))) return
  try {
    await session.transaction(async () => {
      await session.lock(`roles:${groups.owner}`, 'transaction', lockMs)
      const { missing } = await readGroups(session, groups)
      await session.script(missing.map((role) => `create role ${quote(role)}`))
      // Groups that were made a moment ago are visible only now.
      const { outside } = await readGroups(session, groups)
      if (outside.length > 0) await session.query(`grant ${outside.map(quote).join(', ')} to current_user`)
    })
  } catch (error) {
    throw hasCode(error, 'permission-denied') ? await groupsDeniedError(error, session, groups) : error
  }
  const { mayAdmit } = await readGroups(session, groups)
  if (!mayAdmit) throw await groupsDeniedError(undefined, session, groups)
}

function isComplete({ missing, outside, mayAdmit }: GroupState): boolean {
  return missing.length === 0 && outside.length === 0 && mayAdmit
}

async function readGroups(session: Session, { owner, objects, app }: GroupRoles): Promise<GroupState> {
  const { rows } = await session.query<{ name: string; isMember: boolean; mayAdmit: boolean }>(groupsSql, [
    [owner, objects, app],
  ])
  const found = new Map(rows.map((row) => [row.name, row]))
  return {
    missing: [owner, objects, app].filter((role) => !found.has(role)),
    outside: [owner, objects].filter((role) => found.get(role)?.isMember === false),
    mayAdmit: found.get(app)?.mayAdmit === true,
  }
}

/**
 * The state of the groups. From version 16 on, a membership may exist without its privileges (INHERIT) or without the
 * right to act as the role (SET), and making members takes ADMIN OPTION; before, CREATEROLE was enough for any role but
 * a superuser.
 */
const groupsSql = `
  with here (is_super, may_create, is_fine) as (
    select r.rolsuper, r.rolcreaterole,
           exists (select from pg_catalog.pg_attribute
                   where attrelid = 'pg_catalog.pg_auth_members'::regclass and attname = 'set_option')
    from pg_catalog.pg_roles r where r.rolname = current_user
  )
  select g.rolname as name,
         pg_has_role(g.oid, 'usage') and pg_has_role(g.oid, case when is_fine then 'set' else 'member' end) as "isMember",
         is_super or (may_create and not is_fine) or pg_has_role(g.oid, 'member with admin option') as "mayAdmit"
  from here, pg_catalog.pg_roles g where g.rolname = any($1)`

async function groupsDeniedError(
  error: TenantryError | undefined,
  session: Session,
  groups: GroupRoles,
): Promise<TenantryError> {
  const user = quote(session.user as Identifier)
  const { rows } = await session.query<{ mayCreate: boolean }>(
    'select rolsuper or rolcreaterole as "mayCreate" from pg_catalog.pg_roles where rolname = current_user',
  )
  const mayCreate = rows[0]?.mayCreate === true
  const [owning, app] = [[groups.owner, groups.objects].map(quote).join(', '), quote(groups.app)]
  const grants = mayCreate
    ? `GRANT ${owning} TO ${user}; GRANT ${app} TO ${user} WITH ADMIN OPTION;`
    : `ALTER ROLE ${user} CREATEROLE;`
  return new TenantryError(
    'permission-denied',
    `${session.user} may not give each tenant a role of its own${error === undefined ? '.' : `: ${error.message}`}`,
    {
      cause: error?.cause,
      sqlState: error?.sqlState,
      hint: `As a superuser, or a role that may grant it: ${grants} Or let all tenants share the role of the connection, with roles: 'shared'.`,
    },
  )
}
