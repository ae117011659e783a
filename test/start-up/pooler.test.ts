import { ensureDatabase, ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { pgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { databaseExists, existingDatabase, expectCausedFailure, newDatabase, tablesIn } from './support.ts'

const models = mikroOrm({ entities: [User, Address] })

describe.skipIf(pgbouncer === undefined)('behind PgBouncer (skipped where its program is not installed)', () => {
  it('a missing database is not taken for one, and is not made', async () => {
    const pooled = await startPooler()
    const { name, url } = newDatabase()
    const error = await expectCausedFailure(ensureDatabase(pooled(url)), 'pooler-in-the-way')
    expect(error.hint).toContain("the server's own host and port")
    expect(await databaseExists(name)).toBe(false)
  })

  it('an existing database is not worked on', async () => {
    const pooled = await startPooler()
    const { name, url } = await existingDatabase()
    await expectCausedFailure(ensureDatabase(pooled(url)), 'pooler-in-the-way')
    await expectCausedFailure(ensureTables(pooled(url), models), 'pooler-in-the-way')
    expect(await tablesIn(name)).toEqual([])
  })

  it('that swallows parameters which it cannot set, a missing database is still distinguished from an existing one', async () => {
    const pooled = await startPooler('ignore_startup_parameters = statement_timeout,lock_timeout,options')
    const missing = newDatabase()
    await expectCausedFailure(ensureDatabase(pooled(missing.url)), 'pooler-in-the-way')
    expect(await databaseExists(missing.name)).toBe(false)
    const present = await existingDatabase()
    expect(await ensureDatabase(pooled(present.url))).toMatchObject({ outcome: 'already-exists' })
  })
})

/** Starts a PgBouncer; ended after the test. Returns a function that routes a URL through it. */
async function startPooler(...settings: string[]): Promise<(url: string) => string> {
  const { host, port, stop } = await startPgbouncer(...settings)
  onTestFinished(stop)
  return (url) => {
    const through = new URL(url)
    Object.assign(through, { hostname: host, port: String(port) })
    return through.href
  }
}
