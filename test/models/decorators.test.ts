import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import * as es from '../fixtures/decorated/dist/es/entities.js'
import * as legacy from '../fixtures/decorated/dist/legacy/entities.js'
import { openTestTenantry } from '../support/tenants.ts'

// Node does not run decorators; a service compiles them, and so are these.

describe.each([
  ["TypeScript's older decorators", legacy],
  ['standard decorators', es as unknown as typeof legacy],
])('entities by %s', (_, { Book, Kind, Writer, options }) => {
  it('make the same tables, relations and orphan removal as defineEntity does', async () => {
    const tenantry = await openTestTenantry(mikroOrm(options))
    await tenantry.onboard('library')
    await tenantry.with('library', async (em) => {
      const writer = em.create(Writer, { name: 'Lem' })
      em.create(Book, { title: 'Solaris', writer, kind: Kind.Paper })
      em.create(Book, { title: 'Eden', writer, kind: Kind.Audio })
      await em.flush()
    })
    await tenantry.with('library', async (em) => {
      const writer = await em.findOneOrFail(Writer, { name: 'Lem' }, { populate: ['books'] })
      expect(writer.books.getItems().map(({ title, kind }) => [title, kind])).toEqual([
        ['Solaris', 'paper'],
        ['Eden', 'audio'],
      ])
      writer.books.remove((book) => book.title === 'Eden')
      await em.flush()
      expect(await em.count(Book)).toBe(1)
    })
  })
})

it('both kinds of decorators declare one and the same schema', async () => {
  const [one, other] = [mikroOrm(legacy.options), mikroOrm(es.options)]
  expect(await one.schema.fingerprint()).toBe(await other.schema.fingerprint())
})
