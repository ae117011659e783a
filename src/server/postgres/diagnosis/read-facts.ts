import { TenantryError } from '../../../kernel/errors.ts'
import { type Identifier, physicalNames } from '../../../kernel/names.ts'
import type { DiagnosisRequest, RoleAttributes } from '../../diagnosis.ts'
import type { Session } from '../../port.ts'
import type { OwnRole, ReadFacts } from './facts.ts'
import { serviceMarkers } from './managed-service.ts'

/** The properties of a connection, as its own side knows them. */
export interface ConnectionNature {
  readonly isEncrypted: boolean
  /** True if it does not leave the machine. */
  readonly isLocal: boolean
}

/** Reads the facts about a server, and changes nothing. */
export async function readFacts(
  session: Session,
  { installation }: DiagnosisRequest,
  nature: ConnectionNature,
): Promise<Omit<ReadFacts, 'leftovers' | 'publicSchemas' | 'unvisited'>> {
  const owner = physicalNames.owner(installation)
  const { rows } = await session.query<ServerRow>(serverSql, [serviceMarkers])
  const { version, hasMembershipOptions, markers, ...server } = rows[0] as ServerRow
  const { settings, role } = server
  return {
    ...nature,
    version,
    markers,
    hasMembershipOptions,
    role,
    maxConnections: Number(settings.max_connections),
    reservedConnections: role.superuser
      ? 0
      : Number(settings.superuser_reserved_connections) + Number(settings.reserved_connections ?? 0),
    recoverySync: settings.recovery_init_sync_method ?? '',
    passwordEncryption: settings.password_encryption ?? '',
    ...(await databaseFacts(session, installation, owner)),
    ownRoles: await ownRoles(session, {
      owner,
      objects: physicalNames.objects(installation),
      app: physicalNames.app(installation),
    }),
    leakedDirectories: await ifVisible(session, leakedSql),
    trustRules: await ifVisible(session, trustSql),
  }
}

interface ServerRow {
  readonly version: string
  readonly hasMembershipOptions: boolean
  readonly markers: string[]
  readonly role: RoleAttributes
  readonly settings: Readonly<Record<string, string | null>>
}

const serverSql = `
  select split_part(current_setting('server_version'), ' ', 1) as version,
         exists (select from pg_catalog.pg_attribute
                 where attrelid = 'pg_catalog.pg_auth_members'::regclass and attname = 'set_option')
           as "hasMembershipOptions",
         array(select rolname::text from pg_catalog.pg_roles where rolname = any($1)
               union select name from pg_catalog.pg_settings where name = any($1)) as markers,
         (select json_object_agg(name, setting) from pg_catalog.pg_settings
          where name in ('max_connections', 'superuser_reserved_connections', 'reserved_connections',
                         'recovery_init_sync_method', 'password_encryption')) as settings,
         (select json_build_object(
            'name', rolname, 'superuser', rolsuper, 'createDatabase', rolcreatedb, 'createRole', rolcreaterole,
            'inherit', rolinherit, 'connectionLimit', rolconnlimit,
            'signalBackend', coalesce((select pg_has_role(s.oid, 'usage') from pg_catalog.pg_roles s
                                       where s.rolname = 'pg_signal_backend'), false))
          from pg_catalog.pg_roles where rolname = current_user) as role`

type DatabaseFacts = Pick<
  ReadFacts,
  'databases' | 'encoding' | 'invalidDatabases' | 'oldCollations' | 'openToPublic' | 'foreignOwners'
>

async function databaseFacts(session: Session, installation: string, owner: Identifier): Promise<DatabaseFacts> {
  const { rows } = await session.query<DatabaseFacts>(databasesSql, [`${installation}_`, owner])
  return rows[0] as DatabaseFacts
}

/**
 * The databases, except those of a probe, which are dropped in a moment. datconnlimit is -2 if a DROP was interrupted.
 */
