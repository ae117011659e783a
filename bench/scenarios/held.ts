/**
 * Returns the memory of the process, in bytes: heap and external memory. It has to run with --expose-gc. Collected more
 * than once, since objects that a finaliser releases are only then free.
 */
export function held(): number {
  for (let pass = 0; pass < 4; pass++) globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
