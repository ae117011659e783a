import { type Client, escapeIdentifier } from 'pg'
import type { EntityManager } from '@mikro-orm/postgresql'
import type { Tenantry } from 'tenantry'
import type { Counts } from '../counts.ts'
import { inAlternation, time } from '../measure/alternation.ts'
import { inParallel } from '../measure/parallel.ts'
import { summarise } from '../measure/statistics.ts'
import { connect } from '../peers/maintenance.ts'
import { sparesReady } from '../peers/spares.ts'
import { open } from '../peers/tenantry.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'
import { bareClone, findTemplate } from './template.ts'

export const burst: Scenario = {
  number: 4,
  title: 'A burst of new tenants, against bare cloning by as many sessions',
  run: async (counts) => {
    const { tenantry, bare } = await onServer((url) => measure(url, counts))
    const rows = [
      { name: 'Tenantry', ...tenantry },
      { name: 'bare CREATE DATABASE', ...bare },
    ]
    return {
      columns: [
        { title: `${counts.burst} at once, median`, unit: 'ms' },
        { title: 'rate', unit: 'per second' },
        { title: 'to bare', unit: 'times' },
        { title: 'rounds', unit: 'count' },
      ],
      rows: rows.map(({ name, median, samples }) => ({
        name,
        values: [median, (counts.burst * 1_000) / median, median / bare.median, samples],
      })),
      targets: [
        {
          what: 'the time of bare cloning',
          sense: 'at most',
          wanted: 1.15,
          measured: tenantry.median / bare.median,
          unit: 'times',
        },
      ],
      notes: [
        `${counts.spares} spares are there when a burst begins; ${counts.concurrency} sessions clone beside each other.`,
      ],
    }
  },
}

async function measure(url: string, counts: Counts) {
  const { spares, concurrency, burst: size, burstRounds } = counts
  const tenantry = await open(url, { spares, concurrency })
  const sessions = await Promise.all(Array.from({ length: concurrency }, () => connect(url)))
  const admin = await connect(url)
  try {
    const template = await findTemplate(tenantry, admin)
    const onboarding = { run: (ids: readonly string[]) => onboardAll(tenantry, ids) }
    const cloning = { run: (ids: readonly string[]) => cloneAll(sessions, ids, template) }
    const samples = await inAlternation(
      [onboarding, cloning],
      { warmUp: 0, counted: burstRounds },
      async (side, round) => {
        await sparesReady(tenantry)
        const ids = Array.from({ length: size }, (_, place) => `b${round}x${place}`)
        // Pending writes of the round before do not belong to this one.
        await admin.query('checkpoint')
        const taken = await time(() => side.run(ids))
        await sparesReady(tenantry)
        await dropRound(admin, round)
        return [taken]
      },
    )
    return { tenantry: summarise(samples.get(onboarding) ?? []), bare: summarise(samples.get(cloning) ?? []) }
  } finally {
    for (const client of [...sessions, admin]) await client.end()
    await tenantry.close()
  }
}

async function onboardAll(tenantry: Tenantry<EntityManager>, ids: readonly string[]): Promise<void> {
  await Promise.all(ids.map((id) => tenantry.onboard(id)))
}

/** Each session takes the next one as soon as it is done with its own. */
async function cloneAll(sessions: readonly Client[], ids: readonly string[], template: string): Promise<void> {
  const free = [...sessions]
  await inParallel(ids, sessions.length, async (id) => {
    const session = free.pop()
    if (session === undefined) throw new Error('There are as many sessions as workers.')
    await bareClone(session, `bare_${id}`, template)
    free.push(session)
  })
}

/** Drops a round's databases, so that the next finds the disk as it was. Their tenants stay in the catalog, unused. */
async function dropRound(admin: Client, round: number): Promise<void> {
  const { rows } = await admin.query<{ datname: string }>('select datname from pg_database where datname ~ $1', [
    `_b${round}x[0-9]+$`,
  ])
  for (const { datname } of rows) await admin.query(`drop database ${escapeIdentifier(datname)} with (force)`)
}
