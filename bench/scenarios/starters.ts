import type { EntityManager } from '@mikro-orm/postgresql'
import type { Tenantry } from 'tenantry'
import type { Counts } from '../counts.ts'
import { time } from '../measure/alternation.ts'
import { inParallel } from '../measure/parallel.ts'
import { allPeers } from '../peers/all.ts'
import type { Peer } from '../peers/contender.ts'
import { connect } from '../peers/maintenance.ts'
import { installation, open } from '../peers/tenantry.ts'
import { bareClone } from './template.ts'

/** A service that starts up; a turn returns its samples in milliseconds. */
export interface Starter {
  readonly name: string
  readonly turn: () => Promise<readonly number[]>
}

/** Opening is quick beside the loops, so there is time to do it more often. */
const opensEachTurn = 5
const pageSize = 1_000

/** Makes so many tenants, and the peers' further needs beside their databases. */
export async function prepareStarters(url: string, counts: Counts, size: number) {
  const options = { spares: 0, concurrency: counts.concurrency }
  const databases = await makeTenants(url, options, size)
  const peers = allPeers(url, counts.loopConcurrency)
  const starters: Starter[] = [
    { name: 'Tenantry', turn: () => repeated(() => openOnce(url, options, async () => undefined)) },
    { name: 'Tenantry, and all tenants listed', turn: () => repeated(() => openOnce(url, options, listAll)) },
  ]
  for (const peer of peers) {
    const own = peer.acceptsOthersTables ? databases : await makeOwn(url, peer, Math.min(size, counts.ownDatabases))
    starters.push({
      name: peer.name,
      turn: async () => [((await time(() => peer.start(own))) * size) / own.length],
    })
  }
  return { starters, close: async () => void (await Promise.all(peers.map((peer) => peer.close()))) }
}

type OpenOptions = Parameters<typeof open>[1]

async function makeTenants(url: string, options: OpenOptions, size: number): Promise<readonly string[]> {
  await using tenantry = await open(url, options)
  const ids = Array.from({ length: size }, (_, place) => `t${place}`)
  await inParallel(ids, options.concurrency, (id) => tenantry.onboard(id))
  return ids.map((id) => `${installation}_t_${id}`)
}

/** Databases as this peer makes them: one that it makes itself, and copies of that. */
async function makeOwn(url: string, peer: Peer, size: number): Promise<readonly string[]> {
  await peer.newTenant('source')
  await peer.settle()
  const databases = Array.from({ length: size }, (_, place) => peer.databaseOf(`s${place}`))
  const admin = await connect(url)
  try {
    for (const database of databases) await bareClone(admin, database, peer.databaseOf('source'))
  } finally {
    await admin.end()
  }
  return databases
}

async function repeated(sample: () => Promise<number>): Promise<readonly number[]> {
  const samples: number[] = []
  for (let count = 0; count < opensEachTurn; count++) samples.push(await sample())
  return samples
}

/** Opens a service until it can route work to every tenant, including its other work then; closing is not timed. */
async function openOnce(
  url: string,
  options: OpenOptions,
  andThen: (tenantry: Tenantry<EntityManager>) => Promise<void>,
): Promise<number> {
  const begin = performance.now()
  await using tenantry = await open(url, options)
  await andThen(tenantry)
  return performance.now() - begin
}

/** Reads every tenant, page by page, as a service that wants to know them all. */
async function listAll(tenantry: Tenantry<EntityManager>): Promise<void> {
  let page = await tenantry.tenants.list({ limit: pageSize })
  for (let last = page.at(-1); page.length === pageSize && last !== undefined; last = page.at(-1)) {
    page = await tenantry.tenants.list({ limit: pageSize, after: last.id })
  }
}
