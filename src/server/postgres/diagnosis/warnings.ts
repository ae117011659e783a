import type { ManagedService, Unseen, Warning } from '../../diagnosis.ts'
import { quoteName } from '../../../kernel/quoting.ts'
import type { ServerFacts } from './facts.ts'
import { someOf } from './missing.ts'

/** Returns states that work but should be improved; the most serious first. */
export function warningsOf(facts: ServerFacts, service: ManagedService): readonly Warning[] {
  return [
    trustAuthentication(facts),
    noTls(facts),
    superuser(facts),
    createRoleBefore16(facts),
    publicCreate(facts),
    publicConnect(facts),
    noSignalBackend(facts),
    passwordEncryption(facts),
    tooFewConnections(facts),
    encoding(facts),
    collationVersion(facts),
    invalidDatabases(facts),
    manyDatabases(facts, service),
    recoverySync(facts, service),
    leakedDirectories(facts),
    probeLeftovers(facts),
  ].filter((it) => it !== undefined)
}

/** Returns the parts that the role may not see. */
export function unseenOf({ read, probed }: ServerFacts): readonly Unseen[] {
  const unseen: Unseen[] = []
  if (read.leakedDirectories === undefined) {
    const what = 'Directories without a database: only a superuser may list them (pg_ls_dir, pg_stat_file).'
    unseen.push({ code: 'leaked-directories', what })
  }
  if (read.trustRules === undefined && probed?.isWrongPasswordAccepted !== false) {
    const what = 'Connections without a password: only a superuser may read pg_hba_file_rules.'
    if (probed?.isWrongPasswordAccepted === undefined) unseen.push({ code: 'trust-authentication', what })
  }
  if (read.unvisited.length > 0) {
    const what = `The right of every role to create in ${someOf(read.unvisited)}: this role may not connect, or there are too many databases.`
    unseen.push({ code: 'public-create', what })
  }
  return unseen
}

/** Quotes a name from the server for SQL. */

function trustAuthentication({ read, probed }: ServerFacts): Warning | undefined {
  const rules = read.trustRules ?? []
  const isOpen = probed?.isWrongPasswordAccepted === true
  if (rules.length === 0 && !isOpen) return undefined
  return {
    code: 'trust-authentication',
    found: isOpen
      ? 'A wrong password was accepted from here.'
      : `pg_hba.conf lets in without a password: ${someOf(rules, 3)}.`,
    why: 'Any client that can reach the server can log in as any role, also a superuser or a tenant.',
    fix: 'Put scram-sha-256 in the place of trust in pg_hba.conf, and reload it.',
    sql: ['SELECT pg_reload_conf();'],
  }
}

function noTls({ read }: ServerFacts): Warning | undefined {
  if (read.isEncrypted || read.isLocal) return undefined
  return {
    code: 'no-tls',
    found: 'The connection leaves this machine and is not encrypted.',
    why: "Anyone on the network path can read all tenants' data.",
    fix: 'Add ?sslmode=verify-full to the URL, and sslrootcert=<file> where the certificate is of an authority of your own.',
    sql: [],
  }
}

function superuser({ read, roles, installation }: ServerFacts): Warning | undefined {
  const { superuser: isSuperuser, name } = read.role
  if (!isSuperuser) return undefined
  const role = quoteName(`${installation}_provisioner`)
  return {
    code: 'superuser',
    found: `${name} is a superuser.`,
    why: 'Nothing limits the damage by a mistake, or by anyone who has the URL.',
    fix: 'For daily work, make a role that has only the needed privileges, set its password (\\password in psql), and use that.',
    sql: [
      `CREATE ROLE ${role} LOGIN CREATEDB${roles === 'separate' ? ' CREATEROLE' : ''};`,
      `GRANT pg_signal_backend TO ${role};`,
    ],
  }
}

/**
 * Warns of CREATEROLE before version 16. https://www.postgresql.org/docs/15/role-attributes.html, and the release notes
 * of 16.
 */
function createRoleBefore16({ read, roles }: ServerFacts): Warning | undefined {
  const { createRole, superuser: isSuperuser, name } = read.role
  if (!createRole || isSuperuser || read.hasMembershipOptions) return undefined
  return {
    code: 'createrole-before-16',
    found: `${name} has CREATEROLE, on PostgreSQL ${read.version}.`,
    why: 'Before PostgreSQL 16 that is nearly a superuser: it can make itself a member of every role that is none, also of pg_execute_server_program.',
    fix:
      roles === 'separate'
        ? "Guard its password like a superuser's, and upgrade to 16 or newer."
        : "It is not needed with roles: 'shared'.",
    sql: roles === 'separate' ? [] : [`ALTER ROLE ${quoteName(name)} NOCREATEROLE;`],
  }
}

