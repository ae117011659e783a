import { time } from './alternation.ts'
import { rank, sorted } from './statistics.ts'

/** What came of a load. */
export interface Load {
  readonly requests: number
  readonly seconds: number
  /** How long each request that succeeded took, in milliseconds. */
  readonly latencies: readonly number[]
  readonly errors: readonly unknown[]
}

/**
 * So many workers, each of which begins the next request as soon as its last one has ended: as much load as they can make.
 * They take from one queue, in its order. It may be one without an end, which stops giving when the load is to stop.
 *
 * @param pause what a worker does before each request, which is not part of it
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

/** A queue without an end, until it is told to stop. */
export function* endless<T>(next: () => T, stop: AbortSignal): Generator<T> {
  while (!stop.aborted) yield next()
}

/** Requests a second, of those that succeeded. */
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
