import type { EntityManager } from '@mikro-orm/postgresql'
import { openTenantry, type Tenantry } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { Address, User } from '../models/mikro-orm.ts'
import type { Contender } from './contender.ts'
import { sparesReady } from './spares.ts'

/** The installation of every scenario: each has a server of its own. */
export const installation = 'bench'

/** The options of the measured Tenantry. */
export interface OpenOptions {
  readonly spares: number
  readonly concurrency: number
}

/** Opens a Tenantry as a service would. The models are made anew, so that their discovery counts. */
export function open(serverUrl: string, { spares, concurrency }: OpenOptions): Promise<Tenantry<EntityManager>> {
  return openTenantry({
    models: mikroOrm({ entities: [User, Address] }),
    servers: [postgres({ url: serverUrl, maxConnections: 20 })],
    installation,
    templates: { spares },
    limits: { concurrency },
  })
}

/** Returns an open Tenantry as a contender. It is settled when all its spares are there again. */
export function asContender(tenantry: Tenantry<EntityManager>): Contender {
  return {
    name: 'Tenantry',
    newTenant: async (id) => void (await tenantry.onboard(id)),
    newTenantWithRow: async (id) => {
      await tenantry.onboard(id)
      await tenantry.with(id, async (em) => {
        em.create(User, { name: 'spongebob' })
        await em.flush()
      })
    },
    settle: () => sparesReady(tenantry),
    close: () => tenantry.close(),
  }
}