function publicConnect({ read, roles, maintenanceDatabase }: ServerFacts): Warning | undefined {
  const open = read.openToPublic
  if (roles === 'shared' || open.length === 0) return undefined
  const named = open.slice(0, mostNamed)
  const keepIn = `GRANT CONNECT ON DATABASE ${quoteName(maintenanceDatabase)} TO ${quoteName(read.role.name)};`
  return {
    code: 'public-connect',
    found: `Every role may connect to ${someOf(open, mostNamed)}.`,
    why: "A tenant's role can, too: it sees there what PUBLIC may see, and can use up the connections.",
    fix: 'Take CONNECT away from PUBLIC, as the owner of each, and first give it to those who need it.',
    sql: [
      ...(named.includes(maintenanceDatabase) && !read.role.superuser ? [keepIn] : []),
      ...named.map((name) => `REVOKE CONNECT ON DATABASE ${quoteName(name)} FROM PUBLIC;`),
    ],
  }
}

/**
 * Warns of public schemas. PostgreSQL 14 and older allowed every role to create in `public`, and pg_upgrade leaves it
 * so.
 */
function publicCreate({ read }: ServerFacts): Warning | undefined {
  const open = [...read.publicSchemas]
  if (open.length === 0) return undefined
  const schemas = open.flatMap(([database, names]) => names.map((name) => `${name} of ${database}`))
  return {
    code: 'public-create',
    found: `Every role may create in the schema ${someOf(schemas, mostNamed)}.`,
    why: "A tenant's role can, too: functions and operators that others then run unknowingly, with their own privileges.",
    fix: 'Take CREATE away from PUBLIC, in each of these databases, as a superuser or the owner of the schema.',
    sql: open.flatMap(([database, names]) =>
      names.map((name) => `REVOKE CREATE ON SCHEMA ${quoteName(name)} FROM PUBLIC /* in ${quoteName(database)} */;`),
    ),
  }
}

const mostNamed = 5

function noSignalBackend({ read, probed, roles }: ServerFacts): Warning | undefined {
  const { signalBackend, superuser: isSuperuser, name } = read.role
  // If nothing else ends them either, the privilege is missing, rather than merely recommended.
  if (signalBackend || isSuperuser || probed?.capabilities.endSessionsAsMember === false) return undefined
  return {
    code: 'no-signal-backend',
    found: `${name} has not the privileges of pg_signal_backend.`,
    why:
      roles === 'separate'
        ? "It can end tenants' sessions, by acting as their roles, but no other role's. A session of another role in a tenant's database prevents offboarding."
        : "A session of another role in a tenant's database prevents offboarding.",
    fix: 'Grant it. No session of a superuser can be ended with it.',
    sql: [`GRANT pg_signal_backend TO ${quoteName(name)};`],
  }
}

function passwordEncryption({ read }: ServerFacts): Warning | undefined {
  if (read.passwordEncryption === 'scram-sha-256' || read.passwordEncryption === '') return undefined
  return {
    code: 'password-encryption',
    found: `password_encryption is ${read.passwordEncryption}.`,
    why: 'Tenantry sends SCRAM verifiers; every other password that is set is kept in a form that can be used like the password itself.',
    fix: 'Set it to scram-sha-256, and set the passwords again.',
    sql: ["ALTER SYSTEM SET password_encryption = 'scram-sha-256';", 'SELECT pg_reload_conf();'],
  }
}

function tooFewConnections({ read, connections }: ServerFacts): Warning | undefined {
  const { connectionLimit, name } = read.role
  const free = read.maxConnections - read.reservedConnections
  const isLimited = connectionLimit >= 0 && connectionLimit < free
  const available = isLimited ? connectionLimit : free
  if (connections <= available) return undefined
  return {
    code: 'too-few-connections',
    found: `One process may hold ${connections} connections, and ${isLimited ? name : 'the server'} has ${available} in all.`,
    why: 'When they are used up, calls fail with too-many-connections; and other processes need some as well.',
    fix: 'Lower maxConnections or limits.concurrency, or raise the limit (max_connections takes a restart).',
    sql: isLimited ? [`ALTER ROLE ${quoteName(name)} CONNECTION LIMIT -1;`] : [],
  }
}

