import { type Kysely, sql } from 'kysely'
import { Migration } from '@mikro-orm/migrations'
import { checkDatabase, ensureTables, type SchemaSource } from 'tenantry'
import { drizzle } from 'tenantry/drizzle'
import { kysely, kyselyMigrations } from 'tenantry/kysely'
import { sqlFiles } from 'tenantry/sql'
import { expect, it } from 'vitest'
import { hazards } from '../rollouts/support.ts'
import { existingDatabase, queryIn } from '../start-up/support.ts'
import { openTestTenantry } from '../support/tenants.ts'
import { journalFolder, migrateByDrizzle } from './drizzle/folders.ts'
import { generatedHistory, type HistoryStep, noted } from './generated-history.ts'
import { migrate, providerOf } from './kysely/migrate.ts'
import { migratedBy, migrateByMikroOrm } from './mikro-orm/migrate.ts'
import { deploy } from './prisma/engine.ts'
import { migrationsFolder, prismaOf } from './prisma/folders.ts'
import { folderWith } from './sql/folders.ts'
import { dbmate } from './sql/run-dbmate.ts'
import { nodePgMigrate } from './sql/run-node-pg-migrate.ts'

/** A history as a tool has it. */
interface ToolHistory {
  readonly schema: SchemaSource
  /** Runs the tool itself on a database. */
  readonly migrate: (database: string) => Promise<unknown>
}

interface Tool {
  readonly concurrently: boolean
  readonly take: (steps: readonly HistoryStep[]) => ToolHistory | Promise<ToolHistory>
}

const text = ({ statements }: HistoryStep) => `${statements.join(';\n')};\n`
const named = <Value>(steps: readonly HistoryStep[], valueOf: (step: HistoryStep) => Value) =>
  Object.fromEntries(steps.map((step) => [step.name, valueOf(step)]))

const tools: Readonly<Record<string, Tool>> = {
  "Drizzle's migrator": {
    concurrently: false,
    take: async (steps) => {
      const folder = await journalFolder(
        named(steps, ({ statements }) => statements.map((one) => `${one};`).join('\n--> statement-breakpoint\n')),
      )
      return { schema: drizzle({ migrations: folder }).schema, migrate: (name) => migrateByDrizzle(name, folder) }
    },
  },
  "Kysely's Migrator": {
    concurrently: false,
    take: (steps) => {
      const migrations = named(steps, ({ statements }) => ({
        up: async (db: Kysely<unknown>) => {
          for (const statement of statements) await sql.raw(statement).execute(db)
        },
      }))
      return { schema: kyselyMigrations(providerOf(migrations)), migrate: (name) => migrate(name, migrations) }
    },
  },
  "MikroORM's Migrator": {
    concurrently: true,
    take: (steps) => {
      const migrationsList = steps.map(({ name, statements, isOutside }) => ({
        name,
        class: class extends Migration {
          override up(): void {
            for (const statement of statements) this.addSql(statement)
          }
          override isTransactional(): boolean {
            return !isOutside
          }
        },
      }))
      const options = { migrationsList, allOrNothing: false }
      return { schema: migratedBy(options).schema, migrate: (name) => migrateByMikroOrm(name, options) }
    },
  },
  dbmate: {
    concurrently: true,
    take: async (steps) => {
      const files = steps.map((step) => [
        `${step.name}.sql`,
        `-- migrate:up${step.isOutside ? ' transaction:false' : ''}\n${text(step)}-- migrate:down\n`,
      ])
      const folder = await folderWith(Object.fromEntries(files) as Record<string, string>)
      return { schema: sqlFiles(folder, { layout: 'dbmate' }), migrate: (name) => dbmate(name, folder) }
    },
  },
  'node-pg-migrate': {
    concurrently: false,
    take: async (steps) => {
      const files = steps.map((step) => [`${step.name}.sql`, text(step)])
      const folder = await folderWith(Object.fromEntries(files) as Record<string, string>)
      return { schema: sqlFiles(folder, { layout: 'node-pg-migrate' }), migrate: (name) => nodePgMigrate(name, folder) }
    },
  },
  Prisma: {
    concurrently: true,
    take: async (steps) => {
      const folder = await migrationsFolder(named(steps, text))
      return { schema: prismaOf(folder).schema, migrate: (name) => deploy(name, folder) }
    },
  },
}

const notes = async (database: string) =>
  (await queryIn<{ name: string }>(database, `select name from ${noted} order by id`)).map(({ name }) => name)

it.each(Object.entries(tools))(
  '120 migrations of %s are applied once and in order, and make what it makes itself',
  { timeout: 300_000 },
  async (_, { concurrently, take }) => {
    const steps = generatedHistory(120, { concurrently })
    const names = steps.flatMap(({ name, isOutside }) => (isOutside ? [] : [name]))
    const [older, all] = [await take(steps.slice(0, 105)), await take(steps)]
    /** Has all of the history, which the tool has no part left of. */
    const expectWhole = async (database: string) => {
      await all.migrate(database)
      expect(await notes(database)).toEqual(names)
    }

    const theirs = await existingDatabase()
    await expectWhole(theirs.name)
    expect((await ensureTables(theirs.url, all.schema)).created).toEqual([])
    expect(await checkDatabase(theirs.url, all.schema, { exact: true })).toMatchObject({ outcome: 'matches' })

    const ours = await existingDatabase()
    await ensureTables(ours.url, older.schema)
    await ensureTables(ours.url, all.schema)
    await expectWhole(ours.name)
    expect(await checkDatabase(ours.url, all.schema, { exact: true })).toMatchObject({ outcome: 'matches' })

    const handles = kysely<object>()
    const former = await openTestTenantry({ schema: older.schema, handles })
    await former.onboard('old')
    const tenantry = await openTestTenantry({ schema: all.schema, handles }, { installation: former.installation })
    const plan = await tenantry.rollouts.plan()
    expect(plan.from).toMatchObject([{ planner: 'migrations', left: [] }])
    expect(await tenantry.rollouts.start(plan, { allow: hazards(plan) })).toMatchObject({ changed: 1, failures: [] })
    await tenantry.onboard('new')
    await tenantry.tenants.adopt('theirs', { database: theirs.name })
    for (const id of ['old', 'new', 'theirs']) {
      expect(await tenantry.tenants.check(id, { exact: true }), `${id} differs`).toMatchObject({
        outcome: 'matches',
        privileges: [],
      })
      const tenant = await tenantry.tenants.get(id)
      await expectWhole(tenant!.database)
    }
  },
)
