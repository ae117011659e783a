import { Client, Pool, type PoolConfig } from 'pg'
import { type ConnectionPool, type Models, openTenantry, type Tenantry, type Tenants } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import { inParallel } from '../measure/parallel.ts'
import { plainModels } from './handles.ts'
import { installation } from './tenantry.ts'

/** Leads one request to a tenant, by its place from 0. */
export interface Route {
  readonly name: string
  readonly request: (tenant: number) => Promise<unknown>
}

/** The name of the counted connections on the server. */
export const routedName = 'routed'

/** The query of every request: one row by its key, the least that a service does. */
export const question = 'select id, name from user_account where id = $1'
export const parameters = [1]

export const tenantAt = (place: number) => `t${place}`

/** Opens routing as a service does, with the settings of tenants' work set to the bench's own. */
export function openRouting<Handle>(
  url: string,
  models: Models<Handle>,
  maxConnections: number,
): Promise<Tenantry<Handle>> {
  return openTenantry({
    models,
    servers: [postgres({ url, maxConnections })],
    installation,
    session: { applicationName: routedName },
    pool: {
      // A budget below the demand is measured here; no request may be refused.
      waitMs: 60_000,
      // One tenant may have as many connections as the pool that it is compared with.
      tenantShare: 1,
      // As in production.
      traceLeases: false,
    },
  })
}

/** Makes tenants, each with the requested row. @returns the login of each, for the driver alone */
export async function makeTenants(url: string, count: number, concurrency: number): Promise<readonly PoolConfig[]> {
  await using tenantry = await openTenantry({
    models: plainModels(),
    servers: [postgres({ url })],
    installation,
    limits: { concurrency },
    templates: {
      seed: async (pool) => void (await pool.query("insert into user_account (name) values ('spongebob')")),
    },
  })
  const places = Array.from({ length: count }, (_, place) => place)
  const configs: PoolConfig[] = []
  await inParallel(places, concurrency, async (place) => {
    await tenantry.onboard(tenantAt(place))
    configs[place] = await loginOf(tenantry, url, place)
  })
  return configs
}

/** Returns the login of a tenant, for the driver alone. */
export async function loginOf(
  tenantry: { readonly tenants: Pick<Tenants<unknown>, 'credentials'> },
  url: string,
  place: number,
): Promise<PoolConfig> {
  const { hostname: host, port } = new URL(url)
  const { user, password, database } = await tenantry.tenants.credentials(tenantAt(place))
  // The settings of Tenantry's connections, so that both sides have the same work.
  return {
    host,
    port: Number(port),
    user,
    password: password.reveal(),
    database,
    application_name: 'bypass',
    keepAlive: true,
  }
}

/** Tenantry, down to the driver: no ORM on either side. */
export function routed(tenantry: Tenantry<ConnectionPool>): Route {
  return {
    name: 'Tenantry',
    request: (tenant) => tenantry.with(tenantAt(tenant), (pool) => pool.query(question, parameters)),
  }
}

/** A route without a pool: a connection is opened for each request, and ended. */
export function connecting(configs: readonly PoolConfig[]): Route {
  return {
    name: 'connecting per request',
    request: async (tenant) => {
      const client = new Client(configs[tenant])
      await client.connect()
      try {
        await client.query(question, parameters)
      } finally {
        await client.end()
      }
    },
  }
}

/** A pool for each tenant, as its documentation has it, opened when it is first needed. */
export class PoolPerTenant implements Route {
  readonly name = 'a pool per tenant'
  readonly #configs: readonly PoolConfig[]
  readonly #settings: PoolConfig
  readonly #pools = new Map<number, Pool>()

  constructor(configs: readonly PoolConfig[], settings: PoolConfig = {}) {
    this.#configs = configs
    this.#settings = settings
  }

  get pools(): number {
    return this.#pools.size
  }

  get connections(): number {
    return [...this.#pools.values()].reduce((sum, { totalCount }) => sum + totalCount, 0)
  }

  request = async (tenant: number): Promise<void> => {
    let pool = this.#pools.get(tenant)
    if (pool === undefined) {
      pool = new Pool({ ...this.#configs[tenant], ...this.#settings })
      pool.on('error', () => undefined)
      this.#pools.set(tenant, pool)
    }
    await pool.query(question, parameters)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.end()))
  }
}
