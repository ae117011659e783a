import { ensureDatabase } from 'tenantry'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { startSecondServer } from '../support/second-server.ts'
import { sqlAt } from '../support/server.ts'

// On a server of its own: others that copy template1 would fail while somebody is connected to it.

let server: Awaited<ReturnType<typeof startSecondServer>>
beforeAll(async () => {
  server = await startSecondServer()
}, 60_000)
afterAll(() => server.stop())

function url(database: string, user?: string): string {
  const target = new URL(server.url)
  target.pathname = `/${database}`
  if (user !== undefined) Object.assign(target, { username: user, password: 'secret' })
  return target.href
}

it('a role without any privilege that stays connected to template1 keeps no database from being created', async () => {
  await sqlAt(url('postgres'), `create role hostile login password 'secret'`)
  const client = new Client({ connectionString: url('template1', 'hostile') })
  await client.connect()
  onTestFinished(() => client.end())
  expect(await ensureDatabase(url('service'))).toMatchObject({ outcome: 'created' })
})

it('what somebody has created in template1 is in a new database only where that is asked for', async () => {
  await sqlAt(url('template1'), 'create table left_there (id int)')
  await ensureDatabase(url('clean'))
  await ensureDatabase(url('copied'), { template: 'template1' })
  const look = `select to_regclass('public.left_there') is not null as "isThere"`
  expect(await sqlAt(url('clean'), look)).toEqual([{ isThere: false }])
  expect(await sqlAt(url('copied'), look)).toEqual([{ isThere: true }])
})

it.for([
  ['an encoding', `encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' locale_provider libc`],
  ['a provider', `encoding 'UTF8' lc_collate 'C' lc_ctype 'C' locale_provider icu icu_locale 'de-DE'`],
] as const)(
  'a new database has the encoding and locale of template1 where that was made anew: %s',
  async ([, parameters], { skip }) => {
    const collations = await sqlAt(url('postgres'), `select 1 from pg_collation where collprovider = 'i' limit 1`)
    if (parameters.includes('icu') && collations.length === 0) skip('this server was built without ICU')
    await sqlAt(url('postgres'), 'alter database template1 is_template false')
    await sqlAt(url('postgres'), 'drop database template1')
    await sqlAt(url('postgres'), `create database template1 template template0 ${parameters}`)
    const database = `made_${parameters.length}`
    await ensureDatabase(url(database))
    const columns = await sqlAt<{ columns: unknown }>(
      url('postgres'),
      `select to_jsonb(d) - '{oid,datname,datistemplate,datacl,dattablespace,datfrozenxid,datminmxid}'::text[] as columns
     from pg_database d where datname = any(array['template1', $1])`,
      [database],
    )
    expect(columns).toHaveLength(2)
    expect(columns[0]).toEqual(columns[1])
  },
)
