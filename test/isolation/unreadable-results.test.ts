import { CompiledQuery } from 'kysely'
import { beforeAll, expect, it } from 'vitest'
import { errorOf } from '../support/server.ts'
import { createProvisioner, type Isolated, openAs } from './support.ts'

// The driver throws while it reads the answer of a cursor: nothing but its connection can catch that.

let tenantry: Isolated
beforeAll(async () => {
  tenantry = await openAs(await createProvisioner())
  for (const id of ['evil', 'good']) await tenantry.onboard(id)
})

it.for([
  ['COPY FROM STDIN', 'copy user_account (name) from stdin', 'UTF8'],
  ['COPY TO STDOUT', 'copy (select 1) to stdout', 'UTF8'],
  // In this encoding its last character ends with the byte of a backslash.
  ['a value that its parser refuses', String.raw`select convert_from('\x22e8a1a822', 'UTF8')::json`, 'SJIS'],
] as const)('%s in a cursor fails its query, and no process', async ([, text, encoding]) => {
  const read = async () => {
    await tenantry.with('evil', (em) =>
      em.transactional(async (inside) => {
        await inside.execute(`set local client_encoding = '${encoding}'`)
        const stream = inside.getKysely().getExecutor().stream(CompiledQuery.raw(text), 1)
        for await (const { rows } of stream) expect(rows).toEqual([])
      }),
    )
  }
  expect(await errorOf(read())).toMatchObject({ message: expect.stringMatching(/not a function|JSON/) })
  expect(await tenantry.with('good', (em) => em.execute('select 1 as one'))).toEqual([{ one: 1 }])
  expect(await tenantry.with('evil', (em) => em.execute('select 1 as one'))).toEqual([{ one: 1 }])
})
