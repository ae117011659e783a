import { raw } from '@mikro-orm/core'
import { Migration } from '@mikro-orm/migrations'
import { checkDatabase, ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { existingDatabase, queryIn } from '../../start-up/support.ts'
import { errorOf } from '../../support/server.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { folderWith } from '../sql/folders.ts'
import { migratedBy, migrateByMikroOrm, Person } from './migrate.ts'

class Migration20260101000000 extends Migration {
  override up(): void {
    this.addSql(`create type "mood" as enum ('calm', 'it''s');`)
    this.addSql(
      `create table "person" ("id" serial primary key, "name" varchar(255) not null, "mood" mood default 'it''s');`,
    )
    this.addSql('')
    this.addSql(raw('insert into "person" ("name") values (?), (?)', ["O'Hara; ?", 'a \\ $1']))
  }

  override down(): void {
    this.addSql('drop table "person";')
  }
}

class Migration20260102000000_values extends Migration {
  override async up(): Promise<void> {
    await this.execute('create table "value" ("day" timestamptz, "tags" text[], "document" jsonb, "id" int)')
    const row = [new Date('2026-01-02T03:04:05.678Z'), JSON.stringify({ quoted: `it's "` })]
    await this.execute(`insert into "value" ("day", "tags", "document") values (?, '{a,"b c"}', ?)`, row)
    await this.getEntityManager().execute('update "value" set "id" = ?', [7])
    await this.getEntityManager().transactional((em) => em.execute('update "value" set "id" = "id" + 1'))
    this.addSql(`select setval('person_id_seq', 41)`)
  }
}

class Migration20260103000000 extends Migration {
  override up(): void {
    this.addSql('create index concurrently "person_name" on "person" ("name");')
  }

  override isTransactional(): boolean {
    return false
  }
}

class Migration20260201000000 extends Migration {
  override up(): void {
    this.addSql('create table "note" ("id" int primary key);')
  }
}

const classes = [Migration20260101000000, Migration20260102000000_values, Migration20260103000000]
const names = classes.map(({ name }) => name)
// Each in a transaction of its own, so that one without works.
const three = { migrationsList: classes, allOrNothing: false }
const four = { ...three, migrationsList: [...classes, Migration20260201000000] }

const history = (database: string) => queryIn(database, 'select * from mikro_orm_migrations order by id')

describe("MikroORM's Migrator", () => {
  it('has nothing to do after Tenantry, and its later migrations are accepted', async () => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, migratedBy(three))
    expect(await history(name)).toEqual(
      names.map((key, i) => ({ id: i + 1, name: key, executed_at: expect.any(Date) })),
    )
    expect(await migrateByMikroOrm(name, three)).toEqual([])
    expect(await migrateByMikroOrm(name, four)).toEqual(['Migration20260201000000'])
    expect((await ensureTables(url, migratedBy(four))).created).toEqual([])
    expect(await checkDatabase(url, migratedBy(four), { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('leaves a database that is taken over as it is, and continued', async () => {
    const { url, name } = await existingDatabase()
    expect(await migrateByMikroOrm(name, three)).toEqual(names)
    const written = await history(name)
    expect((await ensureTables(url, migratedBy(three))).created).toEqual([])
    expect(await checkDatabase(url, migratedBy(three), { exact: true })).toMatchObject({ outcome: 'matches' })
    expect(await history(name)).toEqual(written)
    expect((await ensureTables(url, migratedBy(four))).created).toEqual([{ kind: 'table', name: 'note' }])
    expect(await migrateByMikroOrm(name, four)).toEqual([])
  })

  it('writes the same rows', async () => {
    const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
    await ensureTables(ours.url, migratedBy(three))
    await migrateByMikroOrm(theirs.name, three)
    for (const { name } of [ours, theirs]) {
      expect(await queryIn(name, 'select * from value')).toEqual([
        { day: new Date('2026-01-02T03:04:05.678Z'), tags: ['a', 'b c'], document: { quoted: `it's "` }, id: 8 },
      ])
      await queryIn(name, `insert into person (name) values ('next')`)
      expect(await queryIn(name, 'select id, name from person order by id')).toEqual([
        { id: 1, name: "O'Hara; ?" },
        { id: 2, name: 'a \\ $1' },
        { id: 42, name: 'next' },
      ])
    }
  })

  it('makes what Tenantry makes, its database is adopted, and tenants do not write the history', async () => {
    const { name } = await existingDatabase()
    await migrateByMikroOrm(name, three)
    const tenantry = await openTestTenantry(migratedBy(three))
    await tenantry.onboard('made')
    await tenantry.tenants.adopt('adopted', { database: name })
    for (const id of ['made', 'adopted']) {
      expect(await tenantry.tenants.check(id, { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
      await tenantry.with(id, async (em) => {
        expect((await em.findAll(Person)).map((own) => own.name)).toEqual(["O'Hara; ?", 'a \\ $1'])
        expect(await em.execute('select name from mikro_orm_migrations')).toHaveLength(3)
        for (const forgery of ['delete from mikro_orm_migrations', `select nextval('mikro_orm_migrations_id_seq')`])
          expect(await errorOf(em.execute(forgery)), `${id}: ${forgery}`).toMatchObject({ code: '42501' })
      })
      const tenant = await tenantry.tenants.get(id)
      expect(await migrateByMikroOrm(tenant!.database, three)).toEqual([])
    }
  })

  it('has its tenants rolled out', async () => {
    const first = await openTestTenantry(migratedBy(three))
    await first.onboard('a')
    const { installation } = first
    const tenantry = await openTestTenantry(migratedBy(four), { installation })
    const plan = await tenantry.rollouts.plan()
    expect(plan.from).toMatchObject([{ planner: 'migrations', left: [] }])
    expect(await tenantry.rollouts.start(plan)).toMatchObject({ outcome: 'done' })
    const tenant = await tenantry.tenants.get('a')
    expect(await migrateByMikroOrm(tenant!.database, four)).toEqual([])
  })

  it.each([
    ['with a schema in its name', { tableName: 'ops.applied' }, 'ops.applied'],
    ['in the schema of the migrations', { schema: 'ops', tableName: 'applied' }, 'ops.applied'],
  ])('may keep its table elsewhere: %s', async (_, place, table) => {
    const options = { ...place, migrationsList: [Migration20260201000000] }
    const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
    await ensureTables(ours.url, migratedBy(options))
    await migrateByMikroOrm(theirs.name, options)
    for (const { url, name } of [ours, theirs]) {
      expect(await queryIn(name, `select name from ${table}`)).toHaveLength(1)
      expect(await checkDatabase(url, migratedBy(options))).toMatchObject({ outcome: 'matches' })
    }
    expect(await migrateByMikroOrm(ours.name, options)).toEqual([])
  })
})

describe('a database', () => {
  const empty = (name: string) => ({
    name,
    class: class extends Migration {
      override up(): void {}
    },
  })
  const listOf = (...all: string[]) => migratedBy({ migrationsList: all.map(empty) })

  it.each([
    ['that has a migration which is missing', ['a', 'd'], 'has c, which the folder lacks'],
    ['that a migration comes too late for', ['a', 'b', 'c'], 'b comes before c'],
  ])('%s is refused', async (_, all, message) => {
    const { url } = await existingDatabase()
    await ensureTables(url, listOf('a', 'c'))
    const error = await errorOf(ensureTables(url, listOf(...all)))
    expect(error).toMatchObject({ code: 'schema-conflict', message: expect.stringContaining(message) })
  })

  it('may have been migrated out of order, and by an older Migrator', async () => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, listOf('a', 'c'))
    await queryIn(name, `insert into mikro_orm_migrations (name) values ('b.ts')`)
    expect((await ensureTables(url, listOf('a', 'b', 'c'))).created).toEqual([])
  })
})

describe('migrations', () => {
  it('may be those of a folder', async () => {
    const code = (name: string) => `import { Migration } from '${import.meta.resolve('@mikro-orm/migrations')}'
      export class Any extends Migration { up(): void { this.addSql('create table ${name} (id int)') } }`
    const path = await folderWith({ 'Migration2.ts': code('two'), 'Migration1.ts': code('one'), 'x.d.ts': '' })
    const { url, name } = await existingDatabase()
    expect((await ensureTables(url, migratedBy({ path }))).created).toContainEqual({ kind: 'table', name: 'two' })
    expect(await history(name)).toMatchObject([{ name: 'Migration1' }, { name: 'Migration2' }])
    expect(await migrateByMikroOrm(name, { path })).toEqual([])
  })

  it('of which one runs outside of a transaction may have transactions of their own', async () => {
    class Own extends Migration {
      override up(): void {
        for (const statement of ['begin', 'create table own (id int);', 'commit;']) this.addSql(statement)
      }
      override isTransactional(): boolean {
        return false
      }
    }
    const { url } = await existingDatabase()
    const { created } = await ensureTables(url, migratedBy({ migrationsList: [Own] }))
    expect(created).toContainEqual({ kind: 'table', name: 'own' })
  })

  it.each<[string, (migration: Migration) => unknown, string]>([
    ['reads rows', (own) => own.execute('select 1'), 'a reads rows'],
    ['reads entities', (own) => own.getEntityManager().findAll(Person), 'a reads rows'],
    ['reads what it wrote', (own) => own.getEntityManager().insert(Person, { name: 'x' }), 'a reads rows'],
    ['reads rows, and goes on', (own) => own.execute('/* x */ (select 1)').catch(() => []), 'a reads rows'],
    ['throws', () => Promise.reject(new Error('no such luck')), 'The migration a failed: no such luck'],
    ['is random', (own) => own.addSql(`select ${Math.random()}`), 'a sends other statements each time'],
    ['ends the transaction', (own) => own.addSql('commit'), 'a: a migration cannot begin, end or divide'],
    ['fails', (own) => own.addSql('select 1 / 0'), 'division by zero\nThe statement: select 1 / 0'],
  ])('are refused where one %s', async (_, up, message) => {
    const migration = class extends Migration {
      override up = async () => void (await up(this))
    }
    const { url } = await existingDatabase()
    const error = await errorOf(ensureTables(url, migratedBy({ migrationsList: [{ name: 'a', class: migration }] })))
    expect(error).toMatchObject({ message: expect.stringContaining(message) })
  })

  it.each([
    ['there are none', { path: '/nowhere' }, 'There are no migrations'],
    ['two have one name', { migrationsList: [Migration20260101000000, Migration20260101000000] }, 'Two migrations'],
  ])('are refused where %s', async (_, migrations, message) => {
    const error = await errorOf(migratedBy(migrations).schema.fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringContaining(message) })
  })

  it('are not read where the options name none', async () => {
    const { schema } = migratedBy({ tableName: 'other' })
    expect(await schema.fingerprint()).toBe(await mikroOrm({ entities: [Person] }).schema.fingerprint())
    const refusal = expect.objectContaining({ code: 'invalid-option' })
    expect(() => migratedBy({ path: 'x', disableForeignKeys: true })).toThrow(refusal)
  })
})
