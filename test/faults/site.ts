import { warmed } from './attempts.ts'
import type { Opened, Opening } from './calls.ts'
import { FaultProxy } from './fault-proxy.ts'
import type { VerbCase } from './verb-cases.ts'
import { World } from './world.ts'

/** The place of the faults of a verb. */
export interface Site {
  readonly verb: VerbCase
  readonly world: World
  /** Between the process under test and the server. */
  readonly proxy: FaultProxy
  /** Another process, which does not connect through the proxy. */
  readonly other: Opened
}

/**
 * Runs `work` in an installation of its own in which the verb was done once; nothing of it stays.
 *
 * @param opening the options of the other process
 */
export async function atSite<T>(
  url: string,
  verb: VerbCase,
  work: (site: Site) => Promise<T>,
  opening: Partial<Opening> = {},
): Promise<T> {
  const proxy = await FaultProxy.start(url)
  try {
    const world = new World(url, verb.servers, verb.opening)
    const other = await world.open(opening)
    try {
      await warmed(verb, world, other)
      return await work({ verb, world, proxy, other })
    } finally {
      await other.close()
      proxy.cut()
      await world.drop()
    }
  } finally {
    await proxy.close()
  }
}
