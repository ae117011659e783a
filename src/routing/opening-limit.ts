/** How much longer than alone an opening may take for the sake of those beside it. */
const tolerance = 2
/** How much of what is known of an undisturbed opening is forgotten with each one: servers change. */
const forgetting = 1.001
/** What any server can do at once, and what part of a budget may always be under way. */
const least = 4
const leastPart = 1 / 8

/**
 * How many connections are best opened at once: as many as do not make each take twice as long as one alone. Beyond that
 * the server is busy, and more at once would only hold more places, in which connections could be kept that are wanted
 * again. How many that is, is learnt from how long each takes: few where the processors are what is short, all where it is
 * the network that takes its time.
 */
export class OpeningLimit {
  #limit = least
  #alone = Infinity

  /** @param places how many connections there may be */
  among(places: number): number {
    return Math.min(places, Math.max(least, Math.ceil(places * leastPart), Math.floor(this.#limit)))
  }

  /** @param tookMs how long an opening took, in milliseconds */
  learn(tookMs: number, places: number): void {
    this.#alone = Math.min(this.#alone * forgetting, tookMs)
    const step = 1 / this.#limit
    const wanted = tookMs <= this.#alone * tolerance ? this.#limit + step : this.#limit - step
    this.#limit = Math.max(least, Math.min(places, wanted))
  }
}