/** Warns of other encodings. https://www.postgresql.org/docs/current/multibyte.html */
function encoding({ read }: ServerFacts): Warning | undefined {
  if (read.encoding === 'UTF8') return undefined
  return {
    code: 'encoding',
    found: `New databases have the encoding ${read.encoding}.`,
    why:
      read.encoding === 'SQL_ASCII'
        ? 'PostgreSQL stores any bytes there: a program that reads them as UTF-8 may fail.'
        : 'Text with other characters cannot be stored there.',
    fix: 'Make a cluster with initdb --encoding=UTF8, or pass encoding and locale to ensureDatabase().',
    sql: [],
  }
}

/** Warns of old collations. https://www.postgresql.org/docs/current/sql-altercollation.html (Notes) */
function collationVersion({ read }: ServerFacts): Warning | undefined {
  const names = read.oldCollations
  if (names.length === 0) return undefined
  return {
    code: 'collation-version',
    found: `The operating system sorts otherwise than when these were made: ${someOf(names)}.`,
    why: 'Indexes on text may miss rows, and PostgreSQL does not copy such a database.',
    fix: 'In each of them: REINDEX (DATABASE), then refresh the version.',
    sql: names.slice(0, mostNamed).map((name) => `ALTER DATABASE ${quoteName(name)} REFRESH COLLATION VERSION;`),
  }
}

function invalidDatabases({ read }: ServerFacts): Warning | undefined {
  const names = read.invalidDatabases
  if (names.length === 0) return undefined
  return {
    code: 'invalid-databases',
    found: `A DROP DATABASE was interrupted in ${someOf(names)}.`,
    why: 'No role can connect to the remains, which occupy the name and disk space.',
    fix: 'Drop it again; nothing else can be done with it.',
    sql: names.slice(0, mostNamed).map((name) => `DROP DATABASE ${quoteName(name)};`),
  }
}

/** Warns of many databases. A branch of Neon has 500 at most (https://neon.com/docs/manage/databases). */
function manyDatabases({ read }: ServerFacts, service: ManagedService): Warning | undefined {
  const most = service === 'neon' ? 400 : 1_000
  if (read.databases <= most) return undefined
  return {
    code: 'many-databases',
    found: `The server has ${read.databases} databases.`,
    why:
      service === 'neon'
        ? 'A branch of Neon has 500 at most.'
        : 'Autovacuum visits one database each naptime, so each is visited rarely; and a crash takes long to recover from.',
    fix: 'Place new tenants on another server: servers: [...] in the configuration.',
    sql: [],
  }
}

/** Warns of a slow recovery. https://www.postgresql.org/docs/current/runtime-config-error-handling.html */
function recoverySync({ read }: ServerFacts, service: ManagedService): Warning | undefined {
  if (read.recoverySync !== 'fsync' || read.databases < 100 || service !== 'plain') return undefined
  return {
    code: 'recovery-sync',
    found: `recovery_init_sync_method is fsync, with ${read.databases} databases.`,
    why: 'After a crash the server opens every file before it accepts connections: about 300 files a database.',
    fix: 'On Linux, set it to syncfs.',
    sql: ["ALTER SYSTEM SET recovery_init_sync_method = 'syncfs';", 'SELECT pg_reload_conf();'],
  }
}

function leakedDirectories({ read }: ServerFacts): Warning | undefined {
  const names = read.leakedDirectories ?? []
  if (names.length === 0) return undefined
  return {
    code: 'leaked-directories',
    found: `Directories that no database belongs to: ${someOf(names)}.`,
    why: 'A server that was killed during CREATE DATABASE leaves them for ever, each as large as the copied database.',
    fix: 'Check once more that pg_database does not have their number (oid), then remove them from the data directory, with the server stopped.',
    sql: [],
  }
}

function probeLeftovers({ read }: ServerFacts): Warning | undefined {
  const names = read.leftovers
  if (names.length === 0) return undefined
  return {
    code: 'probe-leftovers',
    found: `An earlier probe has left ${someOf(names.map(({ name }) => name))}.`,
    why: 'It was killed, and its remains could not be removed, or not be proven to be its own.',
    fix: 'Drop them, unless another program has made them.',
    sql: names.map(({ kind, name }) => `DROP ${kind.toUpperCase()} ${quoteName(name)};`),
  }
}
