import { explained, TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { Session } from '../port.ts'
import {
  type CheckedCreateOptions,
  createDatabaseStatement,
  defaultLocaleParameters,
  hasDefaultLocale,
  templateOf,
} from './databases.ts'
import { quoteIdentifier } from './quoting.ts'

/**
 * Sends CREATE DATABASE and returns its result. There is no lock around it: the server decides on the first.
 *
 * @returns false if a database of that name exists already, even if it was created at the same moment
 * @throws `permission-denied` with the statement that grants the missing privilege, `role-missing`,
 *   `tablespace-missing`, `template-missing`, `template-in-use`
 */
export async function createDatabase(
  session: Session,
  user: Identifier,
  database: Identifier,
  options: CheckedCreateOptions,
): Promise<boolean> {
  try {
    const parameters = hasDefaultLocale(options) ? await defaultLocaleParameters(session) : ''
    await session.query(`${createDatabaseStatement(database, options)} ${parameters}`)
    return true
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error
    if (isAlreadyThere(error)) return false
    throw await explainFailedCreate(error, session, { user, database, options })
  }
}

/** True for 42P04, if it existed before, and 23505, if another session was faster by a moment. */
function isAlreadyThere({ sqlState, cause }: TenantryError): boolean {
  if (sqlState === '42P04') return true
  return sqlState === '23505' && constraintOf(cause) === 'pg_database_datname_index'
}

function constraintOf(cause: unknown): unknown {
  return cause instanceof Error && 'constraint' in cause ? cause.constraint : undefined
}

interface Attempt {
  readonly user: Identifier
  readonly database: Identifier
  readonly options: CheckedCreateOptions
}

async function explainFailedCreate(error: TenantryError, session: Session, attempt: Attempt): Promise<TenantryError> {
  const { database, options } = attempt
  switch (error.sqlState) {
    case '42501':
      return createDeniedError(error, session, attempt)
    case '42704':
      return createPrerequisiteError(error, session, attempt)
    case '3D000': {
      const message = `The template ${templateOf(options)} for ${database} does not exist.`
      return explained(error, 'template-missing', message, { hint: 'Check the option `template`.' })
    }
    case '55006': {
      const message = `The template ${templateOf(options)} has sessions, so ${database} cannot be copied from it.`
      const hint = 'End the sessions in the template (pg_stat_activity lists them), or give another `template`.'
      return explained(error, 'template-in-use', message, { hint })
    }
    // A provider that this version does not know yet is an option, or a value of one, that it cannot parse.
    case '22023':
    case '42601':
    case '42809':
    case '42P17':
      return optionError(error, database)
    default:
      return error
  }
}

function optionError(error: TenantryError, database: Identifier): TenantryError {
  return explained(error, 'invalid-option', `PostgreSQL refuses the options for ${database}: ${error.message}`, {
    hint: hintOf(error.cause) ?? 'Check encoding, locale, localeProvider and template.',
  })
}

/** Returns the statements that grant the session's role the privileges to create and rename databases of its own. */
export async function missingToCreate(session: Session, user: Identifier): Promise<readonly string[]> {
  const { rows } = await session.query<Privileges>(privilegesSql, [user, 'template0', null])
  return rows[0]?.may_create === false ? [`ALTER ROLE ${quoteIdentifier(rows[0].acting)} CREATEDB;`] : []
}

interface Privileges {
  /** The role that the session acts as: another than it logged in as, where `ALTER ROLE ... SET role` says so. */
  readonly acting: Identifier
  readonly may_create: boolean
  readonly is_member: boolean
  readonly may_use_owner: boolean
  readonly may_use_template: boolean
  readonly may_use_tablespace: boolean
}

/** Finds the missing privilege, rather than reading it from a message that may be in any language. */
async function createDeniedError(error: TenantryError, session: Session, attempt: Attempt): Promise<TenantryError> {
  const { user, database, options } = attempt
  const { rows } = await session.query<Privileges>(privilegesSql, [
    options.owner ?? user,
    templateOf(options),
    options.tablespace ?? null,
  ])
  const acting = rows[0]?.acting ?? user
  const who = acting === user ? user : `${user}, which acts as ${acting} (ALTER ROLE ... SET role),`
  return explained(error, 'permission-denied', `${who} may not create the database ${database}: ${error.message}`, {
    hint: hintFor(rows[0], attempt),
  })
}

function hintFor(privileges: Privileges | undefined, attempt: Attempt): string {
  const grants = privileges === undefined ? [] : grantsToCreate(privileges, attempt)
  return grants.length > 0
    ? `As a superuser, or a role that may grant it: ${grants.join(' ')}`
    : 'The role has every privilege that PostgreSQL itself asks for; an extension or the service it runs on refuses.'
}

function grantsToCreate(privileges: Privileges, { options }: Attempt): string[] {
  const { owner, tablespace } = options
  const role = quoteIdentifier(privileges.acting)
  const missing: string[] = []
  if (!privileges.may_create) missing.push(`ALTER ROLE ${role} CREATEDB;`)
  if (owner !== undefined && !privileges.may_use_owner) {
    // A membership may exist without the right to use it, from version 16 on.
    missing.push(`GRANT ${quoteIdentifier(owner)} TO ${role}${privileges.is_member ? ' WITH SET TRUE' : ''};`)
  }
  if (tablespace !== undefined && !privileges.may_use_tablespace) {
    missing.push(`GRANT CREATE ON TABLESPACE ${quoteIdentifier(tablespace)} TO ${role};`)
  }
  if (!privileges.may_use_template) {
    missing.push(`ALTER DATABASE ${quoteIdentifier(templateOf(options))} IS_TEMPLATE true;`)
  }
  return missing
}

const privilegesSql = `
  select r.rolname as acting, r.rolcreatedb or r.rolsuper as may_create,
         coalesce((select pg_has_role(o.oid, 'member') from pg_catalog.pg_roles o where o.rolname = $1), true) as is_member,
         coalesce((select pg_has_role(o.oid, p.privilege) from pg_catalog.pg_roles o where o.rolname = $1), true)
           as may_use_owner,
         coalesce((select d.datistemplate or pg_has_role(d.datdba, 'usage')
                   from pg_catalog.pg_database d where d.datname = $2), true) as may_use_template,
         coalesce((select has_tablespace_privilege(t.oid, 'create')
                   from pg_catalog.pg_tablespace t where t.spcname = $3), true) as may_use_tablespace
  from pg_catalog.pg_roles r,
       (select case when exists (select from pg_catalog.pg_attribute
                                 where attrelid = 'pg_catalog.pg_auth_members'::regclass and attname = 'set_option')
                    then 'set' else 'member' end as privilege) p
  where r.rolname = current_user`

async function createPrerequisiteError(
  error: TenantryError,
  session: Session,
  attempt: Attempt,
): Promise<TenantryError> {
  const { owner, tablespace } = attempt.options
  if (owner !== undefined && !(await hasNamed(session, 'pg_roles', 'rolname', owner))) {
    const hint = `CREATE ROLE ${quoteIdentifier(owner)} NOLOGIN;`
    return explained(error, 'role-missing', `The owner ${owner} for ${attempt.database} does not exist.`, { hint })
  }
  if (tablespace !== undefined && !(await hasNamed(session, 'pg_tablespace', 'spcname', tablespace))) {
    const message = `The tablespace ${tablespace} for ${attempt.database} does not exist.`
    return explained(error, 'tablespace-missing', message, { hint: 'Check the option `tablespace`.' })
  }
  return optionError(error, attempt.database)
}

async function hasNamed(session: Session, table: string, column: string, name: Identifier): Promise<boolean> {
  const { rows } = await session.query(`select 1 from pg_catalog.${table} where ${column} = $1`, [name])
  return rows.length > 0
}

function hintOf(cause: unknown): string | undefined {
  return cause instanceof Error && 'hint' in cause && typeof cause.hint === 'string' ? cause.hint : undefined
}
