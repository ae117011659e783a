import { printableLines } from './printable.ts'

/** The meaning of one error code. The registry below is the only place where codes are made. */
interface ErrorKind {
  /** One sentence, "Raised when ...", the same as in docs/errors.md. */
  readonly raised: string
  /** True if the same call may succeed later without a change by anyone. */
  readonly retryable: boolean
}

/** Every code a {@link TenantryError} can carry. docs/errors.md has a section for each; a test holds the two together. */
export const errorKinds = {
  aborted: { raised: 'Raised when the AbortSignal given to a call was aborted.', retryable: false },
  'authentication-failed': {
    raised: 'Raised when the server refused the user name or the password.',
    retryable: false,
  },
  'catalog-disagrees': {
    raised: 'Raised when the catalog has a tenant in another state than its database on the server proves.',
    retryable: false,
  },
  'catalog-missing': {
    raised: 'Raised when there is no catalog, and the process or command that looks for it does not create one.',
    retryable: false,
  },
  'catalog-newer': {
    raised: 'Raised when the catalog was migrated by a newer Tenantry that this one cannot work beside.',
    retryable: false,
  },
  'catalog-older': {
    raised: "Raised when a process with `mode: 'router'` finds a catalog that is not migrated to what it needs.",
    retryable: true,
  },
  closed: { raised: 'Raised when something is used after it was closed.', retryable: false },
  'command-failed': {
    raised: 'Raised when the program that `tenantry exec` was to run cannot be started.',
    retryable: false,
  },
  'config-exists': {
    raised: 'Raised when `tenantry init` was to write a configuration where there is one.',
    retryable: false,
  },
  'config-missing': { raised: 'Raised when the command line finds no configuration.', retryable: false },
  'config-unreadable': {
    raised: 'Raised when the configuration cannot be loaded, or is none.',
    retryable: false,
  },
  'connection-lost': {
    raised: 'Raised when a connection broke while work was under way on it.',
    retryable: true,
  },
  'credentials-key-missing': {
    raised: "Raised when tenants' passwords are to be kept encrypted and no key is configured.",
    retryable: false,
  },
  'credentials-unreadable': {
    raised: "Raised when the passwords of tenants' roles were encrypted with a key that is not configured.",
    retryable: false,
  },
  'cross-tenant-entity': {
    raised: "Raised when an entity, query or transaction of one tenant is given to another tenant's handle.",
    retryable: false,
  },
  'database-closed': {
    raised: 'Raised when a database exists and does not accept connections.',
    retryable: false,
  },
  'database-invalid': {
    raised: 'Raised when an interrupted DROP DATABASE left a database that can only be dropped.',
    retryable: false,
  },
  'database-missing': { raised: 'Raised when a database that must exist does not.', retryable: false },
  'domain-lookup-failed': {
    raised: 'Raised when the DNS could not be asked for the record that proves a domain.',
    retryable: true,
  },
  'domain-taken': { raised: 'Raised when a domain is to be added that another tenant has.', retryable: false },
  'domain-unknown': {
    raised: 'Raised when a domain is to be verified that the tenant does not have.',
    retryable: false,
  },
  'embedded-failed': {
    raised: 'Raised when the embedded PostgreSQL could not be prepared, started or stopped.',
    retryable: false,
  },
  'embedded-in-production': {
    raised: 'Raised when no server is configured and NODE_ENV is production.',
    retryable: false,
  },
  'embedded-unavailable': {
    raised: 'Raised when there are no embedded PostgreSQL binaries for this platform, or they are not installed.',
    retryable: false,
  },
  'foreign-database': {
    raised: 'Raised when a database has the name a tenant needs and was not made by this installation.',
    retryable: false,
  },
  'hook-failed': {
    raised: "Raised when the service's own `seed`, `initialise` or `anonymise` failed.",
    retryable: true,
  },
  'invalid-domain': { raised: "Raised when something cannot be a tenant's domain.", retryable: false },
  'invalid-name': {
    raised: 'Raised when a name cannot be a PostgreSQL identifier: empty, over 63 bytes, or with control characters.',
    retryable: false,
  },
  'invalid-option': {
    raised: 'Raised when an option is unknown, missing, of a wrong type or out of range.',
    retryable: false,
  },
  'invalid-tenant-id': { raised: 'Raised when a tenant id is outside its alphabet or length.', retryable: false },
  'invalid-url': { raised: 'Raised when a connection URL cannot be understood.', retryable: false },
  'lock-timeout': {
    raised: 'Raised when a lock was held by somebody else for longer than the limit.',
    retryable: true,
  },
  'models-invalid': { raised: 'Raised when the models cannot be read.', retryable: false },
  'no-open-server': {
    raised: 'Raised when no server is open for a new tenant, or the one asked for is unknown or closed.',
    retryable: false,
  },
  'no-tenant': {
    raised: 'Raised when code that needs a tenant runs outside of one.',
    retryable: false,
  },
  'not-confirmed': {
    raised: 'Raised when something was to be destroyed and nobody confirmed it.',
    retryable: false,
  },
  'permission-denied': {
    raised: 'Raised when the role lacks a privilege; the hint has the statement that grants it.',
    retryable: false,
  },
  'pool-timeout': {
    raised: 'Raised when no connection of the budget became free within the limit.',
    retryable: true,
  },
  'pooler-in-the-way': {
    raised: 'Raised when a connection pooler answered where administration needs the server itself.',
    retryable: false,
  },
  'query-failed': { raised: 'Raised when the server refused a statement for any other reason.', retryable: false },
  'role-missing': { raised: 'Raised when a role named in the options does not exist.', retryable: false },
  'router-only': {
    raised: "Raised when a process that was opened with `mode: 'router'` is asked to change something.",
    retryable: false,
  },
  'roles-shared': {
    raised: 'Raised when the password of a tenant is asked for that has no role of its own.',
    retryable: false,
  },
  'schema-conflict': {
    raised: 'Raised when what is missing cannot be created because of what is already there.',
    retryable: false,
  },
  'server-unreachable': {
    raised: 'Raised when no connection could be made: nothing listens there, or the answer did not come in time.',
    retryable: true,
  },
  'sessions-remain': {
    raised: "Raised when sessions in a tenant's database did not end by the deadline.",
    retryable: true,
  },
  'tablespace-missing': { raised: 'Raised when a tablespace named in the options does not exist.', retryable: false },
  'template-in-use': {
    raised: 'Raised when somebody is connected to the template that was to be copied.',
    retryable: true,
  },
  'template-missing': { raised: 'Raised when the template named in the options does not exist.', retryable: false },
  'tenant-behind': {
    raised: "Raised when a tenant's version is older than the process's, which was opened with `whenBehind: 'refuse'`.",
    retryable: true,
  },
  'tenant-conflict': {
    raised: "Raised when another tenant's context, or a fleet query, is entered inside a tenant's context.",
    retryable: false,
  },
  'tenant-exists': {
    raised: 'Raised when a new tenant was to have an id, or a database, that another has.',
    retryable: false,
  },
  'tenant-mismatch': {
    raised: 'Raised when the parts of a request that must name one tenant do not.',
    retryable: false,
  },
  'tenant-not-active': { raised: 'Raised when a tenant exists and is not active.', retryable: false },
  'tenant-state': { raised: "Raised when a tenant's state does not allow what was asked.", retryable: false },
  'tenant-unknown': { raised: 'Raised when no tenant has this id.', retryable: false },
  'tenant-unresolved': { raised: 'Raised when nothing in a request says which tenant it is for.', retryable: false },
  timeout: {
    raised: 'Raised when a statement, or the work of a fleet query for one tenant, was ended at its time limit.',
    retryable: true,
  },
  'too-many-connections': {
    raised:
      'Raised when the server, the database or the role had no connection left, for as long as it may be waited for.',
    retryable: true,
  },
  'unknown-host': { raised: "Raised when the server's host name could not be resolved.", retryable: false },
  'verification-failed': {
    raised: 'Raised when a database was made and does not match the models.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorKind>

/** A stable name for an error, to branch on; see docs/errors.md. */
export type ErrorCode = keyof typeof errorKinds

/** The state of a tenant that is not in service. */
export type StateOutOfService = 'onboarding' | 'suspended' | 'offboarded' | 'purging'

/** The details of a {@link TenantryError} besides its code and message. */
export interface ErrorDetails {
  /** The next step, in words or as the exact SQL. */
  readonly hint?: string | undefined
  /** The error underneath, never with a secret in it. */
  readonly cause?: unknown
  /** The id of the tenant concerned, if one is known. */
  readonly tenant?: string | undefined
  /** The state of this tenant, if that is the reason. */
  readonly tenantState?: StateOutOfService | undefined
  /** PostgreSQL's five-character code, if the server reported one. */
  readonly sqlState?: string | undefined
  /** Overrides the general value of the code. */
  readonly retryable?: boolean | undefined
}

/**
 * The only error that Tenantry throws.
 *
 * The message says what happened, and `hint` names the next step; neither ever holds a password, nor a character that
 * could harm a terminal.
 */
export class TenantryError extends Error {
  override readonly name = 'TenantryError'
  readonly code: ErrorCode
  /** True if the same call may succeed later without a change by anyone. */
  readonly retryable: boolean
  readonly hint: string | undefined
  readonly tenant: string | undefined
  readonly tenantState: StateOutOfService | undefined
  readonly sqlState: string | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(printableLines(message), details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.retryable = details.retryable ?? errorKinds[code].retryable
    this.hint = details.hint === undefined ? undefined : printableLines(details.hint)
    this.tenant = details.tenant
    this.tenantState = details.tenantState
    this.sqlState = details.sqlState
  }

  /** Returns the same error for a tenant. */
  forTenant(tenant: string): TenantryError {
    const { code, message, cause, hint, tenantState, sqlState, retryable } = this
    const error = new TenantryError(code, message, { cause, hint, tenantState, sqlState, retryable, tenant })
    if (this.stack !== undefined) error.stack = this.stack
    return error
  }
}
