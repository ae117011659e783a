import type { ErrorCode, TenantryError } from '../kernel/errors.ts'
import { printableLines } from '../kernel/printable.ts'

/** An error of Tenantry's that was answered with a status of 500 or above. No field holds a secret. */
export interface AnsweredFailure {
  readonly status: number
  readonly code: ErrorCode
  /** The tenant of the error, or else of the request. */
  readonly tenant: string | undefined
  readonly hint: string | undefined
  /** The error itself, under the name by which pino knows errors. */
  readonly err: TenantryError
}

/** Logs an error that was answered with a status of 500 or above. */
export type LogFailure<Request> = (failure: AnsweredFailure, request: Request) => void

/** Logs to standard error, for frameworks that have no logger. */
export function logToConsole(failure: AnsweredFailure): void {
  // oxlint-disable-next-line no-console -- Express and Hono report errors there as well
  console.error(`${sentence(failure)}\n${details(failure)}`)
}

/** Returns one line for a log: status, tenant and code. */
export function sentence({ status, tenant, code }: AnsweredFailure): string {
  const whose = tenant === undefined ? 'A request' : `A request of the tenant ${tenant}`
  return `${whose} was answered with ${status}: ${code}.`
}

/**
 * Returns the hint, and the stacks of the error and its causes. Causes are shown by their stacks alone: an error of a
 * driver may have properties that should not be in a log.
 */
export function details({ hint, err }: AnsweredFailure): string {
  const stacks: string[] = []
  for (let it: unknown = err; it instanceof Error && stacks.length < mostCauses; it = it.cause) {
    stacks.push(it.stack ?? `${it.name}: ${it.message}`)
  }
  return printableLines([...(hint === undefined ? [] : [`Hint: ${hint}`]), stacks.join('\nCaused by: ')].join('\n'))
}

const mostCauses = 5
