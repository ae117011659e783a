import { BaseEntity, DataSource, type DataSourceOptions, type EntityMetadata, type QueryRunner } from 'typeorm'
import { quoteName } from '../../kernel/quoting.ts'
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js'
import { TenantryError, messageOf } from '../../kernel/errors.ts'
import { TypeOrmPool, type UsedConnection } from './connections.ts'
import { Recorder } from './recorder.ts'

/** Options about the place of the database, or the way to it: Tenantry sets them. */
export const connectionOptions = [
  'type',
  'url',
  'host',
  'port',
  'username',
  'password',
  'database',
  'ssl',
  'applicationName',
  'driver',
  'nativeDriver',
  'replication',
  'connectTimeoutMS',
  'poolErrorHandler',
  'poolSize',
  'extra',
  'logNotifications',
  'parseInt8',
  'useUTC',
  'synchronize',
  'dropSchema',
  'migrationsRun',
  'migrationsTransactionMode',
  'cache',
] as const

type PostgresOptions = Extract<DataSourceOptions, { readonly type: 'postgres' }>

/** Options of {@link typeorm}: those of a DataSource, without those that Tenantry sets. */
export type TypeOrmOptions = Omit<PostgresOptions, (typeof connectionOptions)[number]> & {
  /** The entities, as a DataSource takes them. */
  readonly entities: NonNullable<PostgresOptions['entities']>
}

/** The entities, as TypeORM has read them. */
export interface ReadEntities {
  /** Has no connection. Others that have share its entities. */
  readonly dataSource: DataSource
  /** The statements that a DataSource sends first: they create extensions. */
  readonly extensions: readonly string[]
  /** Logs nothing. */
  readonly silent: DataSource['logger']
}

/** Reads the entities, once for all tenants. Opens no connection. @throws `models-invalid` */
export async function readTypeOrmEntities({ logger, logging, ...options }: TypeOrmOptions): Promise<ReadEntities> {
  const available = (options.extensions ?? []).map((name) => ({ name }))
  const installing = new Recorder((text) => (text.startsWith('SELECT') ? available : undefined))
  try {
    const dataSource = new DataSource({
      ...options,
      type: 'postgres',
      driver: { Pool: TypeOrmPool.bind(undefined, async () => installing), defaults: {} },
      logging: false,
      // Statements are recorded without those of a transaction.
      migrationsTransactionMode: 'none',
    })
    // Otherwise it asks for them. Any version has all that it looks for.
    Object.assign(dataSource.driver, { version: '18', database: 'tenant', searchSchema: 'public' })
    await dataSource.initialize()
    for (const metadata of dataSource.entityMetadatas) refuseUnbound(metadata)
    if (dataSource.entityMetadatas.length === 0) throw new Error('There are no entities.')
    const silent = dataSource.logger
    dataSource.setOptions({ ...(logger && { logger }), ...(logging && { logging }) })
    return { dataSource, extensions: await installing.statements(), silent }
  } catch (error) {
    throw error instanceof TenantryError ? error : entitiesInvalid(messageOf(error), error)
  }
}

/** Refuses entities that reach the database by themselves: with several tenants, each could be any one's. */
function refuseUnbound({ name, target, lazyRelations: [lazy] }: EntityMetadata): void {
  if (typeof target === 'function' && target.prototype instanceof BaseEntity)
    throw entitiesInvalid(`${name} extends BaseEntity, whose methods know one database only.`)
  if (lazy !== undefined)
    throw entitiesInvalid(`${name}.${lazy.propertyName} is a lazy relation, which is loaded from one database only.`)
}

function entitiesInvalid(message: string, cause?: unknown): TenantryError {
  return new TenantryError('models-invalid', `The TypeORM entities cannot be used: ${message}`, {
    cause,
    hint: 'Check what is given to typeorm(). Entities are saved and found by the EntityManager, and relations loaded by find({ relations }).',
  })
}

/** Returns a DataSource that shares the entities of another, and has other connections. */
export function onConnections(
  dataSource: DataSource,
  connect: () => Promise<UsedConnection>,
  own: Partial<DataSource> = {},
): DataSource {
  const copy = derived(dataSource, own)
  const { relationLoader, relationIdLoader } = dataSource
  const driver = { master: new TypeOrmPool(connect), connectedQueryRunners: [], dataSource: copy }
  Object.assign(copy, {
    driver: derived(dataSource.driver, driver),
    relationLoader: derived(relationLoader, { dataSource: copy }),
    relationIdLoader: derived(relationIdLoader, { dataSource: copy }),
  })
  return Object.assign(copy, { manager: copy.createEntityManager() })
}

/** Returns an object that has all of another, but for its own properties. */
function derived<Base extends object>(base: Base, own: object): Base {
  return Object.assign(Object.create(base) as Base, own)
}

/** Returns the query runners that have a connection of a DataSource. */
export function connectedRunners({ driver }: DataSource): readonly QueryRunner[] {
  return [...(driver as PostgresDriver).connectedQueryRunners]
}

/** Returns the statements that make schemas. TypeORM expects them to exist. */
export function schemaStatements(schemas: readonly string[]): readonly string[] {
  const named = new Set(schemas.filter((schema) => schema !== 'public'))
  return [...named].map((schema) => `create schema if not exists ${quoteName(schema)}`)
}
