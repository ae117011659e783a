import type { PrismaPg } from '@prisma/adapter-pg'
import { functionOption, optionsOf, positiveInteger, readOptions } from '../../kernel/options.ts'
import { folderOrUrl, folderPath } from '../migrations/folder.ts'
import type { Models } from '../port.ts'
import { migrationsSource } from './migrations-source.ts'
import { type GeneratedClient, tenantClients } from './tenant-clients.ts'

export type { Models } from '../port.ts'
export type { GeneratedClient } from './tenant-clients.ts'

/** Options of {@link prisma}. */
export interface PrismaOptions<Client extends GeneratedClient> {
  /** The folder of Prisma's migrations, such as `./prisma/migrations`: relative to the working directory, or a URL. */
  readonly migrations: string | URL
  /**
   * Makes the client of a tenant, on the adapter that is given: `(adapter) => new PrismaClient({ adapter })`. Extensions
   * by `$extends` are applied here.
   */
  readonly client: (adapter: PrismaPg) => Client
  /**
   * The number of tenants whose client is kept in memory: the least recently used are dropped, and made again when they
   * are needed. Default 100.
   */
  readonly keptClients?: number
}

/**
 * Gives each tenant the tables of Prisma's migrations, and its work the service's own PrismaClient.
 *
 * A database keeps its history in Prisma's own table, `_prisma_migrations`, so that `prisma migrate` and Tenantry agree
 * on it. Each tenant has a client of its own.
 *
 * @throws `invalid-option`; a folder that cannot be used is reported as `models-invalid` by the first call that needs it
 */
export function prisma<Client extends GeneratedClient>(options: PrismaOptions<Client>): Models<Client> {
  const { migrations, client, keptClients = 100 } = readOptions('prisma', schema, options)
  return {
    schema: migrationsSource(folderPath(migrations)),
    handles: tenantClients(client as PrismaOptions<Client>['client'], keptClients),
  }
}

const schema = optionsOf<PrismaOptions<GeneratedClient>>(
  {
    migrations: folderOrUrl("Write migrations: './prisma/migrations'."),
    client: functionOption<PrismaOptions<GeneratedClient>['client']>(
      'Write client: (adapter) => new PrismaClient({ adapter }).',
    ),
    keptClients: positiveInteger,
  },
  'migrations',
  'client',
)
