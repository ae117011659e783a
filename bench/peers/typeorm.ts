import { DataSource } from 'typeorm'
import { inParallel } from '../measure/parallel.ts'
import { addressSchema, userSchema } from '../models/typeorm.ts'
import type { Peer } from './contender.ts'
import { Maintenance, urlOf } from './maintenance.ts'

/** TypeORM makes no databases on PostgreSQL. A DataSource knows one database, so each tenant has its own. */
export function typeorm(serverUrl: string, loopConcurrency: number): Peer {
  const maintenance = new Maintenance(serverUrl)
  const open: DataSource[] = []
  const databaseOf = (id: string) => `typeorm_${id}`

  function synchronised(database: string): Promise<DataSource> {
    return new DataSource({
      type: 'postgres',
      url: urlOf(serverUrl, database),
      entities: [userSchema, addressSchema],
      synchronize: true,
      // These models need no extension, so it need not look for any.
      installExtensions: false,
    }).initialize()
  }

  async function newTenant(id: string): Promise<DataSource> {
    const database = databaseOf(id)
    await maintenance.create(database)
    const dataSource = await synchronised(database)
    open.push(dataSource)
    return dataSource
  }

  return {
    name: 'TypeORM',
    acceptsOthersTables: false,
    databaseOf,
    newTenant: async (id) => void (await newTenant(id)),
    newTenantWithRow: async (id) => {
      const dataSource = await newTenant(id)
      // Leaner than save, which first looks for the row.
      await dataSource.getRepository(userSchema).insert({ name: 'spongebob' })
    },
    start: async (databases) => {
      await maintenance.ensure(databases)
      await inParallel(databases, loopConcurrency, async (database) => {
        const dataSource = await synchronised(database)
        await dataSource.destroy()
      })
    },
    settle: async () => void (await Promise.all(open.splice(0).map((dataSource) => dataSource.destroy()))),
    close: () => maintenance.close(),
  }
}
