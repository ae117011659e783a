import {
  BaseEntity,
  Column,
  DataSource,
  Entity,
  EntitySchema,
  type EntitySchemaColumnOptions,
  type EntitySchemaOptions,
  JoinTable,
  ManyToMany,
  ManyToOne,
  PrimaryGeneratedColumn,
} from 'typeorm'
import { checkDatabase, ensureTables } from 'tenantry'
import { typeorm, type TypeOrmOptions } from 'tenantry/typeorm'
import { describe, expect, it } from 'vitest'
import { existingDatabase, queryIn } from '../../start-up/support.ts'
import { errorOf, serverUrl } from '../../support/server.ts'
import { authorView, entities, labelSchema, postSchema, userSchema } from './blog.ts'

/** Lets TypeORM itself make the tables. */
async function synchronize(database: string, options: TypeOrmOptions): Promise<void> {
  const dataSource = new DataSource({ ...options, type: 'postgres', url: serverUrl({ database }) })
  await dataSource.initialize()
  try {
    await dataSource.synchronize()
  } finally {
    await dataSource.destroy()
  }
}

const schemaOf = (...all: readonly EntitySchema[]) => typeorm({ entities: [...all] }).schema

describe('entities', () => {
  it('make the tables that TypeORM itself makes', async () => {
    const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
    await queryIn(theirs.name, 'create schema words')
    await synchronize(theirs.name, { entities })
    expect(await checkDatabase(theirs.url, typeorm({ entities }), { exact: true })).toMatchObject({
      outcome: 'matches',
    })
    await ensureTables(ours.url, typeorm({ entities }))
    expect((await ensureTables(ours.url, typeorm({ entities }))).created).toEqual([])
    const metadata = 'select type, "table", name, value from typeorm_metadata order by 1, 2, 3'
    expect(await queryIn(ours.name, metadata)).toEqual(await queryIn(theirs.name, metadata))
  })

  it('may be decorated classes, in a schema of their own', async () => {
    const options: TypeOrmOptions = { entities: [Book, Shelf], schema: 'library', uuidExtension: 'pgcrypto' }
    const { url, name } = await existingDatabase('')
    await queryIn(name, 'create schema library')
    await synchronize(name, options)
    expect(await checkDatabase(url, typeorm(options), { exact: true })).toMatchObject({ outcome: 'matches' })
    expect(await queryIn(name, `select count(*)::int as tables from pg_tables where schemaname = 'library'`)).toEqual([
      { tables: 3 },
    ])
  })

  it('that are missing are created, and differences reported', async () => {
    const { url } = await existingDatabase()
    await ensureTables(url, schemaOf(simple({})))
    expect((await ensureTables(url, schemaOf(simple({}), other))).created).toEqual([{ kind: 'table', name: 'other' }])
    const changed = schemaOf(simple({ text: { type: 'text', nullable: true } }))
    expect(await checkDatabase(url, changed)).toMatchObject({ outcome: 'differs' })
  })
})

class Shelf {
  id!: string
  books!: Book[]
}
class Book {
  id!: string
  title!: string
  shelf!: Shelf
}
// Node does not run the syntax of decorators.
Entity()(Shelf)
PrimaryGeneratedColumn('uuid')(Shelf.prototype, 'id')
Entity()(Book)
PrimaryGeneratedColumn('uuid')(Book.prototype, 'id')
Column({ type: 'varchar', length: 20 })(Book.prototype, 'title')
ManyToOne(() => Shelf, { onDelete: 'SET NULL' })(Book.prototype, 'shelf')
ManyToMany(() => Book)(Shelf.prototype, 'books')
JoinTable()(Shelf.prototype, 'books')

function simple(columns: Record<string, EntitySchemaColumnOptions>, more: object = {}): EntitySchema {
  return new EntitySchema({ name: 'Simple', columns: { id: { type: 'int', primary: true }, ...columns }, ...more })
}

const other = new EntitySchema({ name: 'Other', columns: { id: { type: 'int', primary: true } } })

/** Entities of which no two make the same tables. */
const different: Readonly<Record<string, EntitySchema>> = {
  plain: simple({}),
  'another name': simple({}, { tableName: 'plain' }),
  'another schema': simple({}, { schema: 'other' }),
  'a column more': simple({ text: { type: 'text' } }),
  'another type': simple({ text: { type: 'varchar' } }),
  'a length': simple({ text: { type: 'varchar', length: 3 } }),
  nullable: simple({ text: { type: 'text', nullable: true } }),
  unique: simple({ text: { type: 'text', unique: true } }),
  'a default': simple({ text: { type: 'text', default: 'a' } }),
  'another default': simple({ text: { type: 'text', default: 'b' } }),
  'an enum': simple({ text: { type: 'enum', enum: ['a', 'b'] } }),
  'an enum in another order': simple({ text: { type: 'enum', enum: ['b', 'a'] } }),
  'an index': simple({ text: { type: 'text' } }, { indices: [{ columns: ['text'] }] }),
  'a part of an index': simple({ text: { type: 'text' } }, { indices: [{ columns: ['text'], where: 'id > 1' }] }),
  'a check': simple({}, { checks: [{ expression: 'id > 0' }] }),
  'another check': simple({}, { checks: [{ expression: 'id > 1' }] }),
  'a comment': simple({ text: { type: 'text', comment: 'a' } }),
}

const backwards = (value: object) => Object.fromEntries(Object.entries(value).toReversed())

describe('the fingerprint of entities', () => {
  it('is the same in any order of entities and keys', async () => {
    const reversed = entities.toReversed().map(({ options }) => {
      const columns = Object.entries<object>(options.columns).map(
        ([name, column]) => [name, backwards(column)] as const,
      )
      const all = backwards({ ...backwards(options), columns: Object.fromEntries(columns) })
      return new EntitySchema(all as unknown as EntitySchemaOptions<object>)
    })
    expect(await schemaOf(...reversed).fingerprint()).toBe(await schemaOf(...entities).fingerprint())
  })

  it('is another for each change of what is created', async () => {
    const all = await Promise.all(Object.values(different).map((entity) => schemaOf(entity).fingerprint()))
    expect(new Set(all).size).toBe(all.length)
  })
})

class Active extends BaseEntity {
  id!: number
}
Entity()(Active)
PrimaryGeneratedColumn()(Active.prototype, 'id')

const lazy = new EntitySchema<{ id: number; other: object }>({
  name: 'Lazy',
  columns: { id: { type: 'int', primary: true } },
  relations: { other: { type: 'many-to-one', target: 'Other', lazy: true } },
})

describe('what cannot be used is refused:', () => {
  it.each<[string, TypeOrmOptions['entities'], string]>([
    ['no entities', [], 'There are no entities'],
    ['no files', ['/nowhere/*.js'], 'There are no entities'],
    ['a missing relation', [postSchema, labelSchema], 'Post#author'],
    ['a table without a key', [new EntitySchema({ name: 'Bare', columns: {} })], 'primary'],
    ['active records', [Active], 'Active extends BaseEntity'],
    ['lazy relations', [lazy, other], 'Lazy.other is a lazy relation'],
  ])('%s', async (_, given, message) => {
    const models = typeorm({ entities: given })
    const error = await errorOf(models.schema.fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringContaining(message) })
  })

  it.each(['url', 'host', 'synchronize', 'cache', 'type'])('the option %s', (name) => {
    const options = { entities: [userSchema, authorView], [name]: true }
    expect(() => typeorm(options)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })
})
