import { TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { Session } from '../port.ts'
import { type CheckedCreateOptions, createDatabaseStatement } from './databases.ts'
import { quoteIdentifier } from './quoting.ts'

/**
 * Sends CREATE DATABASE and says what came of it. There is no lock around it: the server decides who is first.
 *
 * @returns false when a database of that name is there already, be it since a moment
 * @throws `permission-denied` with the statement that grants what is missing, `role-missing`, `tablespace-missing`,
 *   `template-missing`, `template-in-use`
 */
export async function createDatabase(
  session: Session,
  user: Identifier,
  database: Identifier,
  options: CheckedCreateOptions,
): Promise<boolean> {
  try {
    await session.query(createDatabaseStatement(database, options))
    return true
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error
    if (isAlreadyThere(error)) return false
    throw await explain(error, session, { user, database, options })
  }
}

/** 42P04 when it was there before, 23505 when somebody was faster by a moment. */
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

async function explain(error: TenantryError, session: Session, attempt: Attempt): Promise<TenantryError> {
  const { database, options } = attempt
  const details = { cause: error.cause, sqlState: error.sqlState }
  switch (error.sqlState) {
    case '42501':
      return deniedError(error, session, attempt)
    case '42704':
      return missingError(error, session, attempt)
    case '3D000': {
      const message = `The template ${options.template ?? 'template1'} for ${database} does not exist.`
      return new TenantryError('template-missing', message, { ...details, hint: 'Check the option `template`.' })
    }
    case '55006': {
      const message = `Somebody is connected to the template ${options.template ?? 'template1'}, so ${database} cannot be copied from it.`
      const hint = 'End the sessions in the template (pg_stat_activity lists them), or give another `template`.'
      return new TenantryError('template-in-use', message, { ...details, hint })
    }
    case '22023':
    case '42809':
      return new TenantryError('invalid-option', `PostgreSQL refuses the options for ${database}: ${error.message}`, {
        ...details,
        hint: hintOf(error.cause) ?? 'Check encoding, locale, localeProvider and template.',
      })
    default:
      return error
  }
}

interface Privileges {
  readonly may_create: boolean
  readonly has_owner: boolean
  readonly may_use_template: boolean
  readonly may_use_tablespace: boolean
}

/** Finds out which privilege is missing, rather than reading it from a message that may be in any language. */
async function deniedError(error: TenantryError, session: Session, attempt: Attempt): Promise<TenantryError> {
  const { user, database, options } = attempt
  const { rows } = await session.query<Privileges>(privilegesSql, [
    options.owner ?? user,
    options.template ?? 'template1',
    options.tablespace ?? 'pg_default',
  ])
  return new TenantryError('permission-denied', `${user} may not create the database ${database}: ${error.message}`, {
    cause: error.cause,
    sqlState: error.sqlState,
    hint: `As a superuser, or a role that may grant it: ${grants(rows[0], attempt).join(' ')}`,
  })
}

function grants(privileges: Privileges | undefined, { user, options }: Attempt): string[] {
  const role = quoteIdentifier(user)
  const missing: string[] = []
  if (privileges?.may_create === false) missing.push(`ALTER ROLE ${role} CREATEDB;`)
  if (options.owner !== undefined && privileges?.has_owner === false) {
    missing.push(`GRANT ${quoteIdentifier(options.owner)} TO ${role};`)
  }
  if (options.tablespace !== undefined && privileges?.may_use_tablespace === false) {
    missing.push(`GRANT CREATE ON TABLESPACE ${quoteIdentifier(options.tablespace)} TO ${role};`)
  }
  if (options.template !== undefined && privileges?.may_use_template === false) {
    missing.push(`ALTER DATABASE ${quoteIdentifier(options.template)} IS_TEMPLATE true;`)
  }
  // What is left: a membership that may not be used, which there is from version 16 on.
  if (missing.length === 0 && options.owner !== undefined) {
    missing.push(`GRANT ${quoteIdentifier(options.owner)} TO ${role} WITH SET TRUE;`)
  }
  return missing.length > 0 ? missing : [`ALTER ROLE ${role} CREATEDB;`]
}

const privilegesSql = `
  select r.rolcreatedb or r.rolsuper as may_create,
         coalesce((select pg_has_role(o.oid, 'member') from pg_catalog.pg_roles o where o.rolname = $1), false) as has_owner,
         coalesce((select d.datistemplate or pg_has_role(d.datdba, 'usage')
                   from pg_catalog.pg_database d where d.datname = $2), true) as may_use_template,
         coalesce((select t.spcname in ('pg_default') or has_tablespace_privilege(t.oid, 'create')
                   from pg_catalog.pg_tablespace t where t.spcname = $3), true) as may_use_tablespace
  from pg_catalog.pg_roles r where r.rolname = current_user`

async function missingError(error: TenantryError, session: Session, attempt: Attempt): Promise<TenantryError> {
  const { owner, tablespace } = attempt.options
  const details = { cause: error.cause, sqlState: error.sqlState }
  if (owner !== undefined && !(await exists(session, 'pg_roles', 'rolname', owner))) {
    const hint = `CREATE ROLE ${quoteIdentifier(owner)} NOLOGIN;`
    return new TenantryError('role-missing', `The owner ${owner} for ${attempt.database} does not exist.`, {
      ...details,
      hint,
    })
  }
  if (tablespace !== undefined && !(await exists(session, 'pg_tablespace', 'spcname', tablespace))) {
    const message = `The tablespace ${tablespace} for ${attempt.database} does not exist.`
    return new TenantryError('tablespace-missing', message, { ...details, hint: 'Check the option `tablespace`.' })
  }
  return new TenantryError('invalid-option', error.message, { ...details, hint: hintOf(error.cause) })
}

async function exists(session: Session, table: string, column: string, name: Identifier): Promise<boolean> {
  const { rows } = await session.query(`select 1 from pg_catalog.${table} where ${column} = $1`, [name])
  return rows.length > 0
}

function hintOf(cause: unknown): string | undefined {
  return cause instanceof Error && 'hint' in cause && typeof cause.hint === 'string' ? cause.hint : undefined
}