const databasesSql = `
  with database as (
    select d.*, r.rolname as owner, c.description
    from pg_catalog.pg_database d
    join pg_catalog.pg_roles r on r.oid = d.datdba
    left join pg_catalog.pg_shdescription c on c.objoid = d.oid and c.classoid = 'pg_catalog.pg_database'::regclass
    where not starts_with(d.datname, $1 || 'probe_')
  )
  select (select count(*)::int from database) as databases,
         (select pg_encoding_to_char(encoding) from database where datname in ('template0', 'template1')
          order by datname desc limit 1) as encoding,
         array(select datname::text from database where datconnlimit = -2 order by 1) as "invalidDatabases",
         array(select datname::text from database
               where datcollversion is not null and datconnlimit <> -2
                 and datcollversion is distinct from pg_database_collation_actual_version(oid) order by 1)
           as "oldCollations",
         array(select datname::text from database
               where datallowconn and datconnlimit <> -2
                 and exists (select from aclexplode(coalesce(datacl, acldefault('d', datdba)))
                             where grantee = 0 and privilege_type = 'CONNECT') order by 1) as "openToPublic",
         coalesce((select json_agg(json_build_object('owner', owner, 'databases', databases) order by owner)
                   from (select owner, json_agg(datname order by datname) as databases from database
                         where starts_with(datname, $1) and owner <> $2 and not pg_has_role(datdba, 'usage')
                           and (datname = $1 || 'catalog' or starts_with(description, '{"tenantry":'))
                         group by owner) foreign_owner), '[]') as "foreignOwners"`

async function ownRoles(session: Session, names: Readonly<Record<OwnRole['purpose'], Identifier>>): Promise<OwnRole[]> {
  const { rows } = await session.query<Omit<OwnRole, 'purpose'>>(ownRolesSql, [Object.values(names)])
  const purposes = Object.entries(names) as [OwnRole['purpose'], Identifier][]
  return purposes.flatMap(([purpose, name]) => rows.filter((it) => it.name === name).map((it) => ({ ...it, purpose })))
}

/**
 * The installation's roles. From version 16 on, a membership may exist without its privileges or without the right to
 * act as the role, and making members takes ADMIN OPTION; before, CREATEROLE was enough for any role but a superuser.
 * https://www.postgresql.org/docs/16/release-16.html
 */
const ownRolesSql = `
  with here as (
    select r.rolsuper, r.rolcreaterole,
           exists (select from pg_catalog.pg_attribute
                   where attrelid = 'pg_catalog.pg_auth_members'::regclass and attname = 'set_option') as is_fine
    from pg_catalog.pg_roles r where r.rolname = current_user
  )
  select g.rolname as name, pg_has_role(g.oid, 'usage') as "mayUse",
         pg_has_role(g.oid, case when is_fine then 'set' else 'member' end) as "maySet",
         here.rolsuper or (here.rolcreaterole and not is_fine) or pg_has_role(g.oid, 'member with admin option') as "mayAdmit",
         array(select distinct m.rolname::text from pg_catalog.pg_auth_members a
               join pg_catalog.pg_roles m on m.oid = a.member where a.roleid = g.oid and a.admin_option order by 1)
           as admins
  from here, pg_catalog.pg_roles g where g.rolname = any($1)`

/** Returns rows of one text; undefined if the role may not see them. */
async function ifVisible(session: Session, sql: string): Promise<readonly string[] | undefined> {
  try {
    const { rows } = await session.query<{ text: string }>(sql)
    return rows.map(({ text }) => text)
  } catch (error) {
    const codes: readonly string[] = ['permission-denied', 'query-failed']
    if (error instanceof TenantryError && codes.includes(error.code)) return undefined
    throw error
  }
}

/**
 * Directories without a database. While a database is made or dropped, its directory has no row; an older directory is
 * not of that kind.
 */
const leakedSql = `
  select 'base/' || d.name as text
  from pg_catalog.pg_ls_dir('base') as d (name), pg_catalog.pg_stat_file('base/' || d.name, true) as s
  where d.name ~ '^[0-9]+$' and s.modification < now() - interval '10 minutes'
    and not exists (select from pg_catalog.pg_database where oid = d.name::oid)
  order by 1`

/** Rules without a password. https://www.postgresql.org/docs/current/view-pg-hba-file-rules.html */
const trustSql = `
  select concat_ws(' ', type, array_to_string(database, ','), array_to_string(user_name, ','), address) as text
  from pg_catalog.pg_hba_file_rules where auth_method = 'trust' order by line_number`
