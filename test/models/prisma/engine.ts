import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import type { MigrationList, SchemaEngine } from '@prisma/schema-engine-wasm'
import * as bindings from '@prisma/schema-engine-wasm/schema_engine_bg'
import { Pool } from 'pg'
import { serverUrl } from '../../support/server.ts'

// Prisma's own engine of migrations, in WebAssembly: the commands of `prisma migrate`, without a download.

/** The part of WebAssembly that is used. TypeScript knows it in browsers alone. */
interface WebAssemblyApi {
  instantiate(
    bytes: Uint8Array,
    imports: object,
  ): Promise<{ instance: { exports: { readonly __wbindgen_start: () => void } } }>
}

let loading: Promise<typeof SchemaEngine> | undefined

/** Instantiates the module by hand: not every supported Node.js can import it. */
async function loadEngine(): Promise<typeof SchemaEngine> {
  const file = fileURLToPath(import.meta.resolve('@prisma/schema-engine-wasm')).replace(/\.js$/, '_bg.wasm')
  const api = Reflect.get(globalThis, 'WebAssembly') as WebAssemblyApi
  const { instance } = await api.instantiate(await readFile(file), { './schema_engine_bg.js': bindings })
  bindings.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
  return bindings.SchemaEngine
}

async function withEngine<T>(database: string, work: (engine: SchemaEngine) => Promise<T>): Promise<T> {
  const Engine = await (loading ??= loadEngine())
  const pool = new Pool({ connectionString: serverUrl({ database }), max: 1 })
  const factory = new PrismaPg(pool)
  const connect = factory.connect.bind(factory)
  factory.connect = async () => {
    const adapter = await connect()
    // Prisma's adapter splits at every semicolon; the engine that users have does not.
    adapter.executeScript = async (script) => void (await pool.query(script))
    return adapter
  }
  const datamodels: [string, string][] = [['schema.prisma', 'datasource db {\n  provider = "postgresql"\n}\n']]
  const engine = await Engine.new({ datamodels }, () => undefined, bindMigrationAwareSqlAdapterFactory(factory))
  try {
    return await work(engine)
  } finally {
    engine.free()
    await pool.end()
  }
}

const filters = { externalTables: [], externalEnums: [] }

async function listOf(folder: string): Promise<MigrationList> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.flatMap((it) => (it.isDirectory() ? [it.name] : []))
  return {
    baseDir: folder,
    lockfile: { path: 'migration_lock.toml', content: await readFile(join(folder, 'migration_lock.toml'), 'utf8') },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all(
      names.map(async (path) => {
        const value = await readFile(join(folder, path, 'migration.sql'), 'utf8')
        return { path, migrationFile: { path: 'migration.sql', content: { tag: 'ok', value } } }
      }),
    ),
  }
}

/** Runs `prisma migrate deploy`. @returns the names of the migrations that it applied */
export async function deploy(database: string, folder: string): Promise<readonly string[]> {
  const migrationsList = await listOf(folder)
  const { appliedMigrationNames } = await withEngine(database, (it) => it.applyMigrations({ migrationsList, filters }))
  return appliedMigrationNames
}

/** Runs `prisma migrate status`. */
export async function statusOf(database: string, folder: string) {
  const migrationsList = await listOf(folder)
  return withEngine(database, (it) =>
    it.diagnoseMigrationHistory({ migrationsList, filters, optInToShadowDatabase: false }),
  )
}

/** The status of a database that has exactly the migrations of its folder. */
export const inSync = { editedMigrationNames: [], failedMigrationNames: [], hasMigrationsTable: true, history: null }

/** Runs `prisma migrate resolve --applied`. */
export async function resolveApplied(database: string, folder: string, migrationName: string): Promise<void> {
  const migrationsList = await listOf(folder)
  await withEngine(database, (it) => it.markMigrationApplied({ migrationName, migrationsList }))
}

/** Runs `prisma migrate resolve --rolled-back`. */
export async function resolveRolledBack(database: string, migrationName: string): Promise<void> {
  await withEngine(database, (it) => it.markMigrationRolledBack({ migrationName }))
}

/** Returns the SQL that `prisma migrate dev` writes for the first migration of a schema. */
export async function createScript(content: string): Promise<string> {
  const to = { tag: 'schemaDatamodel' as const, files: [{ path: 'schema.prisma', content }] }
  const { stdout } = await withEngine('postgres', (it) =>
    it.diff({ from: { tag: 'empty' }, to, script: true, exitCode: null, filters }),
  )
  return stdout ?? ''
}
