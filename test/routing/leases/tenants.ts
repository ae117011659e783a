import type { EntityManager } from '@mikro-orm/postgresql'
import { openTenantry, type Tenantry } from 'tenantry'
import { mikroOrm, type Models } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { Address, User } from '../../../examples/service/models.ts'

type Pool = Parameters<Models<unknown>['open']>[0]

/** Both ways to a connection: the ORM's, and the pool below it. */
export interface Handle {
  readonly em: EntityManager
  readonly pool: Pool
}

/** The options with which a process opens its Tenantry, as data that can be sent to it. */
export interface Opening {
  readonly url: string
  readonly installation: string
  readonly credentialsKey: string
  readonly maxConnections: number
}

export function open({ url, maxConnections, ...rest }: Opening): Promise<Tenantry<Handle>> {
  return openTenantry({
    models: withPool(mikroOrm({ entities: [User, Address] })),
    server: postgres({ url, maxConnections }),
    // However busy the machine is, a lease that has to wait is no failure.
    connectionWaitMs: 60_000,
    ...rest,
  })
}

function withPool(models: Models<EntityManager>): Models<Handle> {
  return {
    defaultSchema: models.defaultSchema,
    fingerprint: () => models.fingerprint(),
    createStatements: () => models.createStatements(),
    open: async (pool, tenant) => {
      const opened = await models.open(pool, tenant)
      return {
        handle: (signal) => ({ em: opened.handle(signal), pool }),
        finish: ({ em }) => opened.finish(em),
      }
    },
  }
}
