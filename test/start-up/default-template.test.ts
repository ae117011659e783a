import { ensureDatabase } from 'tenantry'
import { Client } from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { createRole, serverUrl, sql, sqlAt, useOwnServer } from '../support/server.ts'

// On a server of its own: others that copy template1 would fail while somebody is connected to it.

useOwnServer()

const url = (database: string) => serverUrl({ database })

it('a role without any privilege that stays connected to template1 keeps no database from being created', async () => {
  const hostile = await createRole()
  const client = new Client({ connectionString: serverUrl({ database: 'template1', ...hostile }) })
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
    const collations = await sql(`select 1 from pg_collation where collprovider = 'i' limit 1`)
    if (parameters.includes('icu') && collations.length === 0) skip('this server was built without ICU')
    await sql('alter database template1 is_template false')
    await sql('drop database template1')
    await sql(`create database template1 template template0 ${parameters}`)
    const database = `made_${parameters.length}`
    await ensureDatabase(url(database))
    const columns = await sql<{ columns: unknown }>(
      `select to_jsonb(d) - '{oid,datname,datistemplate,datacl,dattablespace,datfrozenxid,datminmxid}'::text[] as columns
     from pg_database d where datname = any(array['template1', $1])`,
      [database],
    )
    expect(columns).toHaveLength(2)
    expect(columns[0]).toEqual(columns[1])
  },
)
