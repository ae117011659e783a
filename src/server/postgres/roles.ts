import { TenantryError, hasCode } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { GroupRoles, RoleAdministration, Session } from '../port.ts'
import { doBlock as block, quoteIdentifier as quote, quoteLiteral } from './quoting.ts'
import { wrongPrivilegesQuery } from './relation-privileges.ts'
import { scramVerifier } from './scram.ts'
import { defaultPrivileges, takeOverStatements } from './take-over.ts'

/** The time that another process may take to make the groups, in milliseconds. */
const lockMs = 30_000

/** Roles in PostgreSQL. https://www.postgresql.org/docs/current/user-manag.html */
export const roleAdministration: RoleAdministration = {
  ensureGroups: createMissingGroups,

  revokePublicAccess(database, groups) {
    const revoke = `revoke all on database ${quote(database)} from public`
    if (groups === undefined) return [revoke, verifyNotPublic(database)]
    const grant = `grant create, temporary on database ${quote(database)} to ${quote(groups.objects)}`
    return [revoke, grant, verifyNotPublic(database)]
  },

  prepare({ objects, app }) {
    return [
      `grant usage, create on schema public to ${quote(objects)}`,
      `grant usage on schema public to ${quote(app)}`,
      ...defaultPrivileges({ objects, app }),
    ]
  },

  takeOver: takeOverStatements,

  async establish({ user, password, connectionLimit }, { app }, database, mode) {
    const verifier = quoteLiteral(await scramVerifier(password))
    const attributes = `${mode === 'enabled' ? 'login' : 'nologin'} connection limit ${connectionLimit} password ${verifier}`
    const role = quote(user)
    const make = `create role ${role} ${attributes}`
    // A role may change its own settings, also those for a database that it cannot connect to (ALTER ROLE).
    const change = `alter role ${role} ${attributes}; ${resetSettings(user)}`
    const establishing = block(`if ${exists(user)} then ${change} else ${make}; end if; ${admission(app, user)}`)
    return mode === 'enabled' ? [establishing, grantConnect(database, user)] : [establishing]
  },

  async createTemporaryRole({ user, password }, { objects }, database) {
    const verifier = quoteLiteral(await scramVerifier(password))
    return [
      `create role ${quote(user)} login password ${verifier} in role ${quote(objects)}`,
      `alter role ${quote(user)} set role = ${quote(objects)}`,
      grantConnect(database, user),
    ]
  },

  disableLogin(user, database) {
    const nologin = `alter role ${quote(user)} nologin;`
    const revoke = database === undefined ? '' : `revoke connect on database ${quote(database)} from ${quote(user)};`
    return [block(`if ${exists(user)} then ${nologin} ${revoke} end if;`)]
  },

  enableLogin(user, database) {
    return [block(`if ${exists(user)} then alter role ${quote(user)} login; ${grantConnect(database, user)}; end if;`)]
  },

  resetSettings(user) {
    const isSet = `exists (select from pg_catalog.pg_db_role_setting s
      join pg_catalog.pg_roles r on r.oid = s.setrole where r.rolname = ${quoteLiteral(user)})`
    return block(`if ${isSet} then ${resetSettings(user)} end if;`)
  },

  rename(from, to) {
    return `alter role ${quote(from)} rename to ${quote(to)}`
  },

  wrongPrivilegesQuery,

  async find(session, prefix) {
    const { rows } = await session.query<{ name: Identifier; canLogIn: boolean }>(
      'select rolname as name, rolcanlogin as "canLogIn" from pg_catalog.pg_roles where starts_with(rolname, $1)',
      [prefix],
    )
    return new Map(rows.map(({ name, canLogIn }) => [name, { canLogIn }]))
  },
}

/**
 * Returns statements of PL/pgSQL that make a role a member of a group. From version 16 on it cannot act as the group:
 * objects that a role creates as the group belong to all members.
 */
function admission(group: Identifier, user: Identifier): string {
  const grant = `grant ${quote(group)} to ${quote(user)}`
  return `if current_setting('server_version_num')::int < 160000 then ${grant};
    else execute ${quoteLiteral(`${grant} with set false`)}; end if;`
}

/** Returns statements of PL/pgSQL that reset the settings of a role, also those for single databases. */
function resetSettings(user: Identifier): string {
  return `alter role ${quote(user)} reset all; declare name text; begin
    for name in select d.datname from pg_catalog.pg_db_role_setting s
      join pg_catalog.pg_database d on d.oid = s.setdatabase
      join pg_catalog.pg_roles r on r.oid = s.setrole where r.rolname = ${quoteLiteral(user)}
    loop execute format('alter role %I in database %I reset all', ${quoteLiteral(user)}, name); end loop; end;`
}

function verifyNotPublic(database: Identifier): string {
  const isPublic = `exists (select from pg_catalog.pg_database d
    where d.datname = ${quoteLiteral(database)} and (d.datacl is null
      or exists (select from pg_catalog.aclexplode(d.datacl) a where a.grantee = 0 and a.privilege_type = 'CONNECT')))`
  const message = quoteLiteral(`every role may still connect to ${database}`)
  return block(`if ${isPublic} then raise insufficient_privilege using message = ${message}; end if;`)
}

/** Returns the condition, in SQL, that a role exists. */
export function exists(role: Identifier): string {
  return `exists (select from pg_catalog.pg_roles where rolname = ${quoteLiteral(role)})`
}

function grantConnect(database: Identifier, user: Identifier): string {
  return `grant connect, temporary on database ${quote(database)} to ${quote(user)}`
}

/** The state of the groups, and the session role's privileges on them. */
interface GroupState {
  readonly missing: readonly Identifier[]
  /** The owning groups that the role has to become a member of. */
  readonly outside: readonly Identifier[]
  /** True if it may make members of `app`. */
  readonly mayAdmit: boolean
}

async function createMissingGroups(session: Session, groups: GroupRoles): Promise<void> {
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
