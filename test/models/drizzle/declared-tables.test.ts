import { relations, sql } from 'drizzle-orm'
import {
  check,
  foreignKey,
  index,
  integer,
  jsonb,
  pgEnum,
  pgPolicy,
  pgTable,
  pgView,
  primaryKey,
  text,
} from 'drizzle-orm/pg-core'
import { ensureTables } from 'tenantry'
import { drizzle } from 'tenantry/drizzle'
import { describe, expect, it } from 'vitest'
import { existingDatabase, queryIn } from '../../start-up/support.ts'
import { errorOf } from '../../support/server.ts'
import * as blog from './schema.ts'

type Schema = Record<string, unknown>

const fingerprintOf = (schema: Schema, casing?: 'snake_case') =>
  drizzle({ schema, ...(casing && { casing }) }).schema.fingerprint()

const parent = pgTable('parent', { id: integer().primaryKey() })
const plain = pgTable('child', { id: integer(), parentId: integer() })

/** Schemas of which no two make the same tables. */
const different: Readonly<Record<string, Schema>> = {
  plain: { plain },
  'another name': { plain: pgTable('offspring', { id: integer(), parentId: integer() }) },
  'another type': { plain: pgTable('child', { id: text(), parentId: integer() }) },
  'another name of a column': { plain: pgTable('child', { id: integer(), parentId: integer('parent_id') }) },
  'a column more': { plain: pgTable('child', { id: integer(), parentId: integer(), more: integer() }) },
  'not null': { plain: pgTable('child', { id: integer().notNull(), parentId: integer() }) },
  'a primary key': { plain: pgTable('child', { id: integer().primaryKey(), parentId: integer() }) },
  'a key of two columns': {
    plain: pgTable('child', { id: integer(), parentId: integer() }, (t) => [
      primaryKey({ columns: [t.id, t.parentId] }),
    ]),
  },
  unique: { plain: pgTable('child', { id: integer().unique(), parentId: integer() }) },
  'unique of another name': { plain: pgTable('child', { id: integer().unique('only'), parentId: integer() }) },
  'a default': { plain: pgTable('child', { id: integer().default(1), parentId: integer() }) },
  'another default': { plain: pgTable('child', { id: integer().default(2), parentId: integer() }) },
  'a default in SQL': { plain: pgTable('child', { id: integer().default(sql`1 + 1`), parentId: integer() }) },
  generated: { plain: pgTable('child', { id: integer().generatedAlwaysAs(() => sql`1`), parentId: integer() }) },
  identity: { plain: pgTable('child', { id: integer().generatedAlwaysAsIdentity(), parentId: integer() }) },
  'identity from 5': {
    plain: pgTable('child', { id: integer().generatedAlwaysAsIdentity({ startWith: 5 }), parentId: integer() }),
  },
  'an index': { plain: pgTable('child', { id: integer(), parentId: integer() }, (t) => [index('i').on(t.id)]) },
  'an index in another order': {
    plain: pgTable('child', { id: integer(), parentId: integer() }, (t) => [index('i').on(t.id.desc())]),
  },
  'an index of an expression': {
    plain: pgTable('child', { id: integer(), parentId: integer() }, (t) => [index('i').on(sql`${t.id} + 1`)]),
  },
  'a part of an index': {
    plain: pgTable('child', { id: integer(), parentId: integer() }, (t) => [
      index('i')
        .on(t.id)
        .where(sql`id > 1`),
    ]),
  },
  'a check': { plain: pgTable('child', { id: integer(), parentId: integer() }, (t) => [check('c', sql`${t.id} > 0`)]) },
  'another check': {
    plain: pgTable('child', { id: integer(), parentId: integer() }, (t) => [check('c', sql`${t.id} > 1`)]),
  },
  'row security': { plain: pgTable('child', { id: integer(), parentId: integer() }).enableRLS() },
  'a policy': {
    plain: pgTable('child', { id: integer(), parentId: integer() }, () => [pgPolicy('p', { for: 'select' })]),
  },
  'a reference': {
    parent,
    plain: pgTable('child', { id: integer(), parentId: integer().references(() => parent.id) }),
  },
  'a reference that cascades': {
    parent,
    plain: pgTable('child', {
      id: integer(),
      parentId: integer().references(() => parent.id, { onDelete: 'cascade' }),
    }),
  },
  'a named reference': {
    parent,
    plain: pgTable('child', { id: integer(), parentId: integer() }, (t) => [
      foreignKey({ name: 'k', columns: [t.parentId], foreignColumns: [parent.id] }),
    ]),
  },
  'an enum': { plain, mood: pgEnum('mood', ['a', 'b']) },
  'an enum in another order': { plain, mood: pgEnum('mood', ['b', 'a']) },
  'a view': { plain, view: pgView('v').as((query) => query.select().from(plain)) },
  'another view': {
    plain,
    view: pgView('v').as((query) =>
      query
        .select()
        .from(plain)
        .where(sql`id > 1`),
    ),
  },
  'another schema': blog,
}

describe('the fingerprint of a Drizzle schema', () => {
  it('is the same in any order of its exports, and with and without relations', async () => {
    const reversed = Object.fromEntries(Object.entries(blog).toReversed())
    expect(await fingerprintOf(reversed)).toBe(await fingerprintOf(blog))
    const withRelations = { plain, all: relations(plain, () => ({})), twice: plain, other: 7 }
    expect(await fingerprintOf(withRelations)).toBe(await fingerprintOf({ plain }))
  })

  it('is another for each change of what is created', async () => {
    const all = await Promise.all(Object.values(different).map((schema) => fingerprintOf(schema)))
    expect(new Set([...all, await fingerprintOf({ plain }, 'snake_case')]).size).toBe(all.length + 1)
  })
})

describe('a Drizzle schema', () => {
  it('is created with the names that its casing makes', async () => {
    const table = pgTable('child', { parentId: integer(), data: jsonb().default({ a: 1 }) })
    const { url, name } = await existingDatabase()
    await ensureTables(url, drizzle({ schema: { table }, casing: 'snake_case' }))
    expect(await queryIn(name, 'insert into child default values returning parent_id, data')).toEqual([
      { parent_id: null, data: { a: 1 } },
    ])
  })

  it('without tables is refused', async () => {
    for (const schema of [{ mood: pgEnum('mood', ['a']) }, {}]) {
      expect(await errorOf(fingerprintOf(schema))).toMatchObject({ code: 'models-invalid' })
    }
  })

  it('that drizzle-kit refuses by ending the process is refused by an error', async () => {
    const twice = pgTable('child', { id: integer() }, (t) => [index('i').on(t.id), index('i').on(t.id)])
    const { url } = await existingDatabase()
    const exit: unknown = Reflect.get(process, 'exit')
    expect(await errorOf(ensureTables(url, drizzle({ schema: { twice } })))).toMatchObject({ code: 'models-invalid' })
    expect(Reflect.get(process, 'exit')).toBe(exit)
  })

  it.each<[string, object]>([
    ['a client', { schema: blog, client: {} }],
    ['a connection', { schema: blog, connection: 'postgres://localhost' }],
    ['a folder that is no path', { schema: blog, migrations: 7 }],
    ['a table of no name', { schema: blog, migrations: '.', migrationsTable: '' }],
    ['an empty path', { schema: blog, migrations: '' }],
    ['a URL of no file', { schema: blog, migrations: new URL('https://localhost') }],
  ])('is refused with %s', (_, options) => {
    expect(() => drizzle(options)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })
})
