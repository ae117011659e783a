/** Returns the duration of work, in milliseconds. */
export async function time(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}

/**
 * Gives every contender its turn, round after round, so that other load on the machine meets all alike. Each pair of
 * rounds begins with the next one, and every other round goes backwards: no contender always follows the same one,
 * whose garbage it would collect.
 *
 * @param warmUp the number of rounds that are run first and not counted
 * @param turn returns the samples of one turn
 * @returns the samples of each contender, in the order of the contenders
 */
export async function inAlternation<T, Sample = number>(
  contenders: readonly T[],
  rounds: { readonly warmUp: number; readonly counted: number },
  turn: (contender: T, round: number) => Promise<readonly Sample[]>,
): Promise<ReadonlyMap<T, readonly Sample[]>> {
  const samples = new Map<T, Sample[]>(contenders.map((contender) => [contender, []]))
  for (let round = 0; round < rounds.warmUp + rounds.counted; round++) {
    for (const contender of orderOf(contenders, round)) {
      const taken = await turn(contender, round)
      if (round >= rounds.warmUp) samples.get(contender)?.push(...taken)
    }
  }
  return samples
}

function orderOf<T>(items: readonly T[], round: number): readonly T[] {
  const start = Math.floor(round / 2) % items.length
  const rotated = [...items.slice(start), ...items.slice(0, start)]
  return round % 2 === 0 ? rotated : rotated.toReversed()
}
