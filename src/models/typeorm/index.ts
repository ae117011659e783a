import * as v from 'valibot'
import type { EntityManager } from 'typeorm'
import { must, objectOption, readOptions } from '../../kernel/options.ts'
import type { Models } from '../port.ts'
import { declaredEntities } from './declared-entities.ts'
import { connectionOptions, type ReadEntities, readEntities, type TypeOrmOptions } from './entities.ts'
import { tenantManagers } from './tenant-managers.ts'

export type { Models } from '../port.ts'
export type { TypeOrmOptions } from './entities.ts'

/**
 * Gives each tenant the tables of TypeORM's entities, and its work an EntityManager of TypeORM.
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
  const entities = () => (reading ??= readEntities(read))
  return { schema: declaredEntities(entities), handles: tenantManagers(entities) }
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
