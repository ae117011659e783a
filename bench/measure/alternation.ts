/** How long something took, in milliseconds. */
export async function time(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}

/**
 * Gives every contender its turn, round after round, so that whatever else the machine does meets all alike. Each round
 * begins with the next one, so that nobody always follows the same.
 *
 * @param warmUp how many rounds are run first and not counted
 * @param turn gives the samples of one turn
 * @returns the samples of each contender, in the order of the contenders
 */
export async function inAlternation<T, Sample = number>(
  contenders: readonly T[],
  rounds: { readonly warmUp: number; readonly counted: number },
  turn: (contender: T, round: number) => Promise<readonly Sample[]>,
): Promise<ReadonlyMap<T, readonly Sample[]>> {
  const samples = new Map<T, Sample[]>(contenders.map((contender) => [contender, []]))
  for (let round = 0; round < rounds.warmUp + rounds.counted; round++) {
    for (const contender of rotated(contenders, round)) {
      const taken = await turn(contender, round)
      if (round >= rounds.warmUp) samples.get(contender)?.push(...taken)
    }
  }
  return samples
}

function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const start = by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}
