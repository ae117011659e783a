import { MikroORM } from '@mikro-orm/postgresql'
import { ensureDatabase, ensureTables } from 'tenantry'
import { mikroOrm, type MikroOrmModelsOptions } from 'tenantry/mikro-orm'
import { inAlternation, time } from '../measure/alternation.ts'
import { median } from '../measure/statistics.ts'
import { Address, User } from '../models/mikro-orm.ts'
import { fiftyTables } from '../models/fifty-tables.ts'
import { connect, urlOf } from '../peers/maintenance.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'

type Entities = MikroOrmModelsOptions['entities']

export const oneDatabase: Scenario = {
  number: 12,
  title: 'The start of a service with one database, whose tables are all there already',
  run: async ({ rounds }) => {
    const two = await onServer((url) => measure(url, [User, Address], rounds))
    const fifty = await onServer((url) => measure(url, fiftyTables(), rounds))
    const timeOf = (name: string) => fifty.get(name) ?? Number.NaN
    return {
      columns: [
        { title: '2 tables', unit: 'ms' },
        { title: '50 tables', unit: 'ms' },
      ],
      rows: [...two].map(([name, taken]) => ({ name, values: [taken, fifty.get(name)] })),
      targets: [
        {
          what: "the time of MikroORM's comparison, with 50 tables",
          sense: 'at most',
          wanted: 1,
          measured: timeOf(later) / timeOf(peer),
          unit: 'times',
        },
        {
          what: 'the first start on a database with 50 tables',
          sense: 'at most',
          wanted: 1_000,
          measured: timeOf(first),
          unit: 'ms',
        },
      ],
      notes: [
        'The entities are discovered in each turn, as a process does that starts.',
        'The first start builds the tables in scratch schemas, which are rolled back, and remembers what they look like.',
      ],
    }
  },
}

const later = 'Tenantry, ensureTables()'
const first = 'Tenantry, ensureTables(), the first start'
const peer = "MikroORM's comparison (getUpdateSchemaSQL)"

/** The medians of the starts, in milliseconds. */
async function measure(url: string, entities: Entities, rounds: number): Promise<ReadonlyMap<string, number>> {
  const database = urlOf(url, 'service')
  await ensureDatabase(database)
  await ensureTables(database, mikroOrm({ entities }))
  const client = await connect(database)
  const start = async (): Promise<void> => {
    const { created, differing } = await ensureTables(database, mikroOrm({ entities }))
    if (created.length + differing.length > 0) throw new Error('The tables are not as they were made.')
  }
  const contenders = [
    { name: later, prepare: async () => undefined, start },
    { name: first, prepare: () => client.query('drop schema tenantry_structure'), start },
    {
      name: peer,
      prepare: async () => undefined,
      start: async () => {
        const orm = new MikroORM({ entities, clientUrl: database })
        await orm.schema.getUpdateSchemaSQL()
        await orm.close()
      },
    },
  ]
  try {
    const samples = await inAlternation(contenders, { warmUp: 1, counted: rounds }, async (contender) => {
      await contender.prepare()
      return [await time(contender.start)]
    })
    return new Map([...samples].map(([{ name }, taken]) => [name, median(taken)]))
  } finally {
    await client.end()
  }
}
