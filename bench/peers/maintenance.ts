import { Client, escapeIdentifier } from 'pg'

/** A connection kept for CREATE DATABASE, which none of the peers has to open anew for each tenant. */
export class Maintenance {
  readonly #url: string
  #client: Promise<Client> | undefined

  constructor(url: string) {
    this.#url = url
  }

  async create(database: string): Promise<void> {
    await (await this.#connected()).query(`create database ${escapeIdentifier(database)}`)
  }

  /** Makes the missing ones of those databases. One query finds them all. */
  async ensure(databases: readonly string[]): Promise<void> {
    const client = await this.#connected()
    const { rows } = await client.query<{ datname: string }>(
      'select datname from pg_database where datname = any($1::text[])',
      [databases],
    )
    const existing = new Set(rows.map(({ datname }) => datname))
    for (const database of databases) if (!existing.has(database)) await this.create(database)
  }

  async close(): Promise<void> {
    await (await this.#client)?.end()
    this.#client = undefined
  }

  #connected(): Promise<Client> {
    this.#client ??= connect(this.#url)
    return this.#client
  }
}

/** A connection to the database that the URL names. */
export async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  await client.connect()
  return client
}

/** The same server, another database. */
export function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${database}`
  return url.href
}
