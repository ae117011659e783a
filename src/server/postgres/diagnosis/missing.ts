import type { TenantryError } from '../../../kernel/errors.ts'
import type { Identifier } from '../../../kernel/names.ts'
import type { Capability, ManagedService, Missing } from '../../diagnosis.ts'
import { quoteName } from '../../../kernel/quoting.ts'
import { capabilityWords } from './capability-words.ts'
import type { OwnRole, ServerFacts } from './facts.ts'
import { administratorOf } from './managed-service.ts'

/** Returns the required privileges and objects that are missing. */
export function missingOf(facts: ServerFacts, service: ManagedService): readonly Missing[] {
  const explained = [...attributesMissing(facts, service), ...sessionsMissing(facts, service), ...modelsMissing(facts)]
  return [
    ...explained,
    ...ownRolesMissing(facts, service),
    ...ownDatabasesMissing(facts, service),
    ...extensionsMissing(facts),
    ...unsupported(facts, new Set(explained.map(({ code }) => code))),
  ]
}

/**
 * Returns the missing privileges for a server that could not be examined; only the privilege to connect can be granted.
 */
export function missingToConnect(error: TenantryError, user: Identifier, database: Identifier): readonly Missing[] {
  if (error.code !== 'permission-denied') return []
  const sql = `GRANT CONNECT ON DATABASE ${quoteName(database)} TO ${quoteName(user)};`
  const what = `CONNECT to ${database}, where databases are created from.`
  return [{ code: 'connect', what, sql: [sql], runAs: 'the owner of the database, or a superuser' }]
}

/** Quotes a role's name for SQL; it came from the server, where it is valid. */

/** True if a capability failed in its trial; or, without a trial, if it is not expected to work. */
function fails({ probed }: ServerFacts, capability: Capability, isExpected: boolean): boolean {
  return probed === undefined ? !isExpected : probed.capabilities[capability] === false
}

function attributesMissing(facts: ServerFacts, service: ManagedService): Missing[] {
  const { role } = facts.read
  const user = quoteName(role.name)
  const runAs = administratorOf(service)
  const missing: Missing[] = []
  if (!role.createDatabase && fails(facts, 'createDatabase', role.superuser)) {
    const what = "CREATEDB, for tenants' databases, templates and the catalog."
    missing.push({ code: 'create-database', what, sql: [`ALTER ROLE ${user} CREATEDB;`], runAs })
  }
  if (facts.roles === 'shared') return missing
  if (!role.createRole && fails(facts, 'createRole', role.superuser)) {
    const what = "CREATEROLE, for a role of its own for each tenant. With roles: 'shared' it is not needed."
    missing.push({ code: 'create-role', what, sql: [`ALTER ROLE ${user} CREATEROLE;`], runAs })
  }
  if (!role.inherit && fails(facts, 'joinRoles', role.superuser)) {
    const what = 'INHERIT: without it, the privileges of the roles that own databases and tables are not its own.'
    missing.push({ code: 'use-roles', what, sql: [`ALTER ROLE ${user} INHERIT;`], runAs })
  }
  return missing
}

/** Returns the missing privileges to end sessions. A session is ended in one of two ways. */
function sessionsMissing({ probed, read }: ServerFacts, service: ManagedService): Missing[] {
  const { endSessions, endSessionsAsMember } = probed?.capabilities ?? {}
  if (endSessions !== false || endSessionsAsMember !== false) return []
  const what = "The privileges of pg_signal_backend, to end tenants' sessions."
  const sql = [`GRANT pg_signal_backend TO ${quoteName(read.role.name)};`]
  return [{ code: 'end-sessions', what, sql, runAs: administratorOf(service) }]
}

/**
 * Returns the missing privileges on roles that another role made. The role makes itself a member when it opens, if it
 * can.
 */
function ownRolesMissing({ read, roles }: ServerFacts, service: ManagedService): Missing[] {
  if (roles === 'shared') return []
  const user = quoteName(read.role.name)
  return read.ownRoles.flatMap((it) => {
    const grant = `GRANT ${quoteName(it.name)} TO ${user}`
    if (it.mayAdmit) return []
    if (it.purpose === 'app') {
      const what = `ADMIN OPTION on ${it.name}, which is there already: every tenant's role becomes a member of it.`
      return [{ code: 'use-roles', what, sql: [`${grant} WITH ADMIN OPTION;`], runAs: adminsOf(it, service) }]
    }
    if (it.mayUse && it.maySet) return []
    const options = read.hasMembershipOptions ? ' WITH INHERIT TRUE, SET TRUE' : ''
    const owns = it.purpose === 'owner' ? 'databases' : 'tables'
    const what = `Membership in ${it.name}, which is there already and owns the ${owns}.`
    return [{ code: 'use-roles', what, sql: [`${grant}${options};`], runAs: adminsOf(it, service) }]
  })
}

function adminsOf({ admins }: OwnRole, service: ManagedService): string {
  const all = [administratorOf(service), ...admins]
  return `${all.slice(0, 4).join(', or ')}${all.length > 4 ? ', or another member with ADMIN OPTION' : ''}`
}

function ownDatabasesMissing({ read }: ServerFacts, service: ManagedService): Missing[] {
  return read.foreignOwners.map(({ owner, databases }) => ({
    code: 'own-databases',
    what: `The privileges of ${owner}, the owner of ${someOf(databases)} of this installation.`,
    sql: [`GRANT ${quoteName(owner)} TO ${quoteName(read.role.name)};`],
    runAs: `${administratorOf(service)}, or ${owner}`,
  }))
}

function extensionsMissing({ probed }: ServerFacts): Missing[] {
  return (probed?.refusedExtensions ?? []).map(({ name, message }) => ({
    code: 'extension',
    what: `The extension ${name}, which every tenant's database is to have: ${message}.`,
    sql: [],
    runAs: undefined,
  }))
}

function modelsMissing({ probed }: ServerFacts): Missing[] {
  return (probed?.refusals ?? []).flatMap(({ capability, message }) => {
    if (capability !== 'createModels') return []
    const what = `The tables of the models, which cannot be created as declared: ${message}`
    return [{ code: 'models', what, sql: [], runAs: undefined }]
  })
}

/**
 * The missing attributes that explain failures, which are then not reported again. An optional capability is never
 * missing.
 */
const explainedBy: Partial<Record<Capability, Missing['code']>> = {
  createDatabase: 'create-database',
  createModels: 'models',
  createRole: 'create-role',
  joinRoles: 'use-roles',
}
const dispensable: ReadonlySet<Capability> = new Set([
  'changeOwner',
  'endSessions',
  'endSessionsAsMember',
  'trustedExtension',
])

function unsupported({ probed }: ServerFacts, explained: ReadonlySet<Missing['code']>): Missing[] {
  return (probed?.refusals ?? []).flatMap(({ capability, message }) => {
    const code = explainedBy[capability]
    if (dispensable.has(capability) || (code !== undefined && explained.has(code))) return []
    const what = `It cannot ${capabilityWords[capability]}: ${message}.`
    return [{ code: 'unsupported', what, sql: [], runAs: undefined }]
  })
}

/** Returns some names, and the number of the others. */
export function someOf(names: readonly string[], most = 5): string {
  const shown = names.slice(0, most).join(', ')
  return names.length > most ? `${shown} and ${names.length - most} more` : shown
}
