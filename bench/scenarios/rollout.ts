import { defineEntity, p } from '@mikro-orm/core'
import { MikroORM } from '@mikro-orm/postgresql'
import { escapeIdentifier, type Client } from 'pg'
import { handlesOver, type Models, openTenantry, type RolloutPlan, type Tenantry } from 'tenantry'
import { pgPool, postgres } from 'tenantry/postgres'
import type { Counts } from '../counts.ts'
import { time } from '../measure/alternation.ts'
import { inParallel } from '../measure/parallel.ts'
import { median } from '../measure/statistics.ts'
import { connect, urlOf } from '../peers/maintenance.ts'
import { installation } from '../peers/tenantry.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'

const atOnce = 4
/** Of the serial loop, which takes long. */
const serialPart = 10

export const rollout: Scenario = {
  number: 13,
  title: 'A column more in every tenant',
  run: async (counts) => {
    const taken = await onServer((url) => measure(url, counts))
    const of = (name: string) => taken.get(name) ?? Number.NaN
    return {
      columns: [
        { title: `${counts.rolled.toLocaleString('en')} tenants`, unit: 'ms' },
        { title: 'a tenant', unit: 'ms' },
      ],
      rows: [...taken].map(([name, ms]) => ({ name, values: [ms, ms / counts.rolled] })),
      targets: [
        target('the time of the bare loop', 'at most', 2, of(rolled) / of(bare)),
        target("faster than MikroORM's serial loop", 'at least', 4, of(serial) / of(rolled)),
        target('a preflight, to a loop that connects and counts', 'at most', 2, of(counted) / of(counting)),
        target('nothing to do, to `select 1`', 'at most', 50, of(idle) / of(one)),
      ],
      notes: [
        `All but the serial loop work on ${atOnce} databases at once. Tenantry compares each structure before its commit; the loops do not.`,
        `The serial loop is measured with a tenth of the databases, and multiplied.`,
      ],
    }
  },
}

function target(what: string, sense: 'at least' | 'at most', wanted: number, measured: number) {
  return { what, sense, wanted, measured, unit: 'times' } as const
}

const rolled = 'Tenantry, rollouts.start()'
const bare = 'connect, ALTER TABLE, COMMENT, disconnect'
const serial = "MikroORM's schema update, one after the other"
const counted = 'Tenantry, rollouts.preflight()'
const counting = 'connect, count, disconnect'
const idle = 'Tenantry, a plan with nothing to do'
const one = 'select 1'

/** The table of a version, with a column for each before it. */
function table(version: number): string {
  const added = Array.from({ length: version }, (_, place) => `, c${place + 1} int default 0`)
  return `create table item (id int primary key, name text not null${added.join('')})`
}

function modelsOf(version: number, more: readonly string[] = []): Models<unknown> {
  const statements = [table(version), ...more]
  return {
    schema: {
      defaultSchema: 'public',
      fingerprint: async () => JSON.stringify(statements),
      create: (session) => session.script(statements),
    },
    handles: handlesOver(pgPool),
  }
}

function open(url: string, models: Models<unknown>): Promise<Tenantry<unknown>> {
  return openTenantry({ models, servers: [postgres({ url })], installation, limits: { concurrency: atOnce } })
}

async function measure(url: string, counts: Counts): Promise<ReadonlyMap<string, number>> {
  const databases = Array.from({ length: counts.rolled }, (_, place) => `loop_${place}`)
  await prepare(url, databases)
  const admin = await connect(url)
  // A version that has a key more: it is planned and counted, and never carried out.
  const checking = async (version: number): Promise<[Tenantry<unknown>, RolloutPlan]> => {
    const tenantry = await open(url, modelsOf(version, ['alter table item add check (id > 0)']))
    return [tenantry, await tenantry.rollouts.plan()]
  }
  const contenders: Readonly<Record<string, (version: number) => Promise<number>>> = {
    [rolled]: async (version) => {
      await using tenantry = await open(url, modelsOf(version))
      const plan = await tenantry.rollouts.plan()
      return await time(async () => {
        const { changed, failures } = await tenantry.rollouts.start(plan, { concurrency: atOnce })
        if (changed !== counts.rolled) throw failures[0]?.error ?? new Error(`${changed} tenants were changed.`)
      })
    },
    [idle]: async (version) => {
      await using tenantry = await open(url, modelsOf(version))
      return await time(() => tenantry.rollouts.plan())
    },
    [one]: () => time(() => admin.query('select 1')),
    [bare]: (version) => time(() => onEach(url, databases, (client, database) => alter(client, database, version))),
    [serial]: async (version) => {
      const some = databases.slice(0, Math.ceil(databases.length / serialPart))
      const Item = itemOf(version)
      const update = async (dbName: string) => {
        const orm = new MikroORM({ entities: [Item], clientUrl: url, dbName })
        await orm.schema.update({ safe: true })
        await orm.close()
      }
      const taken = await time(() => inParallel(some, 1, update))
      return (taken * databases.length) / some.length
    },
    [counted]: async (version) => {
      const [tenantry, plan] = await checking(version)
      try {
        return await time(() => tenantry.rollouts.preflight(plan, { concurrency: atOnce }))
      } finally {
        await tenantry.close()
      }
    },
    [counting]: () => time(() => onEach(url, databases, (client) => client.query('select count(*) from item'))),
  }
  try {
    return await inTurns(contenders, counts.rolloutRounds)
  } finally {
    await admin.end()
  }
}

/** Returns the median of each contender. They keep their order: each version is rolled out before it is looked at. */
async function inTurns(
  contenders: Readonly<Record<string, (version: number) => Promise<number>>>,
  rounds: number,
): Promise<ReadonlyMap<string, number>> {
  const samples = new Map<string, readonly number[]>()
  // The first is not counted.
  for (let version = 1; version <= rounds + 1; version++) {
    for (const [name, turn] of Object.entries(contenders)) {
      const taken = await turn(version)
      if (version > 1) samples.set(name, [...(samples.get(name) ?? []), taken])
    }
  }
  return new Map([...samples].map(([name, taken]) => [name, median(taken)]))
}

async function prepare(url: string, databases: readonly string[]): Promise<void> {
  await using tenantry = await open(url, modelsOf(0))
  await inParallel(databases, atOnce, (name) => tenantry.onboard(name.replace('_', '-')))
  const admin = await connect(url)
  for (const database of databases) await admin.query(`create database ${escapeIdentifier(database)}`)
  await admin.end()
  await onEach(url, databases, (client) => client.query(table(0)))
}

/** Works in each database, on a connection of its own, a few at once. */
function onEach(
  url: string,
  databases: readonly string[],
  work: (client: Client, database: string) => Promise<unknown>,
): Promise<void> {
  return inParallel(databases, atOnce, async (database) => {
    const client = await connect(urlOf(url, database))
    await work(client, database)
    await client.end()
  })
}

async function alter(client: Client, database: string, version: number): Promise<void> {
  await client.query(`alter table item add column c${version} int default 0`)
  await client.query(`comment on database ${escapeIdentifier(database)} is '${version}'`)
}

/** An entity with a column more than the database has: of a name that the bare loop does not use. */
function itemOf(version: number) {
  const added = Array.from({ length: version }, (_, place) => [`o${place + 1}`, p.integer().default(0)] as const)
  return defineEntity({
    name: 'Item',
    properties: { id: p.integer().primary(), name: p.text(), ...Object.fromEntries(added) },
  })
}
