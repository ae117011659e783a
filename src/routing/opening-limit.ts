/** The longest acceptable opening, as a multiple of an undisturbed one. */
const tolerance = 2
/** The factor by which the best time grows with each opening: servers change. */
const forgetting = 1.001
/** The number of openings at once that any server can do, and the part of a budget that may always be opening. */
const least = 4
const leastPart = 1 / 8

/**
 * A limit on the connections that are opened at once: the largest number at which each takes less than twice the time of
 * a single one. Beyond that the server is busy, and more openings would only occupy places that could keep idle connections for
 * reuse. The limit is learnt from the duration of each opening: it becomes low if processors are the bottleneck, and
 * includes all if it is the network.
 */
export class OpeningLimit {
  #limit = least
  #alone = Infinity

  /** @param places the number of connections that there may be */
  among(places: number): number {
    return Math.min(places, Math.max(least, Math.ceil(places * leastPart), Math.floor(this.#limit)))
  }

  /** @param tookMs the duration of an opening, in milliseconds */
  learn(tookMs: number, places: number): void {
    this.#alone = Math.min(this.#alone * forgetting, tookMs)
    const step = 1 / this.#limit
    const wanted = tookMs <= this.#alone * tolerance ? this.#limit + step : this.#limit - step
    this.#limit = Math.max(least, Math.min(places, wanted))
  }
}
