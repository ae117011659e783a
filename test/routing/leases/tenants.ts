import type { EntityManager } from '@mikro-orm/postgresql'
import { type ConnectionPool, type Models, openTenantry, type Tenantry } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { Address, User } from '../../../examples/service/models.ts'

/** Both ways to a connection: the ORM's, and the pool below it. */
export interface Handle {
  readonly em: EntityManager
  readonly pool: ConnectionPool
}

/** The options with which a process opens its Tenantry, as data that can be sent to it. */
export interface Opening {
  readonly url: string
  readonly installation: string
  readonly credentials: { readonly key: string }
  readonly maxConnections: number
}

export function open({ url, maxConnections, ...rest }: Opening): Promise<Tenantry<Handle>> {
  return openTenantry({
    models: withPool(mikroOrm({ entities: [User, Address] })),
    servers: [postgres({ url, maxConnections })],
    pool: {
      // However busy the machine is, a lease that has to wait is no failure.
      waitMs: 60_000,
    },
    ...rest,
  })
}

function withPool({ schema, handles }: Models<EntityManager>): Models<Handle> {
  return {
    schema,
    handles: {
      open: async (pool, tenant) => {
        const opened = await handles.open(pool, tenant)
        return {
          handle: (signal) => ({ em: opened.handle(signal), pool }),
          finish: ({ em }) => opened.finish(em),
        }
      },
    },
  }
}
