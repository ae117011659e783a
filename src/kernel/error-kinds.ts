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
    raised: 'Raised when the server refused the user name or password.',
    retryable: false,
  },
  'catalog-disagrees': {
    raised: "Raised when the catalog and a database's stamp disagree about a tenant's state.",
    retryable: false,
  },
  'catalog-missing': {
    raised: 'Raised when there is no catalog, and the process or command does not create one.',
    retryable: false,
  },
  'catalog-newer': {
    raised: 'Raised when a newer, incompatible Tenantry has migrated the catalog.',
    retryable: false,
  },
  'catalog-older': {
    raised: 'Raised when a router or a read-only command finds a catalog that is not migrated yet.',
    retryable: true,
  },
  closed: { raised: 'Raised when a Tenantry or a connection is used after it was closed.', retryable: false },
  'command-failed': {
    raised: 'Raised when the program of `tenantry exec` cannot be started.',
    retryable: false,
  },
  'config-exists': {
    raised: 'Raised when `tenantry init` finds an existing configuration.',
    retryable: false,
  },
  'config-missing': { raised: 'Raised when the command line finds no configuration.', retryable: false },
  'config-unreadable': {
    raised: 'Raised when the configuration cannot be loaded.',
    retryable: false,
  },
  'connection-lost': {
    raised: 'Raised when a connection broke during a call.',
    retryable: true,
  },
  'credentials-key-missing': {
    raised: "Raised when no key is configured to encrypt the passwords of tenants' roles.",
    retryable: false,
  },
  'credentials-unreadable': {
    raised: "Raised when no configured key decrypts the passwords of tenants' roles.",
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
  'database-missing': { raised: 'Raised when a required database does not exist.', retryable: false },
  'domain-lookup-failed': {
    raised: 'Raised when the DNS lookup of the record that proves a domain failed.',
    retryable: true,
  },
  'domain-taken': { raised: 'Raised when another tenant already has the domain.', retryable: false },
  'domain-unknown': {
    raised: 'Raised when the tenant does not have the domain to verify.',
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
    raised: "Raised when a database has the name that a tenant needs, but not this installation's stamp.",
    retryable: false,
  },
  'hook-failed': {
    raised: "Raised when the service's own `seed`, `initialise`, `anonymise`, `beforeUpdate` or `afterUpdate` failed.",
    retryable: true,
  },
  'invalid-domain': { raised: "Raised when a value cannot be a tenant's domain.", retryable: false },
  'invalid-name': {
    raised: 'Raised when a name cannot be a PostgreSQL identifier: empty, over 63 bytes, or with control characters.',
    retryable: false,
  },
  'invalid-option': {
    raised: 'Raised when an option is unknown, missing, of the wrong type or out of range.',
    retryable: false,
  },
  'invalid-tenant-id': { raised: 'Raised when a tenant id is outside its alphabet or length.', retryable: false },
  'invalid-url': { raised: 'Raised when a connection URL cannot be understood.', retryable: false },
  'lock-timeout': {
    raised: 'Raised when a lock was not released within the time limit.',
    retryable: true,
  },
  'models-invalid': { raised: 'Raised when the models cannot be read.', retryable: false },
  'no-open-server': {
    raised: 'Raised when no server, or not the requested one, is open for a new tenant.',
    retryable: false,
  },
  'no-tenant': {
    raised: "Raised when code that needs a tenant runs outside of a tenant's context.",
    retryable: false,
  },
  'not-confirmed': {
    raised: 'Raised when a destructive command was not confirmed.',
    retryable: false,
  },
  'not-desired': {
    raised: 'Raised when a rollout is planned or started by a process whose models are not the desired version.',
    retryable: false,
  },
  'permission-denied': {
    raised: 'Raised when the role lacks a privilege; the hint has the statement that grants it.',
    retryable: false,
  },
  'plan-refused': {
    raised:
      'Raised when a plan of a rollout leaves differences, has hazards that are not allowed, or is of another state.',
    retryable: false,
  },
  'pool-timeout': {
    raised: 'Raised when no connection of the budget became free within the time limit.',
    retryable: true,
  },
  'pooler-in-the-way': {
    raised: 'Raised when a connection pooler answers in place of the server during administration.',
    retryable: false,
  },
  'query-failed': { raised: 'Raised when the server refused a statement for any other reason.', retryable: false },
  'role-missing': { raised: 'Raised when a role named in the options does not exist.', retryable: false },
  'router-only': {
    raised: "Raised when a process with `mode: 'router'` makes a call that changes something.",
    retryable: false,
  },
  'roles-shared': {
    raised: 'Raised when the credentials of a tenant without a role of its own are requested.',
    retryable: false,
  },
  'rollout-open': {
    raised: 'Raised when a rollout is started or continued while another one, of another plan, is not over.',
    retryable: false,
  },
  'rollout-state': {
    raised: 'Raised when a rollout is not in a state that a call starts from.',
    retryable: false,
  },
  'rollout-unknown': {
    raised: 'Raised when no rollout has the number that was given.',
    retryable: false,
  },
  'schema-conflict': {
    raised: 'Raised when existing objects, rows or migrations prevent the creation of missing objects.',
    retryable: false,
  },
  'server-unreachable': {
    raised: 'Raised when no server listens at the address, or it did not answer in time.',
    retryable: true,
  },
  'server-unknown': {
    raised: 'Raised when a server is not in the configuration of this process.',
    retryable: false,
  },
  'sessions-remain': {
    raised: "Raised when sessions in a tenant's database did not end by the deadline.",
    retryable: true,
  },
  'tablespace-missing': { raised: 'Raised when a tablespace named in the options does not exist.', retryable: false },
  'template-in-use': {
    raised: 'Raised when a session is connected to the template of a copy.',
    retryable: true,
  },
  'template-missing': { raised: 'Raised when the template named in the options does not exist.', retryable: false },
  'tenant-behind': {
    raised:
      "Raised when a tenant's version comes before that of a process with `whenBehind` `'refuse'`, or `'update'` in vain.",
    retryable: true,
  },
  'tenant-conflict': {
    raised: "Raised when another tenant's context, or a fleet query, is entered inside a tenant's context.",
    retryable: false,
  },
  'tenant-exists': {
    raised: 'Raised when the id or database of a new tenant belongs to another one.',
    retryable: false,
  },
  'tenant-mismatch': {
    raised: 'Raised when parts of a request name different tenants, or a required one names none.',
    retryable: false,
  },
  'tenant-not-active': { raised: 'Raised when work is begun for a tenant that is not active.', retryable: false },
  'tenant-state': { raised: "Raised when a tenant's state does not allow the call.", retryable: false },
  'tenant-unknown': { raised: 'Raised when no tenant has this id.', retryable: false },
  'tenant-unresolved': { raised: 'Raised when no part of a request names a tenant.', retryable: false },
  timeout: {
    raised: 'Raised when a statement, or the work of a fleet query for one tenant, exceeded its time limit.',
    retryable: true,
  },
  'too-many-connections': {
    raised: 'Raised when the server, database or role had no connection left within the time limit.',
    retryable: true,
  },
  'unknown-host': { raised: "Raised when the server's host name could not be resolved.", retryable: false },
  'verification-failed': {
    raised: 'Raised when a created, adopted, accepted or restamped database does not match the models.',
    retryable: false,
  },
  'version-unknown': {
    raised: 'Raised when the catalog has no version of that number or fingerprint.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorKind>

/** A stable name for an error, to branch on; see docs/errors.md. */
export type ErrorCode = keyof typeof errorKinds
