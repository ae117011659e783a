import { TenantryError } from './errors.ts'
import { show } from './printable.ts'

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** A tenant's key: `[a-z0-9-]`, at most 40 bytes, beginning and ending with a letter or digit. Never changed. */
export type TenantId = Branded<'TenantId'>
/** A checked name for a PostgreSQL database, role, schema or tablespace: 1 to 63 bytes, no control characters. */
export type Identifier = Branded<'Identifier'>
/** The short name of one catalog and all that belongs to it: `[a-z][a-z0-9]*`, at most 16 bytes. */
export type Installation = Branded<'Installation'>

/** PostgreSQL's NAMEDATALEN less one; longer names are cut silently, so that two can become one. */
const identifierBytes = 63
const tenantIdPattern = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/
const installationPattern = /^[a-z][a-z0-9]{0,15}$/

/**
 * Checks a tenant's id.
 *
 * @throws `invalid-tenant-id`
 */
export function parseTenantId(value: string): TenantId {
  if (typeof value === 'string' && tenantIdPattern.test(value)) return value as TenantId
  throw new TenantryError('invalid-tenant-id', `${show(value)} cannot be a tenant id.`, {
    hint: 'Use 1 to 40 of a-z, 0-9 and "-", beginning and ending with a letter or digit. A display name may be any text.',
  })
}

/**
 * Checks a name before it becomes an identifier in SQL. Upper case, spaces, quotes and reserved words are fine, since
 * identifiers are always quoted.
 *
 * @param what the kind of name, as it should read in the error: "database", "owner"
 * @throws `invalid-name`
 */
export function parseIdentifier(value: string, what: string): Identifier {
  const problem = identifierProblem(value)
  if (problem === undefined) return value as Identifier
  throw new TenantryError('invalid-name', `${show(value)} cannot be the name of a ${what}: ${problem}.`, {
    hint: `PostgreSQL's names have 1 to ${identifierBytes} bytes (UTF-8) and no control characters.`,
  })
}

/**
 * Checks an installation's name. It has no underscore, so that the names made from it never meet another installation's.
 *
 * @throws `invalid-option`
 */
export function parseInstallation(value: string): Installation {
  if (typeof value === 'string' && installationPattern.test(value)) return value as Installation
  throw new TenantryError('invalid-option', `${show(value)} cannot be the name of an installation.`, {
    hint: 'Use 1 to 16 of a-z and 0-9, beginning with a letter.',
  })
}

/** Every physical name that Tenantry generates. Tenant ids have no underscore, so the mapping is one to one. */
export const physicalNames = {
  catalog: (installation: Installation) => `${installation}_catalog` as Identifier,
  /** The database for administration on a server that the catalog is not on. */
  administration: (installation: Installation) => `${installation}_admin` as Identifier,
  /** A database or role that a probe makes and drops; `run` is random, so the name is never used again. */
  probe: (installation: Installation, run: string, purpose: string) =>
    `${installation}_${probePurpose}_${run}_${purpose}` as Identifier,
  /** The prefix of every name of a probe. */
  probePrefix: (installation: Installation) => `${installation}_${probePurpose}_`,
  /** A tenant's database once it is complete. */
  tenant: (installation: Installation, tenant: TenantId) =>
    `${installation}_t_${tenant.replaceAll('-', '_')}` as Identifier,
  /** A tenant's database whose name does not reveal the tenant; the row id is random. */
  opaque: (installation: Installation, rowId: string) => ownName(installation, opaquePurpose, rowId),
  /** The prefix of every opaque name. */
  opaquePrefix: (installation: Installation) => `${installation}_${opaquePurpose}_`,
  /** A template, once it is complete. */
  template: (installation: Installation, rowId: string) => ownName(installation, 'template', rowId),
  /** A spare, unless it has an opaque name from the start. */
  spare: (installation: Installation, rowId: string) => ownName(installation, 'spare', rowId),
  /** A tenant's database, or a template, while it is being made: the random row id shows that it is ours. */
  building: (installation: Installation, rowId: string) => ownName(installation, 'building', rowId),
  /** A tenant's database while the tenant is offboarded. */
  archived: (installation: Installation, rowId: string) => ownName(installation, 'off', rowId),
  /**
   * A tenant's database that is about to be dropped. The name is never used again, and only databases with such a name
   * are dropped.
   */
  pendingDrop: (installation: Installation, rowId: string) => ownName(installation, 'drop', rowId),
  /** The role that owns the databases of an installation. */
  owner: (installation: Installation) => `${installation}_owner` as Identifier,
  /** The role that owns the objects in them. */
  objects: (installation: Installation) => `${installation}_objects` as Identifier,
  /** The role whose members may read and write the objects in them. */
  app: (installation: Installation) => `${installation}_app` as Identifier,
  /** The role that a tenant's work logs in as. */
  login: (installation: Installation, rowId: string) => ownName(installation, loginPurpose, rowId),
  /**
   * The temporary role of a step of the service's own, in a database that may hold functions of others; `run` is eight
   * random digits, so that a privilege granted to one such role does not keep the next from being made.
   */
  helper: (installation: Installation, rowId: string, run: string) =>
    `${ownName(installation, helperPurpose, rowId)}_${run}` as Identifier,
  /** The prefix of the names of all temporary roles of a row. */
  helpersOf: (installation: Installation, rowId: string) => `${ownName(installation, helperPurpose, rowId)}_`,
  /** The prefix of the name of every temporary role. */
  helperPrefix: (installation: Installation) => `${installation}_${helperPurpose}_`,
  /** The prefix of every name of a tenant's role. */
  loginPrefix: (installation: Installation) => `${installation}_${loginPurpose}_`,
}

const opaquePurpose = 'd'
const loginPurpose = 'r'
/** A purpose of logins: a search for tenants' roles finds temporary ones as well. */
const helperPurpose = `${loginPurpose}_h`
const probePurpose = 'probe'

function ownName(installation: Installation, purpose: string, rowId: string): Identifier {
  return `${installation}_${purpose}_${rowId.replaceAll('-', '')}` as Identifier
}

function identifierProblem(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'it is not a string'
  if (value === '') return 'it is empty'
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f]/.test(value)) return 'it has a control character'
  if (!value.isWellFormed()) return 'it is not well-formed Unicode'
  const bytes = Buffer.byteLength(value)
  return bytes > identifierBytes ? `it has ${bytes} bytes` : undefined
}
