import { time } from './alternation.ts'
import { rank, sorted } from './statistics.ts'

/** The result of a load. */
export interface Load {
  readonly requests: number
  readonly seconds: number
  /** The duration of each request that succeeded, in milliseconds. */
  readonly latencies: readonly number[]
  readonly errors: readonly unknown[]
}

/**
 * Runs a number of workers, each of which begins the next request as soon as its last one has ended: as much load as
 * they can make. They take from one queue, in its order. An endless queue stops when the load is to stop.
 *
 * @param pause a step of a worker before each request, which is not part of it
 */
export async function drive<T>(
  queue: Iterable<T>,
  workers: number,
  request: (item: T) => Promise<unknown>,
  pause?: () => Promise<void>,
): Promise<Load> {
  const latencies: number[] = []
  const errors: unknown[] = []
  const items = queue[Symbol.iterator]()
  const work = async () => {
    for (let next = items.next(); next.done !== true; next = items.next()) {
      const { value } = next
      await pause?.()
      try {
        latencies.push(await time(() => request(value)))
      } catch (error) {
        errors.push(error)
      }
    }
  }
  const milliseconds = await time(() => Promise.all(Array.from({ length: workers }, work)))
  return { requests: latencies.length + errors.length, seconds: milliseconds / 1_000, latencies, errors }
}

/** An endless queue, until it is stopped. */
export function* endless<T>(next: () => T, stop: AbortSignal): Generator<T> {
  while (!stop.aborted) yield next()
}

/** Returns the successful requests a second. */
export function throughput({ latencies, seconds }: Load): number {
  return latencies.length / seconds
}

/** The time within which 99 of 100 requests were done, in milliseconds. */
export function p99({ latencies }: Pick<Load, 'latencies'>): number {
  return rank(sorted(latencies), Math.ceil(latencies.length * 0.99))
}

/** @throws the first error of a load in which there must not be any */
export function requireNoErrors(load: Load): Load {
  const [first] = load.errors
  if (load.errors.length === 0) return load
  throw new Error(`${load.errors.length} of ${load.requests} requests failed.`, { cause: first })
}
