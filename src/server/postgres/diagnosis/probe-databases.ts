import { withSession } from '../../with-session.ts'
import { TenantryError } from '../../../kernel/errors.ts'
import type { Identifier } from '../../../kernel/names.ts'
import type { Session } from '../../port.ts'
import { quoteIdentifier as quote, quoteLiteral } from '../quoting.ts'
import { applyChanges, createExtensionStatement } from '../changes.ts'
import { revokeFromPublic } from '../database-privileges.ts'
import { dropDatabase } from '../drop-database.ts'
import { rolledBack } from '../sessions.ts'
import { refusalOf } from './attempts.ts'
import type { ProbedFacts } from './facts.ts'
import { holds, type ProbeContext } from './probe-context.ts'
import type { Scratch } from './scratch.ts'

/** Makes a database and a copy, and changes both. @returns true if there is one that accepts sessions */
export async function probeDatabases(context: ProbeContext): Promise<boolean> {
  const { attempts, session, scratch } = context
  const { first, renamed } = scratch.databases
  const isCreated = await attempts.try('createDatabase', () =>
    session.query(`create database ${quote(first)} template template0 allow_connections false`),
  )
  if (!isCreated) return false
  await session.query(revokeFromPublic(first))
  await attempts.try('commentOnDatabase', async () => {
    await session.query(commentSql(context, 'first'))
    return hasComment(context, 'first')
  })
  if (!(await probeCopy(context)) || !(await attempts.try('renameInTransaction', () => rename(context)))) return false
  if (attempts.capabilities.joinRoles) {
    const changeOwner = `alter database ${quote(first)} owner to ${quote(scratch.roles.owner)}`
    await attempts.try('changeOwner', () => session.query(changeOwner))
  }
  const { createForOwner, createLogin } = attempts.capabilities
  if (createForOwner && createLogin) await attempts.try('revokePublicAccess', () => probeRevoke(context))
  else if (createLogin)
    await session.query(`grant connect on database ${quote(renamed)} to ${quote(scratch.roles.login)}`)
  return attempts.try('openDatabase', async () => {
    await session.query(`alter database ${quote(renamed)} with allow_connections true`)
    return holds(session, 'select datallowconn as holds from pg_catalog.pg_database where datname = $1', [renamed])
  })
}

type Which = keyof ProbeContext['scratch']['databases']

function commentSql({ scratch }: ProbeContext, which: Which): string {
  return `comment on database ${quote(scratch.databases[which])} is ${quoteLiteral(scratch.stamp)}`
}

function hasComment({ session, scratch }: ProbeContext, which: Which): Promise<boolean> {
  const sql = `select shobj_description(oid, 'pg_database') = $2 as holds from pg_catalog.pg_database where datname = $1`
  return holds(session, sql, [scratch.databases[which], scratch.stamp])
}

/** Makes the copy for the role that owns, if that is possible; the plain copy shows which of the two was refused. */
async function probeCopy({ attempts, session, scratch }: ProbeContext): Promise<boolean> {
  const { first, copy: name } = scratch.databases
  const create = `create database ${quote(name)}`
  const from = `template ${quote(first)} allow_connections false`
  const isForOwner =
    attempts.capabilities.joinRoles === true &&
    (await attempts.try('createForOwner', () => session.query(`${create} owner ${quote(scratch.roles.owner)} ${from}`)))
  return attempts.try('cloneClosedDatabase', async () => {
    if (!isForOwner) await session.query(`${create} ${from}`)
    await session.query(revokeFromPublic(name))
  })
}

/** Renames and comments: after a rollback nothing may have changed; after a commit both must hold. */
async function rename(context: ProbeContext): Promise<boolean> {
  const { session, scratch } = context
  const { copy: from, renamed: to } = scratch.databases
  const change = async () => {
    await session.query(`alter database ${quote(from)} rename to ${quote(to)}`)
    await session.query(commentSql(context, 'renamed'))
  }
  const isThere = 'select count(*) = 1 as holds from pg_catalog.pg_database where datname = $1'
  await rolledBack(session, change)
  if (!(await holds(session, isThere, [from])) || (await hasComment(context, 'copy'))) return false
  await session.transaction(change, { durable: true })
  return hasComment(context, 'renamed')
}

