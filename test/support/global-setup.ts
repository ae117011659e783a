import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from 'tenantry/embedded'
import type { TestProject } from 'vitest/node'

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
  // Nothing that this server has is to outlive it.
  const settings = { max_connections: 300, max_prepared_transactions: 10, fsync: 'off', full_page_writes: 'off' }
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-test-'))
  const server = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), settings })
  project.provide('serverUrl', server.url)
  end = async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

export async function teardown(): Promise<void> {
  await end?.()
}

let end: (() => Promise<void>) | undefined
