import { expect, it } from 'vitest'
import { postgres } from '../../dist/server/postgres/postgres.js'
import { identifier } from '../support/names.ts'
import { serverUrl } from '../support/server.ts'

const database = identifier('postgres')

it('a durable transaction waits for the disk, with any default', async () => {
  const url = `${serverUrl({ database })}?options=-c%20synchronous_commit%3Doff`
  const session = await postgres({ url }).connect(database)
  const show = async () => (await session.query<{ synchronous_commit: string }>('show synchronous_commit')).rows[0]
  expect(await session.transaction(show)).toEqual({ synchronous_commit: 'off' })
  expect(await session.transaction(show, { durable: true })).toEqual({ synchronous_commit: 'on' })
  expect(await show()).toEqual({ synchronous_commit: 'off' })
  await session.close()
})

it('statements that end in a comment are sent apart', async () => {
  const session = await postgres({ url: serverUrl() }).connect(database)
  await session.script(['create temporary table one (id int) -- the first', 'create temporary table two (id int);'])
  expect((await session.query('select * from one, two')).rows).toEqual([])
  await session.close()
})
