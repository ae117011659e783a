import { EventEmitter, once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import type { EntityManager } from '@mikro-orm/postgresql'
import { type Tenantry, TenantryError } from 'tenantry'
import { User } from '../../examples/service/models.ts'
import type { Route } from './framework.ts'

/** Events that the routes report to the tests. */
export class Happenings {
  readonly #emitter = new EventEmitter()
  readonly #past = new Map<string, unknown>()

  tell(name: string, value?: unknown): void {
    this.#past.set(name, value)
    this.#emitter.emit(name)
  }

  /** Waits for an event of that name, and returns its value. */
  async told(name: string): Promise<unknown> {
    if (!this.#past.has(name)) await once(this.#emitter, name)
    return this.#past.get(name)
  }
}

/** The routes of the conformance suite. */
export function conformanceRoutes(tenantry: Tenantry<EntityManager>, happenings: Happenings): Route[] {
  return [
    ...usersOf(tenantry),
    ...transactions(happenings),
    ...goneClients(happenings),
    {
      method: 'get',
      path: '/health',
      run: async () => ({ tenant: codeOf(() => tenantry.currentTenant()) }),
    },
    {
      method: 'get',
      path: '/id',
      run: async (tenant) => ({ id: tenant.id, current: tenantry.currentTenant() }),
    },
    ...['/another', '/exempt'].map((path): Route => {
      return { method: 'get', path, run: () => tenantry.with('not-there', () => undefined, { nested: 'allow' }) }
    }),
    {
      method: 'get',
      path: '/lost',
      run: async () => {
        const cause = Object.assign(new Error('The network went away.'), { password: 'not to be logged' })
        throw new TenantryError('connection-lost', 'The connection broke.', { cause, hint: 'Call again.' })
      },
    },
    {
      method: 'get',
      path: '/mistake',
      run: async () => {
        throw new TenantryError('permission-denied', 'A mistake of the service.')
      },
    },
  ]
}

function usersOf(tenantry: Tenantry<EntityManager>): Route[] {
  return [
    {
      method: 'post',
      path: '/users',
      run: async (tenant, body) => {
        const { name } = body as { name: string }
        const em = await tenant.handle()
        em.create(User, { name, fullname: null })
        await setImmediate()
        await em.flush()
        return { tenant: tenantry.currentTenant() }
      },
    },
    {
      method: 'get',
      path: '/users',
      run: async (tenant) => {
        const [em, same] = await Promise.all([tenant.handle(), tenant.handle()])
        const users = await em.findAll(User, { orderBy: { id: 'asc' } })
        const [row] = await em.execute<{ name: string }[]>('select current_database() as name')
        const inside = await tenantry.with(tenantry.currentTenant(), (other) => other.count(User))
        const names = users.map(({ name }) => name)
        return { names, database: row?.name, current: tenantry.currentTenant(), inside, isOne: em === same }
      },
    },
  ]
}

function transactions(happenings: Happenings): Route[] {
  const begin = async (em: EntityManager, name: string) => {
    await em.begin()
    em.create(User, { name, fullname: null })
    await em.flush()
  }
  return [
    {
      method: 'post',
      path: '/fail',
      run: async (tenant) => {
        await begin(await tenant.handle(), 'failed')
        throw new Error('The handler failed.')
      },
    },
    {
      method: 'post',
      path: '/forget',
      run: async (tenant) => {
        await begin(await tenant.handle(), 'forgotten')
        return {}
      },
    },
    {
      method: 'post',
      path: '/gone',
      run: async (tenant) => {
        const em = await tenant.handle()
        await begin(em, 'before the client went away')
        happenings.tell('begun')
        await once(tenant.signal, 'abort')
        em.create(User, { name: 'after the client went away', fullname: null })
        happenings.tell('after', await em.flush().catch((error: unknown) => error))
        return {}
      },
    },
  ]
}

function goneClients(happenings: Happenings): Route[] {
  return [
    {
      method: 'post',
      path: '/gone-inside',
      run: async (tenant) => {
        const em = await tenant.handle()
        const writing = em.transactional(async (tx) => {
          tx.create(User, { name: 'before the client went away', fullname: null })
          await tx.flush()
          happenings.tell('begun')
          await once(tenant.signal, 'abort')
          tx.create(User, { name: 'after the client went away', fullname: null })
        })
        happenings.tell('after', await writing.catch((error: unknown) => error))
        return {}
      },
    },
    {
      method: 'get',
      path: '/slow',
      run: async (tenant) => {
        const em = await tenant.handle()
        const slow = em.execute('select pg_sleep(3600)')
        happenings.tell('slow', await slow.catch((error: unknown) => error))
        return {}
      },
    },
  ]
}

function codeOf(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return error instanceof TenantryError ? error.code : error
  }
}
