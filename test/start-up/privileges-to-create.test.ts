import { ensureDatabase, type EnsureDatabaseOptions } from 'tenantry'
import { describe, expect, it, onTestFinished } from 'vitest'
import { quote, sql, uniqueName } from '../support/server.ts'
import {
  as,
  databaseExists,
  existingDatabase,
  expectCausedFailure,
  isAtLeast,
  newDatabase,
  newRole,
  openSession,
  queryIn,
  sqlIn,
} from './support.ts'

describe('a role without privileges', () => {
  it('finds an existing database, and its differences', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    expect(await ensureDatabase(as(role, url), { connectionLimit: 9, template: 'template0' })).toEqual({
      outcome: 'already-exists',
      database: name,
      differing: [{ option: 'connectionLimit', wanted: 9, actual: -1 }],
    })
  })

  it('needs no way into the maintenance database for that', async () => {
    const role = await newRole()
    const { url } = await existingDatabase()
    const options = { maintenanceDatabase: 'there is none of this name' }
    expect(await ensureDatabase(as(role, url), options)).toMatchObject({ outcome: 'already-exists' })
  })

  it('may not create a missing one, until it has CREATEDB', async () => {
    const role = await newRole('', `start-up "role" ${uniqueName()}`)
    const database = newDatabase()
    const hint = await expectMendedBy(as(role, database.url), {})
    expect(hint).toBe(`ALTER ROLE ${quote(role.user)} CREATEDB;`)
    expect(await ownerOf(database.name)).toBe(role.user)
  })

  it('may not create one as the role it acts as, until that has CREATEDB', async () => {
    const acting = await newRole()
    const role = await newRole(`createdb in role ${quote(acting.user)}`)
    await sql(`alter role ${quote(role.user)} set role = ${quote(acting.user)}`)
    const hint = await expectMendedBy(as(role, newDatabase().url), {})
    expect(hint).toBe(`ALTER ROLE ${quote(acting.user)} CREATEDB;`)
  })

  it('may not enter a database that is closed to it, until access is granted', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    await sql(`revoke connect on database ${quote(name)} from public`)
    const error = await expectCausedFailure(ensureDatabase(as(role, url)), 'permission-denied')
    expect(sqlIn(error)).toBe(`GRANT CONNECT ON DATABASE "${name}" TO "${role.user}";`)
    await sql(sqlIn(error))
    expect(await ensureDatabase(as(role, url))).toMatchObject({ outcome: 'already-exists' })
  })

  it('may not enter the maintenance database, until access is granted', async () => {
    const role = await newRole('createdb')
    const maintenance = await existingDatabase()
    const { url } = newDatabase()
    await sql(`revoke connect on database ${quote(maintenance.name)} from public`)
    await expectMendedBy(as(role, url), { maintenanceDatabase: maintenance.name })
  })
})

describe('a role with CREATEDB may not', () => {
  it('give the database to a role that it does not belong to, until it does', async () => {
    const owner = await newRole()
    const role = await newRole('createdb')
    const database = newDatabase()
    const hint = await expectMendedBy(as(role, database.url), { owner: owner.user })
    expect(hint).toBe(`GRANT "${owner.user}" TO "${role.user}";`)
    expect(await ownerOf(database.name)).toBe(owner.user)
  })

  it('use a membership that was given without SET, from PostgreSQL 16 on', async ({ skip }) => {
    if (!(await isAtLeast(16))) skip('every membership may be used before PostgreSQL 16')
    const owner = await newRole()
    const role = await newRole('createdb')
    await sql(`grant ${quote(owner.user)} to ${quote(role.user)} with set false`)
    const database = newDatabase()
    const hint = await expectMendedBy(as(role, database.url), { owner: owner.user })
    expect(hint).toBe(`GRANT "${owner.user}" TO "${role.user}" WITH SET TRUE;`)
    expect(await ownerOf(database.name)).toBe(owner.user)
  })

  it('use a membership through another role that was given without SET', async ({ skip }) => {
    if (!(await isAtLeast(16))) skip('every membership may be used before PostgreSQL 16')
    const owner = await newRole()
    const between = await newRole()
    const role = await newRole('createdb')
    await sql(`grant ${quote(owner.user)} to ${quote(between.user)}`)
    await sql(`grant ${quote(between.user)} to ${quote(role.user)} with set false`)
    await expectMendedBy(as(role, newDatabase().url), { owner: owner.user })
  })

  it('use a tablespace that it has no right to', async () => {
    const tablespace = await newTablespace()
    const role = await newRole('createdb')
    const database = newDatabase()
    const hint = await expectMendedBy(as(role, database.url), { tablespace })
    expect(hint).toBe(`GRANT CREATE ON TABLESPACE "${tablespace}" TO "${role.user}";`)
  })

  it('name the default tablespace without a right to it', async () => {
    const role = await newRole('createdb')
    await expectMendedBy(as(role, newDatabase().url), { tablespace: 'pg_default' })
  })

  it('copy a database that is not marked as a template', async () => {
    const role = await newRole('createdb')
    const template = newDatabase('start-up "not a template"')
    await ensureDatabase(template.url)
    await queryIn(template.name, 'create table of_the_template (id int)')
    const database = newDatabase()
    const hint = await expectMendedBy(as(role, database.url), { template: template.name })
    expect(hint).toBe('ALTER DATABASE "start-up ""not a template""" IS_TEMPLATE true;')
  })
})

describe('a role that lacks several privileges', () => {
  it('gets all of them at once', async () => {
    const tablespace = await newTablespace()
    const owner = await newRole()
    const role = await newRole()
    const template = await existingDatabase()
    const options = { owner: owner.user, template: template.name, tablespace }
    await expectMendedBy(as(role, newDatabase().url), options)
  })

  it('gets the statement to use its membership as well, from PostgreSQL 16 on', async ({ skip }) => {
    if (!(await isAtLeast(16))) skip('every membership may be used before PostgreSQL 16')
    const owner = await newRole()
    const role = await newRole()
    await sql(`grant ${quote(owner.user)} to ${quote(role.user)} with set false`)
    await expectMendedBy(as(role, newDatabase().url), { owner: owner.user })
  })
})

/** Expects a refusal, that nothing was made, and that the statements of the hint are sufficient. */
async function expectMendedBy(url: string, options: EnsureDatabaseOptions): Promise<string> {
  const name = decodeURIComponent(new URL(url).pathname.slice(1))
  const error = await expectCausedFailure(ensureDatabase(url, options), 'permission-denied')
  expect(error.sqlState).toBe('42501')
  expect(error.message).toContain(decodeURIComponent(new URL(url).username))
  expect(await databaseExists(name)).toBe(false)
  await sql(sqlIn(error))
  expect(await ensureDatabase(url, options)).toEqual({ outcome: 'created', database: name, differing: [] })
  return sqlIn(error)
}

async function ownerOf(database: string): Promise<string | undefined> {
  const rows = await sql<{ owner: string }>(
    'select pg_get_userbyid(datdba) as owner from pg_database where datname = $1',
    [database],
  )
  return rows[0]?.owner
}

/** A tablespace in the server's own folder; dropped after the test. */
async function newTablespace(): Promise<string> {
  const name = uniqueName('space')
  await openSession('postgres', 'set allow_in_place_tablespaces = on', `create tablespace ${name} location ''`)
  onTestFinished(async () => {
    await sql(`drop tablespace ${name}`)
  })
  return name
}
