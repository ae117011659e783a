import { checkDatabase, ensureDatabase, ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { quote, sql } from '../support/server.ts'
import { as, databaseExists, expectCausedFailure, newDatabase, newRole, sqlIn } from './support.ts'

const models = mikroOrm({ entities: [User, Address] })

describe('a database that', () => {
  it('accepts no connections: its hint opens it', async () => {
    const { name, url } = newDatabase('start-up "closed"')
    await ensureDatabase(url)
    await sql(`alter database ${quote(name)} allow_connections false`)
    await expectCausedFailure(ensureTables(url, models), 'database-closed')
    await expectCausedFailure(checkDatabase(url, models), 'database-closed')
    const error = await expectCausedFailure(ensureDatabase(url), 'database-closed')
    await sql(sqlIn(error))
    expect(await ensureDatabase(url)).toMatchObject({ outcome: 'already-exists' })
  })

  it('accepts no connections, of a role that may not look from elsewhere', async () => {
    const role = await newRole()
    const { name, url } = newDatabase()
    await ensureDatabase(url)
    await sql(`alter database ${quote(name)} allow_connections false`)
    const options = { maintenanceDatabase: 'there is none of this name' }
    await expectCausedFailure(ensureDatabase(as(role, url), options), 'database-closed')
  })

  it('was left by an interrupted DROP DATABASE: its hint finishes the job', async () => {
    const { name, url } = newDatabase('start-up "invalid"')
    await ensureDatabase(url)
    await sql('update pg_database set datconnlimit = -2 where datname = $1', [name])
    const error = await expectCausedFailure(ensureDatabase(url), 'database-invalid')
    expect(error.message).toContain(name)
    await sql(sqlIn(error))
    expect(await databaseExists(name)).toBe(false)
    expect(await ensureDatabase(url)).toMatchObject({ outcome: 'created' })
  })

  it('is missing: only ensureDatabase makes it', async () => {
    const { name, url } = newDatabase()
    const error = await expectCausedFailure(ensureTables(url, models), 'database-missing')
    expect(error.hint).toContain('ensureDatabase')
    expect(await checkDatabase(url, models)).toEqual({ outcome: 'database-missing', database: name })
    expect(await databaseExists(name)).toBe(false)
  })
})
