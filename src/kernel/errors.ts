import { type ErrorCode, errorKinds } from './error-kinds.ts'
import { bounded, printableLines } from './printable.ts'

export type { ErrorCode } from './error-kinds.ts'

/**
 * The reason for which a server refused something, the same for every kind of server. Only this package branches on it:
 * a name or an object that was to be made exists, an object is missing, others stand in the way, others changed the same
 * at once, or a resource is used up.
 */
export type FailureKind =
  | 'name-taken'
  | 'duplicate'
  | 'missing-database'
  | 'missing-schema'
  | 'missing-table'
  | 'missing-column'
  | 'missing-object'
  | 'conflict'
  | 'in-use'
  | 'race'
  | 'exhausted'
  | 'queue-full'

const failures = new WeakMap<TenantryError, FailureKind>()

/** True if a server refused something for one of these reasons. */
export function hasFailure(error: unknown, ...kinds: readonly FailureKind[]): error is TenantryError {
  return error instanceof TenantryError && kinds.includes(failures.get(error) as FailureKind)
}

/** The place of the statement that failed, of those that ran together. */
export interface FailedStatement {
  /** The number of the text it is in, from 0. */
  readonly index: number
  /** Its line in that text, from 1. */
  readonly line: number
  /** The text from there on. */
  readonly text: string
}

const failedStatements = new WeakMap<TenantryError, () => Promise<FailedStatement | undefined>>()

/** Lets {@link failedStatement} find the statement that failed. */
export function setFailedStatement(error: TenantryError, find: () => Promise<FailedStatement | undefined>): void {
  failedStatements.set(error, find)
}

/** Finds the statement that failed, if the edge to the server knows it. */
export async function failedStatement(error: TenantryError): Promise<FailedStatement | undefined> {
  return failedStatements.get(error)?.()
}

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
  /** The server's reason, if the edge to it knows one. */
  readonly failure?: FailureKind | undefined
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
    super(printableLines(bounded(message)), details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.retryable = details.retryable ?? errorKinds[code].retryable
    this.hint = details.hint === undefined ? undefined : printableLines(bounded(details.hint))
    this.tenant = details.tenant
    this.tenantState = details.tenantState
    this.sqlState = details.sqlState
    if (details.failure !== undefined) failures.set(this, details.failure)
  }

  /** Returns the same error for a tenant. */
  forTenant(tenant: string): TenantryError {
    const { code, message, hint, tenantState, retryable } = this
    const error = explained(this, code, message, { hint, tenantState, retryable, tenant })
    if (this.stack !== undefined) error.stack = this.stack
    return error
  }
}

/** Returns an error for the place where another one has arrived, with the same cause. */
export function explained(
  origin: TenantryError,
  code: ErrorCode,
  message: string,
  details: Pick<ErrorDetails, 'hint' | 'tenant' | 'tenantState' | 'retryable'>,
): TenantryError {
  const { cause, sqlState } = origin
  return new TenantryError(code, message, { ...details, cause, sqlState, failure: failures.get(origin) })
}

/** True if an error is Tenantry's own with one of these codes. */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is TenantryError {
  return error instanceof TenantryError && codes.includes(error.code)
}

/** Returns the message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
