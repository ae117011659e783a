import { MikroORM, type Options } from '@mikro-orm/postgresql'
import { TenantryError, messageOf } from '../../kernel/errors.ts'
import { objectOption, readOptions } from '../../kernel/options.ts'
import { refuseForeignFlush } from './foreign-entities.ts'
import { refuseUnusable } from './refused-schemas.ts'
import { TenantEntityManager } from './tenant-entity-manager.ts'

/** Options about the place of the database, or the way to it: Tenantry sets them. */
const ownOptions = [
  'driver',
  'dbName',
  'clientUrl',
  'host',
  'port',
  'user',
  'password',
  'replicas',
  'preferReadReplicas',
  'pool',
  'driverOptions',
  'contextName',
  'context',
  'entityManager',
  'ensureDatabase',
  'ensureIndexes',
] as const

/** MikroORM's options, without those that Tenantry sets. */
export type MikroOrmModelsOptions = Omit<Options, (typeof ownOptions)[number]> & {
  /** The entities, as MikroORM takes them. */
  readonly entities: NonNullable<Options['entities']>
}

/** Reads the options, and refuses those that would be overridden. @throws `invalid-option` */
export function checkMikroOrmOptions(options: MikroOrmModelsOptions): MikroOrmModelsOptions {
  const read = readOptions(
    'The argument of mikroOrm()',
    objectOption<MikroOrmModelsOptions>('Write mikroOrm({ entities: [...] }).'),
    options,
  )
  if (read.migrations?.disableForeignKeys === true)
    throw new TenantryError('invalid-option', 'mikroOrm() does not take the option migrations.disableForeignKeys.', {
      hint: 'Leave it out: only a superuser could disable them.',
    })
  const refused = ownOptions.find((name) => name in read)
  if (refused === undefined) return read
  throw new TenantryError('invalid-option', `mikroOrm() does not take the option ${refused}.`, {
    hint: 'Set the server once, by postgres({ url }); the EntityManager is made per tenant.',
  })
}

/**
 * Discovers the entities. Opens no connection.
 *
 * @throws `models-invalid`
 */
export async function discover(options: MikroOrmModelsOptions): Promise<MikroORM> {
  if (Array.isArray(options.entities) && options.entities.length === 0) throw entitiesError('There are no entities.')
  try {
    const orm = (await MikroORM.init({
      ...options,
      subscribers: [...(options.subscribers ?? []), refuseForeignFlush],
      entityManager: TenantEntityManager,
      // Never connected to: each tenant's connections come from its pool.
      dbName: 'models',
      ensureDatabase: false,
    })) as MikroORM
    refuseUnusable(orm)
    return orm
  } catch (error) {
    throw entitiesError(messageOf(error), error)
  }
}

function entitiesError(message: string, cause?: unknown): TenantryError {
  return new TenantryError('models-invalid', `The MikroORM models cannot be used: ${message}`, {
    cause,
    hint: 'Check the entities given to mikroOrm(): each with a table of its own, all that are referred to among them.',
  })
}
