import { ensureDatabase, ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { quote, serverUrl, sql } from '../support/server.ts'
import { databaseExists, expectFailure, newDatabase, newRole, tablesIn } from './support.ts'

describe('names of databases', () => {
  it.each([
    'start-up with spaces',
    ' start-up at its ends ',
    'start-up "quoted" \'twice\'',
    'StartUpInMixedCase',
    'select',
    'start-up/slash',
    'start-up?question=mark',
    'start-up#hash',
    'start-up%percent',
    'start-up%2Fescape',
    'start-up:colon@at',
    'start-up;semicolon--comment',
    String.raw`start-up\backslash`,
    'start-up $1 $(name)',
    'start-up ünïcödé データベース 🦀',
    'start-up+plus&and=equals',
    'start-up in exactly 63 bytes, which is all that there may be...',
    `start-up é ${'é'.repeat(25)}`,
  ])('%s', async (given) => {
    const { name, url } = newDatabase(given)
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63)
    expect(await ensureDatabase(url)).toEqual({ outcome: 'created', database: name, differing: [] })
    expect(await databaseExists(name)).toBe(true)
    expect(await ensureDatabase(url, { connectionLimit: -1 })).toMatchObject({
      outcome: 'already-exists',
      differing: [],
    })
    await ensureTables(url, mikroOrm({ entities: [User, Address] }))
    expect(await tablesIn(name)).toEqual(['public.address', 'public.user_account'])
  })

  it('may be written into the URL as they are, where that is unambiguous', async () => {
    const { name } = newDatabase('start-up données')
    const url = `${serverUrl()}start-up données`
    expect(await ensureDatabase(url)).toMatchObject({ outcome: 'created', database: name })
    expect(await databaseExists(name)).toBe(true)
  })

  it.each([
    ['64 bytes', 'x'.repeat(64)],
    ['64 bytes in fewer characters', `é${'x'.repeat(62)}`],
    ['a line break', 'a\nb'],
    ['NUL', 'a\0b'],
    ['a control character from beyond ASCII', 'a\u0085b'],
  ])('%s: refused', async (_, name) => {
    const url = `${serverUrl()}${encodeURIComponent(name)}`
    await expectFailure(ensureDatabase(url), 'invalid-name')
    await expectFailure(ensureTables(url, mikroOrm({ entities: [User, Address] })), 'invalid-name')
  })

  it('half a character: refused, since it would become another name', async () => {
    await expectFailure(ensureDatabase(`${serverUrl()}start-up \ud800`), 'invalid-url')
  })
})

describe('names of other things', () => {
  it('owner and template', async () => {
    const { user } = await newRole('', 'Start-up\'s "owner"; --')
    const template = newDatabase('start-up "template"; --')
    await ensureDatabase(template.url)
    const { name, url } = newDatabase()
    expect(await ensureDatabase(url, { owner: user, template: template.name })).toMatchObject({ outcome: 'created' })
    const rows = await sql('select pg_get_userbyid(datdba) as owner from pg_database where datname = $1', [name])
    expect(rows).toEqual([{ owner: user }])
  })

  it('maintenance database', async () => {
    const maintenance = newDatabase('start-up "maintenance"/%2F?#')
    await ensureDatabase(maintenance.url)
    const { url } = newDatabase()
    expect(await ensureDatabase(url, { maintenanceDatabase: maintenance.name })).toMatchObject({ outcome: 'created' })
  })
})

describe('user and password in the URL', () => {
  it('may have any character, percent-encoded', async () => {
    const user = 'start-up/user?#%2F@:"é'
    const { password } = await newRole('createdb', user)
    const odd = `${password}/?#%25@:"' é+&=`
    await sql(`alter role ${quote(user)} password '${odd.replaceAll("'", "''")}'`)
    const { name } = newDatabase()
    const { host } = new URL(serverUrl())
    const url = `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(odd)}@${host}/${name}`
    expect(await ensureDatabase(url)).toMatchObject({ outcome: 'created' })
    const rows = await sql('select pg_get_userbyid(datdba) as owner from pg_database where datname = $1', [name])
    expect(rows).toEqual([{ owner: user }])
  })
})
