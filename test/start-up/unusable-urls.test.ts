import { checkDatabase, ensureDatabase, ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { expectFailure } from './support.ts'

const models = mikroOrm({ entities: [User, Address] })

describe('a URL that cannot be understood is refused, without being shown', () => {
  it.each([
    ['nothing', ''],
    ['no URL', 'localhost'],
    ['a host and a port', 'localhost:5432/shop'],
    ['a connection string of key and value', 'host=localhost dbname=shop password=hush-1'],
    ['another protocol', 'http://someone:hush-1@localhost/shop'],
    ['a misspelt protocol', 'postgre://someone:hush-1@localhost/shop'],
    ['a port that is no number', 'postgresql://someone:hush-1@localhost:shop/shop'],
    ['a port beyond the last', 'postgresql://someone:hush-1@localhost:65536/shop'],
    ['port zero', 'postgresql://someone:hush-1@localhost:0/shop'],
    ['a port parameter that is no number', 'postgresql://someone:hush-1@localhost/shop?port=x'],
    ['several hosts', 'postgresql://someone:hush-1@one:5432,two:5432/shop'],
    ['a host with a space', 'postgresql://someone:hush-1@local host/shop'],
    ['an open bracket', 'postgresql://someone:hush-1@[::1/shop'],
    ['a slash in the password', 'postgresql://someone:hush-1/2@localhost/shop'],
    ['a question mark in the password', 'postgresql://someone:hush-1?2@localhost/shop'],
    ['a question mark in a password of digits', 'postgresql://someone:1234?hush-1=2@localhost/shop'],
    ['a hash in the password', 'postgresql://someone:hush-1#2@localhost/shop'],
    ['a bad escape in the password', 'postgresql://someone:hush-1%@localhost/shop'],
    ['an escape of no character in the password', 'postgresql://someone:hush-1%ff@localhost/shop'],
    ['a bad escape in the user', 'postgresql://some%one:hush-1@localhost/shop'],
    ['a bad escape in the database', 'postgresql://someone:hush-1@localhost/shop%2'],
    ['a hash in the database', 'postgresql://someone:hush-1@localhost/shop#1'],
    ['no database', 'postgresql://someone:hush-1@localhost'],
    ['no database after the slash', 'postgresql://someone:hush-1@localhost/'],
    ['no database before the parameters', 'postgresql://someone:hush-1@localhost/?sslmode=disable'],
    ['a slash after the database', 'postgresql://someone:hush-1@localhost/shop/'],
    ['two parts of a path', 'postgresql://someone:hush-1@localhost/shop/two'],
    ['a misspelt parameter', 'postgresql://someone:hush-1@localhost/shop?sslmod=disable'],
    ['a certificate that cannot be read', 'postgresql://someone:hush-1@localhost/shop?sslrootcert=/nowhere/ca.pem'],
  ])('%s', async (_, url) => {
    await expectFailure(ensureDatabase(url), 'invalid-url')
    await expectFailure(ensureTables(url, models), 'invalid-url')
    await expectFailure(checkDatabase(url, models), 'invalid-url')
  })

  it.each([
    ['schema', 'the models name'],
    ['search_path', 'the models name'],
    ['target_session_attrs', 'primary'],
    ['connect_timeout', 'connectTimeoutMs'],
    ['pgbouncer', 'application_name'],
  ])('the parameter %s, which has no effect', async (name, hint) => {
    const url = `postgresql://someone:hush-1@localhost/shop?${name}=hush-2`
    const error = await expectFailure(ensureDatabase(url), 'invalid-url')
    expect(error.message).toContain(name)
    expect(error.hint).toContain(hint)
  })

  it('something else than text', async () => {
    await expectFailure(ensureDatabase(undefined as unknown as string), 'invalid-url')
    await expectFailure(ensureDatabase({} as unknown as string), 'invalid-url')
  })

  it('a user with an invalid name', async () => {
    await expectFailure(ensureDatabase('postgresql://a%00b:hush-1@localhost/shop'), 'invalid-name')
    await expectFailure(ensureDatabase(`postgresql://${'x'.repeat(64)}:hush-1@localhost/shop`), 'invalid-name')
  })
})

describe('an option that is not known is refused, with the one that was meant', () => {
  const url = 'postgresql://someone:hush-1@localhost/shop'

  it.each([
    ['ensureDatabase', () => ensureDatabase(url, { ownr: 'someone' } as object), 'Did you mean owner?'],
    ['ensureTables', () => ensureTables(url, models, { lockTimeoutms: 1 } as object), 'Did you mean lockTimeoutMs?'],
    ['checkDatabase', () => checkDatabase(url, models, { singal: undefined } as object), 'Did you mean signal?'],
    ['a list', () => ensureTables(url, models, { extensions: 'citext' } as object), 'extensions: ['],
    ['one of another call', () => ensureTables(url, models, { owner: 'x' } as object), 'lockTimeoutMs'],
  ])('%s', async (_, call, hint) => {
    const error = await expectFailure(call(), 'invalid-option')
    expect(error.hint).toContain(hint)
  })

  it.each([0, -1, 1.5, Number.NaN, Infinity, '5' as unknown as number])('a time limit of %s', async (limit) => {
    const refused = { code: 'invalid-option' }
    await expect(ensureDatabase(url, { connectTimeoutMs: limit })).rejects.toMatchObject(refused)
    await expect(ensureTables(url, models, { lockTimeoutMs: limit })).rejects.toMatchObject(refused)
  })

  it.each([-1, 1.5, Number.NaN, Infinity])('a time limit for statements of %s', async (limit) => {
    const refused = { code: 'invalid-option' }
    await expect(checkDatabase(url, models, { statementTimeoutMs: limit })).rejects.toMatchObject(refused)
  })
})
