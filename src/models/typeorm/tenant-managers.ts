import type { EntityManager } from 'typeorm'
import { cancelledBy } from '../handles-over.ts'
import type { HandleFactory } from '../port.ts'
import { connectedRunners, onConnections, type ReadEntities } from './entities.ts'

/** Makes an EntityManager for each unit of work. All tenants share one reading of the entities. */
export function tenantManagers(entities: () => Promise<ReadEntities>): HandleFactory<EntityManager> {
  return {
    open: async (pool) => {
      const { dataSource } = await entities()
      return {
        handle: (signal) => {
          const leasing = signal === undefined ? pool : cancelledBy(signal, pool)
          return onConnections(dataSource, () => leasing.connect()).manager
        },
        // A QueryRunner that the work has made, and not released, would keep its connection.
        finish: async (manager) =>
          void (await Promise.all(connectedRunners(manager.dataSource).map((it) => it.release()))),
      }
    },
  }
}
