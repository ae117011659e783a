import { Sequelize } from 'sequelize'
import { inParallel } from '../measure/parallel.ts'
import { defineModels } from '../models/sequelize.ts'
import type { Peer } from './contender.ts'
import { Maintenance, urlOf } from './maintenance.ts'

/** Sequelize makes no databases. An instance knows one database, and has its models defined on it. */
export function sequelize(serverUrl: string, loopConcurrency: number): Peer {
  const maintenance = new Maintenance(serverUrl)
  const open: Sequelize[] = []
  const databaseOf = (id: string) => `sequelize_${id}`

  async function synchronised(database: string) {
    // By default it prints every statement.
    const instance = new Sequelize(urlOf(serverUrl, database), { logging: false })
    const models = defineModels(instance)
    await instance.sync()
    return { instance, models }
  }

  async function newTenant(id: string) {
    const database = databaseOf(id)
    await maintenance.create(database)
    const { instance, models } = await synchronised(database)
    open.push(instance)
    return models
  }

  return {
    name: 'Sequelize',
    acceptsOthersTables: true,
    databaseOf,
    newTenant: async (id) => void (await newTenant(id)),
    newTenantWithRow: async (id) => {
      const { user } = await newTenant(id)
      await user.create({ name: 'spongebob' })
    },
    start: async (databases) => {
      await maintenance.ensure(databases)
      await inParallel(databases, loopConcurrency, async (database) => {
        const { instance } = await synchronised(database)
        await instance.close()
      })
    },
    settle: async () => void (await Promise.all(open.splice(0).map((instance) => instance.close()))),
    close: () => maintenance.close(),
  }
}
