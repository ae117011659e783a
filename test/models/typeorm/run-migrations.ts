import { DataSource, type MigrationInterface, type QueryRunner } from 'typeorm'
import { typeorm, type TypeOrmOptions } from 'tenantry/typeorm'
import { serverUrl } from '../../support/server.ts'
import { entities } from './blog.ts'

type MigrationClass = new () => MigrationInterface

/** Makes a migration, named and timed as TypeORM's generated ones are. */
export function migration(
  name: string,
  up: string | ((runner: QueryRunner) => unknown),
  transaction?: boolean,
): MigrationClass {
  return class implements MigrationInterface {
    readonly name = name
    // Left out where it is not set: TypeORM asks whether it is there.
    constructor() {
      if (transaction !== undefined) Object.assign(this, { transaction })
    }
    async up(runner: QueryRunner): Promise<void> {
      await (typeof up === 'string' ? runner.query(up) : up(runner))
    }
    async down(): Promise<void> {}
  }
}

export const modelsOf = (migrations: readonly MigrationClass[], options: Partial<TypeOrmOptions> = {}) =>
  typeorm({ entities, migrations: [...migrations], ...options })

/** Lets TypeORM itself run the migrations of a database; returns the names of those that it applied. */
export async function runMigrations(
  database: string,
  migrations: readonly MigrationClass[],
  options: Partial<TypeOrmOptions> = {},
): Promise<{ readonly applied: readonly string[]; readonly wasPending: boolean }> {
  const dataSource = new DataSource({
    entities,
    ...options,
    migrations: [...migrations],
    type: 'postgres',
    url: serverUrl({ database }),
    migrationsTransactionMode: 'each',
  })
  await dataSource.initialize()
  try {
    const wasPending = await dataSource.showMigrations()
    const applied = await dataSource.runMigrations()
    return { applied: applied.map(({ name }) => name), wasPending }
  } finally {
    await dataSource.destroy()
  }
}

/** The result for a database that has all migrations. */
export const nothingPending = { applied: [], wasPending: false }
