import * as v from 'valibot'
import type { EntityManager } from 'typeorm'
import { must, objectOption, readOptions } from '../../kernel/options.ts'
import type { Models } from '../port.ts'
import { typeOrmMigrations } from './migrations.ts'
import { declaredEntities } from './declared-entities.ts'
import { connectionOptions, type ReadEntities, readTypeOrmEntities, type TypeOrmOptions } from './entities.ts'
import { tenantManagers } from './tenant-managers.ts'

export type { Models } from '../port.ts'
export type { TypeOrmOptions } from './entities.ts'

/**
 * Gives each tenant the tables of TypeORM's entities, and its work an EntityManager of TypeORM.
 *
 * With `migrations`, the tables are those of TypeORM's migrations. A database keeps its history in TypeORM's own table, so
 * that `typeorm migration:run` and Tenantry agree on it. Each `up` runs without a database, when the tables are first
 * needed: the statements that it sends are recorded, and run in a transaction. So it must send the same ones each time,
 * and cannot read rows. Indexes are created and dropped without CONCURRENTLY.
 *
 * All tenants share one reading of the entities. Entities that extend BaseEntity, and lazy relations, are refused: they
 * reach one database only.
 *
 * @param options those of a DataSource, without the ones about its connection
 * @throws `invalid-option`; entities or migrations that cannot be used are reported as `models-invalid` by the first
 *   call that needs them
 */
export function typeorm(options: TypeOrmOptions): Models<EntityManager> {
  const read = readOptions('The argument of typeorm()', optionsSchema, options)
  let reading: Promise<ReadEntities> | undefined
  const entities = () => (reading ??= readTypeOrmEntities(read))
  const { migrations, migrationsTableName = 'migrations', metadataTableName = 'typeorm_metadata' } = read
  const at = (table: string) => ({ schema: read.schema ?? 'public', table })
  return {
    schema:
      migrations === undefined
        ? declaredEntities(entities)
        : typeOrmMigrations(entities, at(migrationsTableName), at(metadataTableName)),
    handles: tenantManagers(entities),
  }
}

const optionsSchema = v.pipe(
  objectOption<TypeOrmOptions>('Write typeorm({ entities: [...] }).'),
  v.check(
    (given) => !connectionOptions.some((name) => name in given),
    must(
      `without the options of a connection, such as ${connectionOptions.slice(0, 3).join(', ')}`,
      'Set the server once, by postgres({ url }); the EntityManager is made per tenant.',
    ),
  ),
)
