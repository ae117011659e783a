import type { TenantryError } from '../kernel/errors.ts'

/** The exit codes of the process. docs/commands/exit-codes.md explains each. */
export const exitCodes = {
  done: 0,
  /** `check` found a difference, or something failed for another reason than those below. */
  failed: 1,
  /** The words, the configuration or a name cannot be understood; nothing was touched. */
  misused: 2,
  /** The tenant is unknown, exists, or is in a state that does not allow it. */
  refused: 3,
  /** The same command may succeed later. */
  retryable: 4,
  /** A privilege is missing, or the server does not accept the role. */
  denied: 5,
  /** Ended by Ctrl-C. */
  interrupted: 130,
} as const

/** One of {@link exitCodes}, or the exit code of a command that `exec` ran. */
export type ExitCode = number

const misuses: ReadonlySet<string> = new Set([
  'config-exists',
  'config-missing',
  'config-unreadable',
  'invalid-domain',
  'invalid-name',
  'invalid-option',
  'invalid-tenant-id',
  'invalid-url',
  'not-confirmed',
])
const refusals: ReadonlySet<string> = new Set([
  'domain-taken',
  'domain-unknown',
  'version-unknown',
  'foreign-database',
  'no-open-server',
  'not-desired',
  'plan-refused',
  'rollout-open',
  'rollout-state',
  'rollout-unknown',
  'server-unknown',
  'tenant-exists',
  'tenant-not-active',
  'tenant-state',
  'tenant-unknown',
])
const denials: ReadonlySet<string> = new Set(['authentication-failed', 'permission-denied'])

/** Returns the exit code of an error. */
export function exitCodeOf({ code, retryable }: TenantryError): ExitCode {
  if (code === 'aborted') return exitCodes.interrupted
  if (misuses.has(code)) return exitCodes.misused
  if (refusals.has(code)) return exitCodes.refused
  if (denials.has(code)) return exitCodes.denied
  return retryable ? exitCodes.retryable : exitCodes.failed
}
