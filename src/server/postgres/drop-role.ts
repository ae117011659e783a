import { explained, hasFailure, TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { DropRoleOptions, Session, TenantSessions } from '../port.ts'
import { doBlock, quoteIdentifier as quote, quoteLiteral } from './quoting.ts'
import { withSession } from '../with-session.ts'
import { exists } from './changes.ts'
import { dropOwnedStatement, endTemporaryGrantors } from './drop-owned.ts'

/** A role owns something, or has privileges on it. */
export const dependentObjects = '2BP01'

/** The number of attempts to remove a role's dependencies, while other roles may be granting it privileges. */
const attempts = 20
/** The time for that, in milliseconds: other roles may grant it privileges faster than these are revoked. */
const releaseMs = 10_000

/** Operations of its server that dropping a role needs. */
interface Surroundings {
  /** Opens a session on another database of the server. */
  readonly connect: (database: Identifier) => Promise<Session>
  /** The tenants, whose roles and group may have granted it privileges. */
  readonly tenants: Pick<TenantSessions, 'rolePrefix' | 'group'> | undefined
}

/** A dependency of a database on a role. */
interface Dependence {
  /** Null for an object of the whole server. */
  readonly database: Identifier | null
  readonly comment: string | null
  readonly owns: boolean
  /** True if it is a privilege on a database. */
  readonly mayConnect: boolean
}

/**
 * Drops a role; see `Roles.drop`. Any role may grant it privileges on its own objects, in any database it may
 * connect to: they keep the role from being dropped until they are revoked there (DROP OWNED).
 */
export async function dropRole(
  session: Session,
  user: Identifier,
  { database, heir }: DropRoleOptions,
  surroundings: Surroundings,
): Promise<boolean> {
  const leave = database === undefined ? '' : `revoke all on database ${quote(database)} from ${quote(user)}; `
  // Not by IF EXISTS: that takes CREATEROLE even if there is nothing to drop.
  const statement = doBlock(`if ${exists(user)} then ${leave}drop role ${quote(user)}; end if;`)
  const deadline = Date.now() + releaseMs
  for (let attempt = 1; ; attempt++) {
    try {
      await session.query(statement)
      return true
    } catch (error) {
      if (!(error instanceof TenantryError) || error.sqlState !== dependentObjects) throw error
      const dependences = await dependencesOf(session, user, database)
      if (dependences.some(({ mayConnect }) => mayConnect)) return false
      if (attempt === attempts || (attempt > 1 && Date.now() > deadline)) throw keptError(user, dependences, error)
      for (const dependence of dependences) {
        const inTime = await release(session, user, dependence, { heir, deadline }, surroundings).catch(unlessRace)
        if (inTime === false) throw keptError(user, [dependence], error)
      }
    }
  }
}

/** Ignores the error of two sessions that change the privileges of one object at once: the next attempt may succeed. */
function unlessRace(error: unknown): void {
  if (!hasFailure(error, 'race')) throw error
}

/** @param leaving the database whose privileges are revoked with the role */
async function dependencesOf(
  session: Session,
  user: Identifier,
  leaving: Identifier | undefined,
): Promise<readonly Dependence[]> {
  const { rows } = await session.query<Dependence>(
    `select d.datname as database, c.description as comment, bool_or(s.deptype = 'o') as owns,
            bool_or(entered.datname is distinct from $2 and entered.oid is not null) as "mayConnect"
     from pg_catalog.pg_shdepend s
     join pg_catalog.pg_roles r on r.oid = s.refobjid and s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
     left join pg_catalog.pg_database d on d.oid = s.dbid
     left join pg_catalog.pg_database entered
       on entered.oid = s.objid and s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
     left join pg_catalog.pg_shdescription c
       on c.objoid = d.oid and c.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
     where r.rolname = $1 group by d.datname, c.description`,
    [user, leaving ?? null],
  )
  return rows
}

/**
 * Removes a role's dependencies in one database.
 *
 * @returns false at the deadline, with a part of it done
 * @throws `query-failed` if it fails in another database than the session's, also if the connection there is lost
 */
async function release(
  session: Session,
  user: Identifier,
  dependence: Dependence,
  limits: ReleaseLimits,
  { connect, tenants }: Surroundings,
): Promise<boolean> {
  const { database } = dependence
  if (database === null || database === session.database)
    return releaseThere(session, user, dependence, limits, tenants)
  try {
    return await withSession(connect(database), (there) => releaseThere(there, user, dependence, limits, tenants))
  } catch (error) {
    if (!(error instanceof TenantryError) || hasFailure(error, 'race')) throw error
    throw keptError(user, [dependence], error)
  }
}

type ReleaseLimits = Pick<DropRoleOptions, 'heir'> & { readonly deadline: number }

async function releaseThere(
  session: Session,
  user: Identifier,
  { comment, owns }: Dependence,
  { heir, deadline }: ReleaseLimits,
  tenants: Surroundings['tenants'],
): Promise<boolean> {
  const to = owns ? heir(comment ?? undefined) : undefined
  if (tenants !== undefined) await endTemporaryGrantors(session, user, tenants)
  // Only the owner of an object can revoke its own grants (REVOKE, Notes).
  const owners = tenants === undefined ? [] : await ownersIn(session, tenants)
  const roles = [user, ...(to === undefined ? [] : [to])]
  const emptying = to === undefined ? deletion : transferTo(to)
  if (owns && !(await inPortions(session, user, { roles, deadline }, emptying))) return false
  if (!(await revokeOnLargeObjects(session, user, owners, deadline))) return false
  await asMember(
    session,
    [...roles, ...owners],
    [...(to === undefined ? [] : [reassignStatement(user, to)]), dropOwnedStatement(user)],
  )
  return true
}

/**
 * The number of large objects deleted in one transaction: each takes a lock, and a server has few thousands of them.
 */
const portion = 1_000

/**
 * Works on the large objects of a role in the session's database, a portion in each transaction.
 *
 * @param toStatement returns the statement for the objects that a query returns, after which they are not the role's
 * @returns false at the deadline
 */
async function inPortions(
  session: Session,
  user: Identifier,
  { roles, deadline }: { readonly roles: readonly Identifier[]; readonly deadline: number },
  toStatement: (query: string) => string,
): Promise<boolean> {
  const own = `from pg_catalog.pg_largeobject_metadata
    where lomowner = (select oid from pg_catalog.pg_roles where rolname = ${quoteLiteral(user)})`
  const { rows } = await session.query<{ count: number }>(`select count(*)::int as count ${own}`)
  for (let left = rows[0]?.count ?? 0; left > 0; left -= portion) {
    if (Date.now() > deadline) return false
    await asMember(session, roles, [toStatement(`select oid ${own} limit ${portion}`)])
  }
  return true
}

function deletion(query: string): string {
  return `select pg_catalog.lo_unlink(oid) from (${query}) o`
}

function transferTo(to: Identifier): (query: string) => string {
  return (query) =>
    doBlock(`declare it oid; begin
      for it in ${query} loop
        execute format('alter large object %s owner to %I', it, ${quoteLiteral(to)});
      end loop;
    end;`)
}

/** The number of large objects on which privileges are revoked at once: each can have granted them to every role. */
const revokedAtOnce = 200

/**
 * Revokes a role's privileges on large objects, of which others can have granted it any number. A privilege that its owner
 * did not grant itself goes with that of the roles that passed it on.
 *
 * @returns false at the deadline
 */
async function revokeOnLargeObjects(
  session: Session,
  user: Identifier,
  owners: readonly Identifier[],
  deadline: number,
): Promise<boolean> {
  for (let last = 0; Date.now() <= deadline;) {
    const { rows } = await session.query<{ oid: number; grantors: Identifier[] }>(grantedLargeObjectsSql, [
      user,
      last,
      owners,
    ])
    if (rows.length > 0) {
      const names = rows.map(({ oid }) => oid).join(', ')
      const from = [...new Set([user, ...rows.flatMap(({ grantors }) => grantors)])].map((name) => quote(name))
      await asMember(session, owners, [`revoke all on large object ${names} from ${from.join(', ')} cascade`])
    }
    if (rows.length < revokedAtOnce) return true
    last = rows.at(-1)?.oid ?? last
  }
  return false
}

const grantedLargeObjectsSql = `
  select o.oid, array(
      with recursive acl as materialized (select * from pg_catalog.aclexplode(o.lomacl)), passing (role) as (
        select grantor from acl where grantee = r.oid
        union select acl.grantor from acl join passing on acl.grantee = passing.role)
      select pg_catalog.pg_get_userbyid(role) from passing where role <> o.lomowner)::text[] as grantors
  from pg_catalog.pg_largeobject_metadata o, pg_catalog.pg_roles r
  where r.rolname = $1 and o.oid > $2 and o.lomowner <> r.oid
    and o.lomowner in (select oid from pg_catalog.pg_roles where rolname = any($3))
    and exists (select from pg_catalog.aclexplode(o.lomacl) a where a.grantee = r.oid)
  order by o.oid limit ${revokedAtOnce}`

/** Returns the roles of tenants, and their group, that own an object in the session's database. */
async function ownersIn(
  session: Session,
  { rolePrefix, group }: Pick<TenantSessions, 'rolePrefix' | 'group'>,
): Promise<readonly Identifier[]> {
  const { rows } = await session.query<{ name: Identifier }>(
    `select distinct r.rolname as name from pg_catalog.pg_shdepend s
     join pg_catalog.pg_roles r on r.oid = s.refobjid and s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
     join pg_catalog.pg_database d on d.oid = s.dbid
     where d.datname = current_database() and s.deptype = 'o'
       and (pg_catalog.starts_with(r.rolname, $1::text) or r.rolname = $2)`,
    [rolePrefix, group],
  )
  return rows.map(({ name }) => name)
}

/** Transfers a role's objects in the session's database to another role. */
export async function reassignOwned(session: Session, from: Identifier, to: Identifier): Promise<void> {
  const roles = [from, to]
  await inPortions(session, from, { roles, deadline: Infinity }, transferTo(to))
  await asMember(session, roles, [reassignStatement(from, to)])
}

/**
 * Returns the statement that transfers what a role owns in the session's database besides large objects. Temporary objects
 * that a session could not drop at its end, for lack of locks, stay: REASSIGN OWNED fails on them, since no role has
 * privileges on their schema.
 */
function reassignStatement(from: Identifier, to: Identifier): string {
  const owner = `(select oid from pg_catalog.pg_roles where rolname = ${quoteLiteral(from)})`
  const hasOthers = `exists (select from pg_catalog.pg_shdepend s,
      lateral pg_catalog.pg_identify_object(s.classid, s.objid, 0) as object
    where s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and s.refobjid = ${owner} and s.deptype = 'o'
      and s.dbid = (select oid from pg_catalog.pg_database where datname = current_database())
      and object.type not in ('large object', 'default acl') and coalesce(object.schema, '') !~ '^pg_temp_')`
  return doBlock(`if ${hasOthers} then reassign owned by ${quote(from)} to ${quote(to)}; end if;`)
}

/** True if a role owns an object in a database. */
export async function ownsAnything(session: Session, user: Identifier, database: Identifier): Promise<boolean> {
  const { rows } = await session.query(
    `select from pg_catalog.pg_shdepend s
     join pg_catalog.pg_roles r on r.oid = s.refobjid and s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
     join pg_catalog.pg_database d on d.oid = s.dbid
     where r.rolname = $1 and d.datname = $2 and s.deptype = 'o' limit 1`,
    [user, database],
  )
  return rows.length > 0
}

/**
 * Runs statements in a transaction, in which the session's role has the privileges of roles that it made. From version
 * 16 on it stays a member that may act as them.
 */
async function asMember(session: Session, roles: readonly Identifier[], statements: readonly string[]): Promise<void> {
  const { rows } = await session.query<{ name: Identifier; hasOptions: boolean }>(
    `select rolname as name,
            exists (select from pg_catalog.pg_attribute where attrelid = 'pg_catalog.pg_auth_members'::regclass
                    and attname = 'inherit_option') as "hasOptions"
     from pg_catalog.pg_roles where rolname = any($1) and not pg_catalog.pg_has_role(oid, 'usage')`,
    [roles],
  )
  if (rows.length === 0) return session.script(statements)
  const joined = rows.map(({ name }) => quote(name)).join(', ')
  const [options, undone] = rows[0]?.hasOptions ? [' with inherit true, set true', 'inherit option for '] : ['', '']
  await session.script([
    `grant ${joined} to current_user${options}`,
    ...statements,
    `revoke ${undone}${joined} from current_user`,
  ])
}

function keptError(user: Identifier, dependences: readonly Dependence[], cause: TenantryError): TenantryError {
  const places = dependences.map(({ database }) => database ?? 'any database').join(', ')
  const remedy = hasFailure(cause, 'exhausted')
    ? `Raise max_locks_per_transaction of the server, restart it, and run reconcile: in ${places} it owns more objects than can be locked at once.`
    : `As a superuser, in ${places}: DROP OWNED BY ${quote(user)}; then: DROP ROLE ${quote(user)};`
  return explained(cause, 'query-failed', `The role ${user} could not be dropped: ${cause.message}`, {
    hint: `It cannot log in, and reconcile tries again. ${remedy}`,
  })
}
