import type { Client } from 'pg'
import { inParallel } from '../measure/parallel.ts'
import type { Peer } from './contender.ts'
import { connect, Maintenance, urlOf } from './maintenance.ts'

/** One string, so one round trip, which the server runs as one transaction. */
const createTables = `
  create table user_account (
    id serial primary key, name varchar(255) not null, fullname varchar(255)
  );
  create table address (
    id serial primary key, email_address varchar(255) not null, user_id int not null references user_account
  )`

const ensureTables = createTables.replaceAll('create table', 'create table if not exists')

/** By hand: the driver and nothing else. There is no faster way to send these statements. */
export function plainPg(serverUrl: string, loopConcurrency: number): Peer {
  const maintenance = new Maintenance(serverUrl)
  const open: Client[] = []
  const databaseOf = (id: string) => `pg_${id}`

  async function newTenant(id: string): Promise<Client> {
    const database = databaseOf(id)
    await maintenance.create(database)
    const client = await connect(urlOf(serverUrl, database))
    open.push(client)
    await client.query(createTables)
    return client
  }

  return {
    name: 'pg by hand',
    acceptsOthersTables: true,
    databaseOf,
    newTenant: async (id) => void (await newTenant(id)),
    newTenantWithRow: async (id) => {
      const client = await newTenant(id)
      await client.query('insert into user_account (name) values ($1)', ['spongebob'])
    },
    start: async (databases) => {
      await maintenance.ensure(databases)
      await inParallel(databases, loopConcurrency, async (database) => {
        const client = await connect(urlOf(serverUrl, database))
        await client.query(ensureTables)
        await client.end()
      })
    },
    settle: async () => void (await Promise.all(open.splice(0).map((client) => client.end()))),
    close: () => maintenance.close(),
  }
}
