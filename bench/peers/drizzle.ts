import { fileURLToPath } from 'node:url'
import { drizzle as drizzleOn } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import type { Client } from 'pg'
import { inParallel } from '../measure/parallel.ts'
import { userAccount } from '../models/drizzle.ts'
import type { Peer } from './contender.ts'
import { connect, Maintenance, urlOf } from './maintenance.ts'

/** The output of drizzle-kit for models/drizzle.ts; see bench/README.md. */
const migrationsFolder = fileURLToPath(new URL('../fixtures/drizzle', import.meta.url))

/** Drizzle makes no databases. Its migrator needs one connection, which then serves the service. */
export function drizzle(serverUrl: string, loopConcurrency: number): Peer {
  const maintenance = new Maintenance(serverUrl)
  const open: Client[] = []
  const databaseOf = (id: string) => `drizzle_${id}`

  async function migrated(database: string) {
    const client = await connect(urlOf(serverUrl, database))
    const db = drizzleOn(client)
    await migrate(db, { migrationsFolder })
    return { client, db }
  }

  async function newTenant(id: string) {
    const database = databaseOf(id)
    await maintenance.create(database)
    const { client, db } = await migrated(database)
    open.push(client)
    return db
  }

  return {
    name: 'Drizzle',
    acceptsOthersTables: false,
    databaseOf,
    newTenant: async (id) => void (await newTenant(id)),
    newTenantWithRow: async (id) => {
      const db = await newTenant(id)
      await db.insert(userAccount).values({ name: 'spongebob' })
    },
    start: async (databases) => {
      await maintenance.ensure(databases)
      await inParallel(databases, loopConcurrency, async (database) => {
        const { client } = await migrated(database)
        await client.end()
      })
    },
    settle: async () => void (await Promise.all(open.splice(0).map((client) => client.end()))),
    close: () => maintenance.close(),
  }
}
