import type { Identifier } from '../../kernel/names.ts'
import type { Change, LoginChange } from '../change.ts'
import type { Session } from '../session.ts'
import { ownNames } from './client.ts'
import { grantConnect, grantCreate, revokeConnect, revokeFromPublic } from './database-privileges.ts'
import { doBlock as block, quoteIdentifier as quote, quoteLiteral } from './quoting.ts'
import { scramVerifier } from './scram.ts'
import { defaultPrivileges, readOnlyStatement, takeOverStatements } from './take-over.ts'

/** Carries out changes; see `Server.apply`. No statement holds a password, only its verifier. */
export async function applyChanges(session: Session, changes: readonly Change[]): Promise<void> {
  const statements = await Promise.all(changes.map(statementsFor))
  await session.script(statements.flat())
}

async function statementsFor(it: Change): Promise<readonly string[]> {
  switch (it.change) {
    case 'rename':
      return [`alter database ${quote(it.database)} rename to ${quote(it.to)}`]
    case 'stamp':
      return [`comment on database ${quote(it.database)} is ${quoteLiteral(it.comment)}`]
    case 'open':
    case 'close':
    case 'seal':
    case 'unseal':
      return [`alter database ${quote(it.database)} with ${settings[it.change]}`]
    case 'make-private':
      return revokePublicAccess(it)
    case 'prepare':
      return [
        `grant usage, create on schema public to ${quote(it.groups.objects)}`,
        `grant usage on schema public to ${quote(it.groups.app)}`,
        ...defaultPrivileges(it.groups),
      ]
    case 'take-over':
      return takeOverStatements(it.database, it.groups)
    case 'make-read-only':
      return [readOnlyStatement(it.schema, it.table, it.groups.app)]
    case 'repair-privileges':
      return it.objects.flatMap(({ statements }) => statements)
    case 'add-extension':
      return [createExtensionStatement(it.name)]
    default:
      return loginStatements(it)
  }
}

/**
 * Returns the statements that create a missing extension: in `public`, unless it belongs into another schema itself.
 */
export function createExtensionStatement(name: Identifier): string {
  const create = `create extension if not exists ${quote(name)} cascade`
  return `set local search_path = public; ${create}; set local search_path = ${ownNames}`
}

const settings = {
  open: 'allow_connections true',
  close: 'allow_connections false',
  seal: 'allow_connections false is_template true',
  unseal: 'is_template false',
} as const

async function loginStatements(it: LoginChange): Promise<readonly string[]> {
  switch (it.change) {
    case 'set-login':
      return setLogin(it)
    case 'add-temporary-login': {
      const [user, objects] = [quote(it.login.user), quote(it.groups.objects)]
      const verifier = quoteLiteral(await scramVerifier(it.login.password))
      return [
        `create role ${user} login password ${verifier} in role ${objects}`,
        `alter role ${user} set role = ${objects}`,
        block(`if ${hasMembershipOptions} then ${mayActAs(it.login.user)} end if;`),
        block(grantConnect(it.database, it.login.user)),
      ]
    }
    case 'enable-login': {
      const login = `alter role ${quote(it.user)} login; ${grantConnect(it.database, it.user)}`
      return [block(`if ${exists(it.user)} then ${login} end if;`)]
    }
    case 'disable-login': {
      const revoke = it.database === undefined ? '' : revokeConnect(it.database, it.user)
      return [block(`if ${exists(it.user)} then alter role ${quote(it.user)} nologin; ${revoke} end if;`)]
    }
    case 'revoke-connect':
      return [block(revokeConnect(it.database, it.user))]
    case 'reset-login': {
      const isSet = `exists (select from pg_catalog.pg_db_role_setting s
        join pg_catalog.pg_roles r on r.oid = s.setrole where r.rolname = ${quoteLiteral(it.user)})`
      return [block(`if ${isSet} then ${resetSettings(it.user)} end if;`)]
    }
    case 'rename-login':
      return [`alter role ${quote(it.user)} rename to ${quote(it.to)}`]
  }
}

/** REVOKE itself may merely warn: so the result is checked. */
function revokePublicAccess({ database, groups }: Extract<Change, { change: 'make-private' }>): readonly string[] {
  const isPublic = `exists (select from pg_catalog.pg_database d
    where d.datname = ${quoteLiteral(database)} and (d.datacl is null
      or exists (select from pg_catalog.aclexplode(d.datacl) a where a.grantee = 0 and a.privilege_type = 'CONNECT')))`
  const message = quoteLiteral(`every role may still connect to ${database}`)
  return [
    revokeFromPublic(database),
    ...(groups ? [grantCreate(database, groups.objects)] : []),
    block(`if ${isPublic} then raise insufficient_privilege using message = ${message}; end if;`),
  ]
}

async function setLogin({ login, groups, database, mode }: Extract<Change, { change: 'set-login' }>) {
  const { user, password, connectionLimit } = login
  const verifier = quoteLiteral(await scramVerifier(password))
  const attributes = `${mode === 'enabled' ? 'login' : 'nologin'} connection limit ${connectionLimit} password ${verifier}`
  const make = `create role ${quote(user)} ${attributes}`
  // A role may change its own settings, also those for a database that it cannot connect to (ALTER ROLE).
  const change = `alter role ${quote(user)} ${attributes}; ${resetSettings(user)}`
  const setting = block(`if ${exists(user)} then ${change} else ${make}; end if; ${admission(groups.app, user)}`)
  return mode === 'enabled' ? [setting, block(grantConnect(database, user))] : [setting]
}

/**
 * Returns statements of PL/pgSQL that make a role a member of a group. From version 16 on it cannot act as the group:
 * objects that a role creates as the group belong to all members.
 */
function admission(group: Identifier, user: Identifier): string {
  const grant = `grant ${quote(group)} to ${quote(user)}`
  return `if ${hasMembershipOptions} then execute ${quoteLiteral(`${grant} with set false`)}; ${mayActAs(user)}
    else ${grant}; end if;`
}

/** The condition, in SQL, that a membership has options, such as SET: from version 16 on. */
const hasMembershipOptions = `current_setting('server_version_num')::int >= 160000`

/**
 * Returns statements of PL/pgSQL that let the session's role act as a role that it made, which it may only by a
 * membership. That has not the role's privileges: PostgreSQL would search all such memberships for each privilege.
 */
function mayActAs(user: Identifier): string {
  const grant = quoteLiteral(`grant ${quote(user)} to current_user with inherit false, set true`)
  return `if not pg_catalog.pg_has_role(${quoteLiteral(user)}, 'set') then execute ${grant}; end if;`
}

/** Returns statements of PL/pgSQL that reset the settings of a role, also those for single databases. */
function resetSettings(user: Identifier): string {
  return `alter role ${quote(user)} reset all; declare name text; begin
    for name in select d.datname from pg_catalog.pg_db_role_setting s
      join pg_catalog.pg_database d on d.oid = s.setdatabase
      join pg_catalog.pg_roles r on r.oid = s.setrole where r.rolname = ${quoteLiteral(user)}
    loop execute format('alter role %I in database %I reset all', ${quoteLiteral(user)}, name); end loop; end;`
}

/** Returns the condition, in SQL, that a role exists. */
export function exists(role: Identifier): string {
  return `exists (select from pg_catalog.pg_roles where rolname = ${quoteLiteral(role)})`
}
