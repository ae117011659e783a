import { runner } from 'node-pg-migrate'
import { Client } from 'pg'
import { serverUrl } from '../../support/server.ts'

/** Runs node-pg-migrate on a database, and returns what it applied. */
export async function nodePgMigrate(database: string, dir: string): Promise<string[]> {
  const dbClient = new Client({ connectionString: serverUrl({ database }) })
  await dbClient.connect()
  try {
    const options = { direction: 'up', migrationsTable: 'pgmigrations', singleTransaction: true } as const
    return (await runner({ ...options, dbClient, dir, log: () => undefined })).map(({ name }) => name)
  } finally {
    await dbClient.end()
  }
}
