import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Migration, Migrator as MikroOrmMigrator } from '@mikro-orm/migrations'
import { MikroORM } from '@mikro-orm/postgresql'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { Pool } from 'pg'
import type { SchemaSource } from 'tenantry'
import { drizzle as drizzleModels } from 'tenantry/drizzle'
import { kyselyMigrations } from 'tenantry/kysely'
import { mikroOrm } from 'tenantry/mikro-orm'
import { sqlFiles } from 'tenantry/sql'
import { Address, User } from '../models/mikro-orm.ts'
import { connect } from './maintenance.ts'

/** A tool's migrations: as it runs them itself, and as Tenantry reads them. */
export interface Migrated {
  readonly schema: SchemaSource
  /** Runs all of them on a new database. */
  readonly migrate: (url: string) => Promise<void>
}

type Statements = readonly (readonly string[])[]

const nameOf = (place: number) => `${String(place).padStart(4, '0')}_step`

/** The tools, by name. Each gets an empty folder of its own. */
export const migrators: Readonly<Record<string, (all: Statements, folder: string) => Promise<Migrated>>> = {
  'SQL files': async (all, folder) => {
    const texts = all.map((statements) => statements.map((it) => `${it};\n`).join(''))
    await mkdir(folder, { recursive: true })
    for (const [place, text] of texts.entries()) await writeFile(join(folder, `${nameOf(place)}.sql`), text)
    return {
      schema: sqlFiles(folder),
      // The least that a runner does: one transaction, and a row for each file.
      migrate: async (url) => {
        const client = await connect(url)
        await client.query('begin; create table applied (name text primary key)')
        for (const [place, text] of texts.entries()) {
          await client.query(text)
          await client.query('insert into applied (name) values ($1)', [nameOf(place)])
        }
        await client.query('commit')
        await client.end()
      },
    }
  },
  Drizzle: async (all, folder) => {
    const entries = all.map((_, idx) => ({
      idx,
      version: '7',
      when: (idx + 1) * 1_000,
      tag: nameOf(idx),
      breakpoints: true,
    }))
    await mkdir(join(folder, 'meta'), { recursive: true })
    await writeFile(
      join(folder, 'meta/_journal.json'),
      JSON.stringify({ version: '7', dialect: 'postgresql', entries }),
    )
    for (const [place, statements] of all.entries()) {
      await writeFile(join(folder, `${nameOf(place)}.sql`), statements.join(';\n--> statement-breakpoint\n'))
    }
    return {
      schema: drizzleModels({ migrations: folder }).schema,
      migrate: async (url) => {
        const client = await connect(url)
        await migrate(drizzle({ client }), { migrationsFolder: folder })
        await client.end()
      },
    }
  },
  Kysely: async (all) => {
    const migrations = Object.fromEntries(
      all.map((statements, place) => [
        nameOf(place),
        {
          up: async (db: Kysely<unknown>) => {
            for (const statement of statements) await sql.raw(statement).execute(db)
          },
        },
      ]),
    )
    const provider = { getMigrations: async () => migrations }
    return {
      schema: kyselyMigrations(provider),
      migrate: async (url) => {
        const db = new Kysely<unknown>({
          dialect: new PostgresDialect({ pool: new Pool({ connectionString: url, max: 1 }) }),
        })
        const { error } = await new Migrator({ db, provider }).migrateToLatest()
        await db.destroy()
        if (error instanceof Error) throw error
      },
    }
  },
  MikroORM: async (all) => {
    const migrationsList = all.map((statements, place) => ({
      name: nameOf(place),
      class: class extends Migration {
        override up(): void {
          for (const statement of statements) this.addSql(statement)
        }
      },
    }))
    const entities = [User, Address]
    return {
      schema: mikroOrm({ entities, migrations: { migrationsList } }).schema,
      migrate: async (clientUrl) => {
        const migrations = { migrationsList, snapshot: false, silent: true }
        const orm = await MikroORM.init({ entities, clientUrl, extensions: [MikroOrmMigrator], migrations })
        await orm.migrator.up()
        await orm.close()
      },
    }
  },
}
