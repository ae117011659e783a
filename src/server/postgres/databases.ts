import { TenantryError } from '../../kernel/errors.ts'
import { type Identifier, parseIdentifier } from '../../kernel/names.ts'
import { checked, identifier, oneOf, type Schemas } from '../../kernel/options.ts'
import { storableText } from '../../kernel/storable.ts'
import type { CreateDatabaseOptions, DatabaseInfo, DatabaseSearch, Session, StampedDatabase } from '../port.ts'
import { quoteIdentifier, quoteLiteral } from './quoting.ts'

/** Options of CREATE DATABASE with their names checked. */
export interface CheckedCreateOptions extends CreateDatabaseOptions {
  readonly owner: Identifier | undefined
  readonly template: Identifier | undefined
  readonly tablespace: Identifier | undefined
}

/** The options of CREATE DATABASE that `ensureDatabase` has. */
export const createSchemas: Schemas<Omit<CreateDatabaseOptions, 'acceptsConnections'>> = {
  owner: identifier('owner'),
  template: identifier('template'),
  encoding: storableText,
  locale: storableText,
  localeProvider: oneOf(['libc', 'icu', 'builtin'], 'Leave it out for the default of the server.'),
  tablespace: identifier('tablespace'),
  connectionLimit: checked<number>(
    (value) => Number.isInteger(value) && (value as number) >= -1,
    'an integer from -1 (no limit) upwards',
    'Leave it out for no limit.',
  ),
}

/**
 * Checks combinations of options, before anything is sent.
 *
 * @throws `invalid-name`, `invalid-option`
 */
export function checkCreateOptions(options: CreateDatabaseOptions): CheckedCreateOptions {
  const { localeProvider, locale } = options
  if ((localeProvider === 'icu' || localeProvider === 'builtin') && locale === undefined) {
    throw new TenantryError('invalid-option', `localeProvider "${localeProvider}" needs a locale.`, {
      hint: `Add the option locale, such as ${localeProvider === 'icu' ? '"en-US"' : '"C.UTF-8"'}.`,
    })
  }
  return {
    ...options,
    owner: optionalIdentifier(options.owner, 'owner'),
    template: optionalIdentifier(options.template, 'template'),
    tablespace: optionalIdentifier(options.tablespace, 'tablespace'),
  }
}

/** Returns the CREATE DATABASE statement. https://www.postgresql.org/docs/current/sql-createdatabase.html */
export function createDatabaseStatement(database: Identifier, options: CheckedCreateOptions): string {
  const { owner, encoding, locale, tablespace, connectionLimit, acceptsConnections } = options
  // Stated, since on a cluster whose default is ICU the locale would be set and not be used.
  const localeProvider = options.localeProvider ?? (locale === undefined ? undefined : 'libc')
  const template = templateOf(options)
  return [
    `create database ${quoteIdentifier(database)}`,
    owner !== undefined && `owner ${quoteIdentifier(owner)}`,
    `template ${quoteIdentifier(template)}`,
    encoding !== undefined && `encoding ${quoteLiteral(encoding)}`,
    localeProvider !== undefined && `locale_provider ${localeProvider}`,
    locale !== undefined && `${localeParameters[localeProvider ?? 'libc']} ${quoteLiteral(locale)}`,
    tablespace !== undefined && `tablespace ${quoteIdentifier(tablespace)}`,
    connectionLimit !== undefined && `connection limit ${connectionLimit}`,
    acceptsConnections !== undefined && `allow_connections ${acceptsConnections}`,
  ]
    .filter(Boolean)
    .join(' ')
}

const localeParameters = { libc: 'locale', icu: 'icu_locale', builtin: 'builtin_locale' } as const

/**
 * Returns the database to copy: template0, which has no sessions. Its objects are PostgreSQL's own, and it is the only one that
 * may be copied under another encoding or locale (CREATE DATABASE, Notes).
 */
export function templateOf({ template }: CheckedCreateOptions): Identifier {
  return template ?? parseIdentifier('template0', 'template')
}

/** True if a new database is to have the encoding and locale that are the server's default. */
export function hasDefaultLocale({ template, encoding, locale, localeProvider }: CheckedCreateOptions): boolean {
  return [template, encoding, locale, localeProvider].every((option) => option === undefined)
}

/**
 * Returns the parameters of CREATE DATABASE for the encoding and locale of template1, which are the server's default. They
 * are empty unless template1 was recreated with others than template0 has.
 */
export async function defaultLocaleParameters(session: Session): Promise<string> {
  const { rows } = await session.query<{ parameters: string }>(defaultLocaleSql)
  return rows[0]?.parameters ?? ''
}

