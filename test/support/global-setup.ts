import { Client, escapeIdentifier, escapeLiteral } from 'pg'
import type { TestProject } from 'vitest/node'
import { startServer } from './start-server.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A superuser's connection URL, without a database. */
    serverUrl: string
  }
}

/** Starts the PostgreSQL that all suites use; TENANTRY_TEST_URL names another. */
export async function setup(project: TestProject): Promise<void> {
  const given = process.env['TENANTRY_TEST_URL']
  if (given !== undefined && given !== '') {
    project.provide('serverUrl', given)
    return
  }
  const server = await startServer({ max_connections: 300, max_prepared_transactions: 10 })
  await weakenPassword(server.url)
  project.provide('serverUrl', server.url)
  end = server.stop
}

/**
 * Stores the superuser's password with one iteration instead of 4,096, which take a fifth of the time of a connection. PostgreSQL 15
 * has no setting for it.
 */
async function weakenPassword(url: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ has: boolean }>(
      "select exists (select from pg_settings where name = 'scram_iterations') as has",
    )
    if (rows[0]?.has !== true) return
    await client.query('set scram_iterations = 1')
    const { username, password } = new URL(url)
    await client.query(
      `alter role ${escapeIdentifier(username)} password ${escapeLiteral(decodeURIComponent(password))}`,
    )
  } finally {
    await client.end()
  }
}

export async function teardown(): Promise<void> {
  await end?.()
}

let end: (() => Promise<void>) | undefined
