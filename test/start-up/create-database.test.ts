import { ensureDatabase, ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { startCountingProxy } from '../support/counting-proxy.ts'
import { quote, sql } from '../support/server.ts'
import {
  as,
  existingDatabase,
  expectCausedFailure,
  expectFailure,
  isAtLeast,
  newDatabase,
  newRole,
  openSession,
  queryIn,
  tablesIn,
} from './support.ts'

describe('ensureDatabase', () => {
  it('creates a database that is missing, and finds it there the next time', async () => {
    const { name, url } = newDatabase()
    expect(await ensureDatabase(url)).toEqual({ outcome: 'created', database: name, differing: [] })
    expect(await ensureDatabase(url)).toEqual({ outcome: 'already-exists', database: name, differing: [] })
    expect(await ensureDatabase(new URL(url))).toEqual({ outcome: 'already-exists', database: name, differing: [] })
    const models = mikroOrm({ entities: [User, Address] })
    expect((await ensureTables(url, models)).created.map((object) => object.name)).toEqual(['user_account', 'address'])
  })

  it('creates it again after it was dropped', async () => {
    const { name, url } = newDatabase()
    await ensureDatabase(url)
    await sql(`drop database ${quote(name)}`)
    expect(await ensureDatabase(url)).toMatchObject({ outcome: 'created' })
  })

  it('needs one connection and no statement for a database that is there', async () => {
    const { url } = await existingDatabase()
    const proxy = await startCountingProxy(url)
    try {
      await ensureDatabase(proxy.url(url))
      expect(proxy.take()).toMatchObject({ connections: 1, statements: 0 })
    } finally {
      await proxy.close()
    }
  })
})

describe('options of a new database', () => {
  it('owner', async () => {
    const { user } = await newRole()
    const { name, url } = newDatabase()
    await ensureDatabase(url, { owner: user })
    expect(await describeDatabase(name)).toMatchObject({ owner: user })
  })

  it('template: its tables are there', async () => {
    const template = await existingDatabase()
    await queryIn(template.name, 'create table of_the_template (id int)')
    const { name, url } = newDatabase()
    await ensureDatabase(url, { template: template.name })
    expect(await tablesIn(name)).toEqual(['public.of_the_template'])
  })

  it('encoding and locale, for which template0 is copied', async () => {
    const { name, url } = newDatabase()
    const options = { encoding: 'LATIN1', locale: 'C' }
    expect(await ensureDatabase(url, options)).toMatchObject({ outcome: 'created' })
    expect(await describeDatabase(name)).toMatchObject({ encoding: 'LATIN1', collate: 'C' })
    expect(await ensureDatabase(url, options)).toMatchObject({ outcome: 'already-exists', differing: [] })
  })

  it('an encoding other than UTF8 is reported unless it is requested', async () => {
    const { url } = await existingDatabase("encoding 'SQL_ASCII' locale 'C'")
    const encoding = { option: 'encoding', wanted: 'UTF8', actual: 'SQL_ASCII' }
    expect(await ensureDatabase(url)).toMatchObject({ outcome: 'already-exists', differing: [encoding] })
    expect(await ensureDatabase(url, { encoding: 'sql_ascii' })).toMatchObject({ differing: [] })
    const made = newDatabase()
    const maintenanceDatabase = new URL(url).pathname.slice(1)
    expect(await ensureDatabase(made.url, { maintenanceDatabase })).toMatchObject({ outcome: 'created', differing: [] })
  })

  it('an encoding alone', async () => {
    const { name, url } = newDatabase()
    await ensureDatabase(url, { encoding: 'utf-8' })
    expect(await describeDatabase(name)).toMatchObject({ encoding: 'UTF8' })
    expect(await ensureDatabase(url, { encoding: 'utf8' })).toMatchObject({ differing: [] })
  })

  it('localeProvider libc', async () => {
    const { name, url } = newDatabase()
    const options = { localeProvider: 'libc', locale: 'C' } as const
    await ensureDatabase(url, options)
    expect(await describeDatabase(name)).toMatchObject({ provider: 'c', collate: 'C' })
    expect(await ensureDatabase(url, options)).toMatchObject({ differing: [] })
  })

  it('localeProvider icu', async ({ skip }) => {
    const collations = await sql(`select 1 from pg_collation where collprovider = 'i' limit 1`)
    if (collations.length === 0) skip('this server was built without ICU')
    const { name, url } = newDatabase()
    const options = { localeProvider: 'icu', locale: 'de-DE', encoding: 'UTF8' } as const
    await ensureDatabase(url, options)
    expect(await describeDatabase(name)).toMatchObject({ provider: 'i' })
    expect(await ensureDatabase(url, options)).toMatchObject({ differing: [] })
  })

  it('localeProvider builtin, from PostgreSQL 17 on', async ({ skip }) => {
    if (!(await isAtLeast(17))) skip('PostgreSQL has this provider from version 17 on')
    const { name, url } = newDatabase()
    await ensureDatabase(url, builtin)
    expect(await describeDatabase(name)).toMatchObject({ provider: 'b' })
    expect(await ensureDatabase(url, builtin)).toMatchObject({ differing: [] })
  })

  it('localeProvider builtin, refused by older versions', async ({ skip }) => {
    if (await isAtLeast(17)) skip('PostgreSQL has this provider from version 17 on')
    await expectCausedFailure(ensureDatabase(newDatabase().url, builtin), 'invalid-option')
  })

  it('tablespace', async () => {
    const { name, url } = newDatabase()
    await ensureDatabase(url, { tablespace: 'pg_default' })
    expect(await describeDatabase(name)).toMatchObject({ tablespace: 'pg_default' })
  })

  it('connectionLimit', async () => {
    const { name, url } = newDatabase()
    await ensureDatabase(url, { connectionLimit: 7 })
    expect(await describeDatabase(name)).toMatchObject({ limit: 7 })
    expect(await ensureDatabase(url, { connectionLimit: 7 })).toMatchObject({ differing: [] })
  })

  it('all at once', async () => {
    const { user } = await newRole()
    const { name, url } = newDatabase()
    const options = {
      owner: user,
      template: 'template0',
      encoding: 'UTF8',
      locale: 'C',
      localeProvider: 'libc',
      tablespace: 'pg_default',
      connectionLimit: 3,
    } as const
    await ensureDatabase(url, options)
    expect(await describeDatabase(name)).toEqual({
      owner: user,
      encoding: 'UTF8',
      collate: 'C',
      provider: 'c',
      tablespace: 'pg_default',
      limit: 3,
    })
    expect(await ensureDatabase(url, options)).toMatchObject({ outcome: 'already-exists', differing: [] })
  })

  it('maintenanceDatabase: where CREATE DATABASE is sent', async () => {
    const maintenance = await existingDatabase()
    const role = await newRole('createdb')
    const { name, url } = newDatabase()
    await sql(`revoke connect on database ${quote(maintenance.name)} from public`)
    const own = as(role, url)
    await expectCausedFailure(ensureDatabase(own, { maintenanceDatabase: maintenance.name }), 'permission-denied')
    expect(await ensureDatabase(own, { maintenanceDatabase: 'postgres' })).toMatchObject({ outcome: 'created' })
    expect(await describeDatabase(name)).toMatchObject({ owner: role.user })
  })
})

describe('options that an existing database does not meet', () => {
  it('are reported, each with its value, and left as they are', async () => {
    const { name, url } = await existingDatabase(`encoding 'UTF8' locale 'C'`)
    const { user } = await newRole()
    const before = await describeDatabase(name)
    const options = {
      owner: user,
      encoding: 'LATIN1',
      locale: 'de_DE',
      localeProvider: 'icu',
      tablespace: 'elsewhere',
      connectionLimit: 5,
    } as const
    const { outcome, differing } = await ensureDatabase(url, options)
    expect(outcome).toBe('already-exists')
    expect(differing.map(({ option, wanted }) => [option, wanted])).toEqual(Object.entries(options))
    expect(Object.fromEntries(differing.map(({ option, actual }) => [option, actual]))).toMatchObject({
      owner: before.owner,
      encoding: 'UTF8',
      locale: 'C',
      tablespace: 'pg_default',
      connectionLimit: -1,
    })
    expect(await describeDatabase(name)).toEqual(before)
  })

  it('are only those: options that are met are not mentioned', async () => {
    const { user } = await newRole()
    const { url } = await existingDatabase(`owner ${quote(user)} connection limit 4`)
    expect(await ensureDatabase(url, { owner: user, connectionLimit: 5, tablespace: 'pg_default' })).toMatchObject({
      differing: [{ option: 'connectionLimit', wanted: 5, actual: 4 }],
    })
  })
})

describe('options that PostgreSQL cannot meet', () => {
  it('an owner that does not exist; its hint creates it', async () => {
    const { url } = newDatabase()
    const error = await expectCausedFailure(ensureDatabase(url, { owner: 'nobody of "this" name' }), 'role-missing')
    expect(error.hint).toBe('CREATE ROLE "nobody of ""this"" name" NOLOGIN;')
  })

  it('a template that does not exist', async () => {
    const { url } = newDatabase()
    const error = await expectCausedFailure(ensureDatabase(url, { template: 'no template' }), 'template-missing')
    expect(error.message).toContain('no template')
  })

  it('a template with a session', async () => {
    const template = await existingDatabase()
    await openSession(template.name)
    const { url } = newDatabase()
    const error = await expectCausedFailure(ensureDatabase(url, { template: template.name }), 'template-in-use')
    expect(error.message).toContain(template.name)
  })

  it('a tablespace that does not exist', async () => {
    const { url } = newDatabase()
    const error = await expectCausedFailure(ensureDatabase(url, { tablespace: 'no space' }), 'tablespace-missing')
    expect(error.message).toContain('no space')
  })

  it('a maintenance database that does not exist', async () => {
    const { url } = newDatabase()
    const error = await expectCausedFailure(
      ensureDatabase(url, { maintenanceDatabase: 'nowhere to be' }),
      'database-missing',
    )
    expect(error.message).toContain('nowhere to be')
    expect(error.hint).toContain('maintenanceDatabase')
  })

  it.each([
    ['an encoding of no such name', { encoding: 'NO-SUCH' }],
    ['an encoding for clients only', { encoding: 'SJIS' }],
    ['a locale that is not installed', { locale: 'xx_YY.UTF-8', localeProvider: 'libc' }],
    ['an encoding that its template does not have', { encoding: 'LATIN1', locale: 'C', template: 'template1' }],
    ['an encoding that does not go with the locale', { encoding: 'LATIN1', locale: 'C.UTF-8', localeProvider: 'libc' }],
    ['a connection limit beyond what an integer holds', { connectionLimit: 2 ** 31 }],
  ] as const)('%s', async (_, options) => {
    const { url } = newDatabase()
    await expectCausedFailure(ensureDatabase(url, options), 'invalid-option')
  })
})

describe('options that are refused before anything is sent', () => {
  it.each([
    ['an unknown provider', { localeProvider: 'perl' as 'icu' }, 'invalid-option'],
    ['a provider without the locale it needs', { localeProvider: 'icu' }, 'invalid-option'],
    ['a connection limit below -1', { connectionLimit: -2 }, 'invalid-option'],
    ['a connection limit that is no integer', { connectionLimit: 1.5 }, 'invalid-option'],
    ['an owner without a name', { owner: '' }, 'invalid-name'],
    ['an owner whose name PostgreSQL would cut', { owner: 'x'.repeat(64) }, 'invalid-name'],
    ['a template with a control character', { template: 'a\nb' }, 'invalid-name'],
    ['a tablespace with half a character', { tablespace: 'a\ud800' }, 'invalid-name'],
    ['a maintenance database without a name', { maintenanceDatabase: '' }, 'invalid-name'],
  ] as const)('%s', async (_, options, code) => {
    const { url } = await existingDatabase()
    const proxy = await startCountingProxy(url)
    try {
      await expectFailure(ensureDatabase(proxy.url(url), options), code)
      expect(proxy.take()).toMatchObject({ connections: 0, statements: 0 })
    } finally {
      await proxy.close()
    }
  })
})

const builtin = { localeProvider: 'builtin', locale: 'C.UTF-8', encoding: 'UTF8' } as const

interface Description {
  readonly owner: string
  readonly encoding: string
  readonly collate: string
  readonly provider: string
  readonly tablespace: string
  readonly limit: number
}

async function describeDatabase(name: string): Promise<Description> {
  const rows = await sql<Description & Record<string, unknown>>(
    `select pg_get_userbyid(d.datdba) as owner, pg_encoding_to_char(d.encoding) as encoding, d.datcollate as collate,
            d.datlocprovider as provider, t.spcname as tablespace, d.datconnlimit as limit
     from pg_database d join pg_tablespace t on t.oid = d.dattablespace where d.datname = $1`,
    [name],
  )
  return rows[0]!
}
