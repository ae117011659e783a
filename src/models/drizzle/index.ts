import * as v from 'valibot'
import type { DrizzleConfig } from 'drizzle-orm'
import { drizzle as drizzleOn, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { must, objectOption, readOptions } from '../../kernel/options.ts'
import { handlesOver } from '../handles-over.ts'
import { folderPath, isFolder } from '../migrations/folder.ts'
import type { Models } from '../port.ts'
import { declaredTables } from './declared-tables.ts'
import { generatedFolder } from './generated-folder.ts'
import { DrizzlePool } from './drizzle-pool.ts'

export type { Models } from '../port.ts'

/** Drizzle's options, and the migrations that drizzle-kit generated. */
export interface DrizzleOptions<Schema extends Record<string, unknown>> extends DrizzleConfig<Schema> {
  /**
   * The folder of drizzle-kit's migrations: the `out` of `drizzle.config.ts`, relative to the working directory, or a
   * URL. Default: none; the tables are those of `schema`.
   */
  readonly migrations?: string | URL
  /** The table of applied migrations, if the configuration of Drizzle names one. Default `__drizzle_migrations`. */
  readonly migrationsTable?: string
  /** The schema of that table. Default `drizzle`. */
  readonly migrationsSchema?: string
}

/**
 * Gives each tenant the tables of a Drizzle schema, and its work Drizzle's own database, relational queries included.
 *
 * With `migrations`, the tables come from the generated folder. A database keeps its history in Drizzle's own table,
 * `drizzle.__drizzle_migrations` by default, so that Drizzle's migrator and Tenantry agree on it. Without, they are those that
 * drizzle-kit generates from `schema`; drizzle-kit has to be installed where templates are built or databases are
 * compared.
 *
 * @param options Drizzle's `schema`, `casing`, `logger` and `cache`, shared by all tenants; and those of migrations
 * @throws `invalid-option`; a schema or folder that cannot be used is reported as `models-invalid` by the first call
 *   that needs it
 */
export function drizzle<Schema extends Record<string, unknown> = Record<string, never>>(
  options: DrizzleOptions<Schema>,
): Models<NodePgDatabase<Schema>> {
  const {
    migrations,
    migrationsTable: table = '__drizzle_migrations',
    migrationsSchema: schema = 'drizzle',
    ...config
  } = readOptions('The argument of drizzle()', optionsSchema, options) as DrizzleOptions<Schema>
  return {
    schema:
      migrations === undefined
        ? declaredTables(config.schema ?? {}, config.casing)
        : generatedFolder(folderPath(migrations), { schema, table }),
    handles: handlesOver((pool) => drizzleOn(new DrizzlePool(pool).asClient(), config)),
  }
}

const optionsSchema = v.pipe(
  objectOption<DrizzleOptions<Record<string, unknown>>>("Write drizzle({ schema, migrations: './drizzle' })."),
  v.check(
    (given) => !('client' in given || 'connection' in given),
    must('without a client', 'Tenantry sets it for each tenant.'),
  ),
  v.check(
    ({ migrations }) => migrations === undefined || isFolder(migrations),
    must('with the path or file URL of a folder as migrations', "Write migrations: './drizzle'."),
  ),
  v.check(
    ({ migrationsTable = 'x', migrationsSchema = 'x' }) => isName(migrationsTable) && isName(migrationsSchema),
    must('with names as migrationsTable and migrationsSchema'),
  ),
)

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}
