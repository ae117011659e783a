import { setTimeout as sleep } from 'node:timers/promises'
import { TenantryError } from './errors.ts'

/** Options that every call takes. */
export interface Cancellable {
  /** Ends the call with the error code `aborted`, and cancels its statement on the server. */
  readonly signal?: AbortSignal | undefined
}

/** Returns the error of an aborted call; the signal's reason becomes its cause. */
export function abortedError(signal: AbortSignal): TenantryError {
  return new TenantryError('aborted', 'The call was cancelled by its AbortSignal.', { cause: signal.reason })
}

/** Throws `aborted` if the signal is already aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal)
}

/**
 * True if an error, or one that it wraps, results from the end of work by this signal.
 *
 * @param isCancellation true for the error of a cancelled statement
 */
export function isAbortion(
  error: unknown,
  signal: AbortSignal | undefined,
  isCancellation: (error: Error) => boolean,
): boolean {
  if (signal?.aborted !== true) return false
  for (let it: unknown = error, depth = 0; it instanceof Error && depth < 4; depth++) {
    if (it === signal.reason || it.name === 'AbortError' || isCancellation(it)) return true
    it = it.cause ?? ('previous' in it ? it.previous : undefined)
  }
  return false
}

/**
 * Returns the result of `work`, or throws `aborted` as soon as the signal is aborted; the work itself continues to its
 * own end.
 */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  const { promise, reject } = Promise.withResolvers<never>()
  const giveUp = () => reject(abortedError(signal))
  signal.addEventListener('abort', giveUp, { once: true })
  if (signal.aborted) giveUp()
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

/**
 * Calls `attempt` until it returns something other than `undefined`, pausing a little longer each time. For conditions
 * of which the server cannot notify (an advisory lock that must not be waited for in the server).
 *
 * @param limitMs the longest time to go on, in milliseconds
 * @returns the value, or `undefined` once the limit has passed
 */
export async function poll<T>(
  attempt: () => Promise<T | undefined>,
  limitMs: number,
  signal: AbortSignal | undefined,
): Promise<T | undefined> {
  const deadline = Date.now() + limitMs
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 2, 100)) {
    throwIfAborted(signal)
    const value = await attempt()
    if (value !== undefined) return value
    const left = deadline - Date.now()
    if (left <= 0) return undefined
    await pause(Math.min(left, pauseMs * (0.5 + Math.random())), signal)
  }
}

/** Waits for a number of milliseconds. @throws `aborted` if the signal comes first */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
  } catch (error) {
    if (signal?.aborted) throw abortedError(signal)
    throw error
  }
}

/**
 * Waits for `work`, but no longer than a number of milliseconds; then the work continues to its own end, and its errors
 * are ignored.
 */
export async function inTime(work: Promise<unknown>, limitMs: number): Promise<void> {
  const limit = Promise.withResolvers<void>()
  const timer = setTimeout(limit.resolve, limitMs)
  try {
    await Promise.race([work, limit.promise])
  } finally {
    clearTimeout(timer)
  }
}