/**
 * Revokes public access. GRANT and REVOKE may merely warn, so the ACL is read back.
 * https://www.postgresql.org/docs/current/sql-revoke.html
 */
async function probeRevoke({ session, scratch }: ProbeContext): Promise<boolean> {
  const { databases, roles } = scratch
  const database = quote(databases.renamed)
  await session.script([
    `revoke all on database ${database} from public`,
    `grant create, connect, temporary on database ${database} to ${quote(roles.objects)}`,
    `grant connect, temporary on database ${database} to ${quote(roles.login)}`,
    `alter database ${database} with allow_connections true`,
  ])
  const sql = `
    select bool_and(a.grantee <> 0) and bool_or(a.privilege_type = 'CONNECT' and pg_get_userbyid(a.grantee) = $2) as holds
    from pg_catalog.pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a where d.datname = $1`
  return holds(session, sql, [databases.renamed, roles.login])
}

/** Tries operations inside of a new database. @returns the extensions of the configuration that were refused */
export async function probeInside(context: ProbeContext): Promise<ProbedFacts['refusedExtensions']> {
  const { attempts, connections, scratch, request } = context
  return withSession(connections.connect(scratch.databases.renamed, request), async (inside) => {
    const { rows } = await inside.query<{ name: Identifier }>(trustedSql)
    const [trusted] = rows
    if (trusted !== undefined) {
      const create = createExtensionStatement(trusted.name)
      await attempts.try('trustedExtension', () => rolledBack(inside, () => inside.query(create)))
    }
    if (attempts.capabilities.createForOwner) {
      await attempts.try('createAsRole', () => rolledBack(inside, () => createAsRole(inside, scratch)))
    }
    const refused: { name: string; message: string }[] = []
    for (const name of request.extensions) {
      const create = createExtensionStatement(name)
      const refusal = await refusalOf(() => rolledBack(inside, () => inside.query(create)))
      if (refusal !== undefined) refused.push({ name, message: refusal.message })
    }
    const { tryModels } = request
    if (tryModels !== undefined && refused.length === 0 && (await prepareForModels(inside, context))) {
      await attempts.try('createModels', () => tryModels(inside))
    }
    return refused
  })
}

/**
 * Prepares the database like a template, and acts as the role that its tables are to belong to.
 *
 * @returns false if that role can create no tables
 */
async function prepareForModels(inside: Session, { attempts, scratch, request }: ProbeContext): Promise<boolean> {
  const groups = request.roles === 'separate' ? scratch.roles : undefined
  if (groups !== undefined && attempts.capabilities.createAsRole !== true) return false
  await applyChanges(inside, [
    ...(groups ? [{ change: 'prepare', groups } as const] : []),
    ...request.extensions.map((name) => ({ change: 'add-extension', name }) as const),
  ])
  if (groups !== undefined) await inside.query(`set role ${quote(groups.objects)}`)
  return true
}

/** A trusted extension that the server has, and that needs no other. */
const trustedSql = `
  select v.name from pg_catalog.pg_available_extension_versions v
  where v.trusted and not v.installed and v.requires is null order by v.name = 'citext' desc, v.name limit 1`

/** Creates tables of another role that a group may read: not by a grant on each, but by default privileges. */
async function createAsRole(inside: Session, { roles }: Scratch): Promise<void> {
  const [objects, app] = [quote(roles.objects), quote(roles.app)]
  await inside.script([
    `grant usage, create on schema public to ${objects}`,
    `grant usage on schema public to ${app}`,
    `alter default privileges for role ${objects} grant select, insert on tables to ${app}`,
    `set local role ${objects}`,
    'create table public.probe (id int)',
    'reset role',
  ])
  const sql = `
    select pg_get_userbyid(relowner) = $1 and has_table_privilege($2, oid, 'select') as holds
    from pg_catalog.pg_class where oid = 'public.probe'::regclass`
  if (await holds(inside, sql, [roles.objects, roles.app])) return
  throw new TenantryError('query-failed', 'the table does not have the owner and the privileges that it should have')
}

/** Drops the remaining databases. */
export async function dropScratchDatabase({ attempts, session, scratch }: ProbeContext): Promise<void> {
  const { first, renamed } = scratch.databases
  await attempts.try('dropDatabase', async () => {
    for (const name of [renamed, first]) await dropDatabase(session, name)
  })
}
