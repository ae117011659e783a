/** A tenant, and the database and role of its sessions. */
export interface Identity {
  readonly id: string
  /** The number that identifies its traces. */
  readonly number: number
  readonly database: string
  readonly user: string
  /** A role that all tenants' roles are members of. */
  readonly group: string
}

/** Reads a session's identity, and the traces of earlier work in it. */
export const look = `
  select current_database()::text as database, session_user::text as login, current_user::text as role,
    coalesce(current_setting('app.mark', true), '') as mark,
    coalesce(current_setting('app.acting', true), '') as acting,
    current_setting('search_path') as path,
    array(select relname::text from pg_catalog.pg_class
          where relnamespace = pg_catalog.pg_my_temp_schema() and relkind = 'r') as tables,
    array(select name::text from pg_catalog.pg_prepared_statements) as statements,
    array(select pg_catalog.pg_listening_channels()::text) as channels,
    array(select objid::text from pg_catalog.pg_locks
          where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid()) as locks`

/** The result of {@link look}. */
export interface Seen {
  readonly database: string
  readonly login: string
  readonly role: string
  readonly mark: string
  readonly acting: string
  readonly path: string
  readonly tables: readonly string[]
  readonly statements: readonly string[]
  readonly channels: readonly string[]
  readonly locks: readonly string[]
}

/** Returns statements that each leave a trace which a session can keep. */
export function traces({ number, group }: Identity) {
  return {
    setting: `set app.mark = '${number}'`,
    path: `set search_path = s${number}, public`,
    table: `create temporary table if not exists t${number} ()`,
    channel: `listen c${number}`,
    lock: `select pg_catalog.pg_try_advisory_lock(${number})`,
    role: `set app.acting = '${number}'; set role ${group}`,
    localRole: `set local role ${group}`,
  }
}

/** The name under which the driver keeps a statement of each connection, with another text for each tenant. */
export const namedStatement = 'named'

/** Returns the traces in a session that are not its tenant's own. */
export function foreign(tenant: Identity, seen: Seen): readonly string[] {
  const { number, database, user, group } = tenant
  const mayBe = (what: string, values: readonly string[], ...allowed: string[]) =>
    values.filter((value) => !allowed.includes(value)).map((value) => `${what} ${value}`)
  return [
    ...mayBe('database', [seen.database], database),
    ...mayBe('login', [seen.login], user),
    // Only where this tenant's own work left it so.
    ...mayBe('role', [seen.role], user, ...(seen.acting === `${number}` ? [group] : [])),
    ...mayBe('setting', [seen.mark, seen.acting], '', `${number}`),
    ...mayBe('search_path', [seen.path], '"$user", public', `s${number}, public`),
    ...mayBe('temporary table', seen.tables, `t${number}`),
    ...mayBe('prepared statement', seen.statements, namedStatement),
    ...mayBe('channel', seen.channels, `c${number}`),
    ...mayBe('lock', seen.locks, `${number}`),
  ].map((what) => `${tenant.id} saw ${what}`)
}

/** True if this tenant has used the session before. */
export function isUsed(seen: Seen): boolean {
  return seen.mark !== '' || seen.tables.length > 0 || seen.channels.length > 0 || seen.statements.length > 0
}
