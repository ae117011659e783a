import { execFile } from 'node:child_process'
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { settled } from './attempts.ts'
import type { Answer, Opened } from './calls.ts'
import { Walker } from './load.ts'
import { type FaultContext, type Scenario, sum, type Tally } from './scenario.ts'
import { inFolder, MortalServer } from './servers.ts'
import { World } from './world.ts'

// A server of its own on a file system of its own, which fills up. Acknowledged data is kept, and everything continues
// once there is room again.

const rounds = { bounded: 1, full: 4 }
const size = '260m'
const mebibyte = 2 ** 20
/** Without room for the write-ahead log the server ends itself, and its clients lose their connections. */
const endings = ['connection-lost', 'server-unreachable']
const mostSteps = 40

const run = promisify(execFile)

export const fullDisk: Scenario = {
  name: 'full disk',
  run: (context) =>
    inFolder(async (folder) => {
      const place = join(folder, 'small')
      await mkdir(place)
      try {
        await run('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', place])
      } catch (error) {
        return { faults: 0, violations: [], skipped: `nothing can be mounted here: ${String(error)}` }
      }
      try {
        return await onSmallDisk(context, place)
      } finally {
        await run('umount', ['--lazy', place])
      }
    }),
}

async function onSmallDisk({ random, extent, isOver }: FaultContext, place: string): Promise<Tally> {
  const server = await MortalServer.start(place, { max_wal_size: '32MB', min_wal_size: '32MB', max_connections: 30 })
  const world = new World(server.url)
  const tallies: Tally[] = []
  const tenantry = await world.open()
  try {
    const walkers = Array.from({ length: 3 }, (_, number) => new Walker(world, `w${number}`, random))
    for (const walker of walkers) await walker.step(tenantry)
    for (let round = 1; round <= rounds[extent] && !isOver(); round++) {
      const free = random.between(0, 12)
      const answer = await runFull(place, free, tenantry, [...walkers, new Walker(world, `n${round}`, random)])
      await world.disconnect()
      await server.revive()
      const wrong = await recovered(world, answer, walkers)
      tallies.push({ faults: 1, violations: wrong.map((it) => `full disk, ${free} MB left: ${it}`) })
    }
  } finally {
    await tenantry.close()
    await world.disconnect()
    await server.stop()
  }
  return sum(tallies)
}

/** Leaves so many megabytes free, works until the disk is full, and frees it again. @returns the error */
async function runFull(place: string, freeMb: number, tenantry: Opened, walkers: readonly Walker[]) {
  const filler = join(place, 'filler')
  const { bavail, bsize } = await statfs(place)
  try {
    // The server writes as well: if that is faster, the disk is full all the same.
    await writeFile(filler, Buffer.alloc(Math.max(0, bavail * bsize - freeMb * mebibyte))).catch(() => undefined)
    for (let step = 0; step < mostSteps; step++) {
      const failure = await walkers[step % walkers.length]?.step(tenantry)
      if (failure !== undefined) return failure
    }
    return undefined
  } finally {
    await rm(filler, { force: true })
  }
}

/** True for class 53, insufficient resources; or for a statement that waited for a checkpoint without room. */
function isOfTheDisk({ sqlState, message }: Answer): boolean {
  return sqlState?.startsWith('53') === true || message?.includes('checkpoint request failed') === true
}

async function recovered(world: World, answer: Answer | undefined, walkers: readonly Walker[]): Promise<string[]> {
  const isHonest = answer === undefined || isOfTheDisk(answer) || endings.includes(answer.code ?? '')
  const wrong = isHonest ? [] : [`it said ${answer.code} (${answer.sqlState}): ${answer.message}`]
  return world.within(async (next) => {
    wrong.push(...(await settled(world, next)))
    for (const walker of walkers) {
      await walker.catchUp()
      const failure = await walker.step(next)
      if (failure !== undefined) wrong.push(`with room again, a call said ${failure.code}: ${failure.message}`)
    }
    return [...wrong, ...(await settled(world, next))]
  })
}
