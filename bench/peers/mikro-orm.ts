import { MikroORM } from '@mikro-orm/postgresql'
import { inParallel } from '../measure/parallel.ts'
import { Address, User } from '../models/mikro-orm.ts'
import type { Peer } from './contender.ts'
import { urlOf } from './maintenance.ts'

/** MikroORM makes the database itself. An instance knows one database, so each tenant has its own. */
export function mikroOrmAlone(serverUrl: string, loopConcurrency: number): Peer {
  const open: MikroORM[] = []
  const databaseOf = (id: string) => `mikroorm_${id}`
  const instance = (database: string) =>
    new MikroORM({ entities: [User, Address], clientUrl: urlOf(serverUrl, database) })

  async function newTenant(id: string): Promise<MikroORM> {
    const orm = instance(databaseOf(id))
    open.push(orm)
    // Makes the database first. Less work than schema.update, which would look for existing tables in a new database.
    await orm.schema.create()
    return orm
  }

  return {
    name: 'MikroORM',
    acceptsOthersTables: true,
    databaseOf,
    newTenant: async (id) => void (await newTenant(id)),
    newTenantWithRow: async (id) => {
      const em = (await newTenant(id)).em.fork()
      em.create(User, { name: 'spongebob' })
      await em.flush()
    },
    start: (databases) =>
      inParallel(databases, loopConcurrency, async (database) => {
        const orm = instance(database)
        // It makes sure of the database first.
        await orm.schema.update()
        await orm.close()
      }),
    settle: async () => void (await Promise.all(open.splice(0).map((orm) => orm.close()))),
    close: async () => undefined,
  }
}
