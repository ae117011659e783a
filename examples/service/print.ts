/** Prints the output of the example: headings, and a line for each step with its result and its duration. */

export function heading(text: string): void {
  console.log(`\n${text}`)
}

export function line(text: string): void {
  console.log(`  ${text}`)
}

export async function step<T>(what: string, work: () => Promise<T>, say: (result: T) => string): Promise<T> {
  const start = performance.now()
  const result = await work()
  const took = `${(performance.now() - start).toFixed(0)} ms`
  line(`${took.padStart(7)}  ${what}: ${say(result)}`)
  return result
}