/** Two columns have other names in some versions, and one is missing in version 15: hence the row as JSON. */
const defaultLocaleSql = `
  with template as (
    select datname, encoding, datlocprovider as provider, datcollate, datctype,
           coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale,
           to_jsonb(d) ->> 'daticurules' as rules
    from pg_catalog.pg_database d
  )
  select concat_ws(' ',
    format('encoding %L lc_collate %L lc_ctype %L', pg_encoding_to_char(one.encoding), one.datcollate, one.datctype),
    case one.provider when 'i' then format('locale_provider icu icu_locale %L', one.locale)
                      when 'b' then format('locale_provider builtin builtin_locale %L', one.locale)
                      else 'locale_provider libc' end,
    case when one.rules is not null then format('icu_rules %L', one.rules) end) as parameters
  from template one, template zero
  where one.datname = 'template1' and zero.datname = 'template0'
    and (one.encoding, one.provider, one.datcollate, one.datctype, one.locale, one.rules) is distinct from
        (zero.encoding, zero.provider, zero.datcollate, zero.datctype, zero.locale, zero.rules)`

/** Reads the descriptions of the existing ones among some databases; works from any database of the server. */
export async function describeDatabases(
  session: Session,
  databases: readonly Identifier[],
): Promise<readonly DatabaseInfo[]> {
  const { rows } = await session.query<DatabaseRow>(`${describeSql} where d.datname = any($1)`, [databases])
  return rows.map(toDatabaseInfo)
}

/** Reads the descriptions of all databases whose name begins with a prefix, or whose comment contains a text. */
export async function findDatabases(
  session: Session,
  { prefix, comment }: DatabaseSearch,
): Promise<readonly DatabaseInfo[]> {
  const where = 'where starts_with(d.datname, $1) or strpos(c.description, $2) > 0 order by d.datname'
  const { rows } = await session.query<DatabaseRow>(`${describeSql} ${where}`, [prefix, comment])
  return rows.map(toDatabaseInfo)
}

function toDatabaseInfo(row: DatabaseRow): DatabaseInfo {
  return { ...row, comment: row.comment ?? undefined, locale: row.locale ?? '' }
}

interface DatabaseRow extends Omit<DatabaseInfo, 'comment' | 'locale'> {
  readonly comment: string | null
  readonly locale: string | null
}

/**
 * The description of databases. datconnlimit is -2 if a DROP DATABASE was interrupted. The locale's column was renamed
 * in version 17, hence the look through the row as JSON.
 */
const describeSql = `
  select d.datname as name, d.oid, r.rolname as owner, pg_has_role(d.datdba, 'usage') as "mayAlter", pg_encoding_to_char(d.encoding) as encoding,
         case d.datlocprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end as "localeProvider",
         case d.datlocprovider when 'c' then d.datcollate
              else coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') end as locale,
         t.spcname as tablespace, d.datconnlimit as "connectionLimit", d.datallowconn as "acceptsConnections",
         d.datistemplate as "isTemplate",
         ${isPublic('d')} as "isPublic",
         d.datcollversion is not null
           and d.datcollversion is distinct from pg_database_collation_actual_version(d.oid) as "hasOldCollation",
         d.datconnlimit = -2 as invalid, c.description as comment
  from pg_catalog.pg_database d
  join pg_catalog.pg_roles r on r.oid = d.datdba
  join pg_catalog.pg_tablespace t on t.oid = d.dattablespace
  left join pg_catalog.pg_shdescription c on c.objoid = d.oid and c.classoid = 'pg_catalog.pg_database'::regclass`

/**
 * Returns the schemas of the session's database in which every role of the server may create, if every role may connect
 * to it. PostgreSQL 14 and older allowed every role to create in `public`, and pg_upgrade leaves it so
 * (https://www.postgresql.org/docs/15/release-15.html, "Remove PUBLIC creation permission on the public schema").
 */
export async function schemasOpenToPublic(session: Session): Promise<readonly string[]> {
  const { rows } = await session.query<{ name: string }>(
    `select n.nspname as name from pg_catalog.pg_namespace n, pg_catalog.pg_database d
     where d.datname = current_database() and ${isPublic('d')}
       and exists (select from pg_catalog.aclexplode(n.nspacl) a
                   where a.grantee = 0::oid and a.privilege_type = 'CREATE'::text)
     order by n.nspname`,
  )
  return rows.map(({ name }) => name)
}

/** True if every role may connect to a row of pg_database. */
function isPublic(row: string): string {
  return `(${row}.datacl is null or exists (select from pg_catalog.aclexplode(${row}.datacl) a
                                     where a.grantee = 0::oid and a.privilege_type = 'CONNECT'::text))`
}

/**
 * Returns all databases whose comment contains a text, in one query: by one join, not by a call of a function for each.
 */
export async function commentedDatabases(session: Session, text: string): Promise<readonly StampedDatabase[]> {
  const { rows } = await session.query<StampedDatabase>(
    `select d.datname as name, c.description as comment
     from pg_catalog.pg_shdescription c join pg_catalog.pg_database d on d.oid = c.objoid
     where c.classoid = 'pg_catalog.pg_database'::regclass and strpos(c.description, $1) > 0`,
    [text],
  )
  return rows
}

function optionalIdentifier(value: string | undefined, what: string): Identifier | undefined {
  return value === undefined ? undefined : parseIdentifier(value, what)
}
