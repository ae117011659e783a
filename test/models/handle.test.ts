import { wrap } from '@mikro-orm/core'
import { type EntityManager, IsolationLevel } from '@mikro-orm/postgresql'
import { mikroOrm } from 'tenantry/mikro-orm'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { Tenantry } from 'tenantry'
import { Address, User } from '../../examples/service/models.ts'
import {
  CardPayment,
  Customer,
  entities,
  Order,
  OrderLine,
  Payment,
  Picture,
  PostalAddress,
  Product,
  Sales,
  Stock,
  Tag,
  Transfer,
} from '../../examples/shop/models.ts'
import { errorOf, sql } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'

describe('users and addresses', () => {
  let tenantry: Tenantry<EntityManager>

  beforeAll(async () => {
    tenantry = await openTestTenantry(mikroOrm({ entities: [User, Address] }))
    await tenantry.onboard('acme')
  })

  it('are written in one flush and read through the relationship, both ways', async () => {
    await tenantry.with('acme', async (em) => {
      const user = em.create(User, { name: 'sandy', fullname: 'Sandy Cheeks' })
      user.addresses.add(em.create(Address, { emailAddress: 'sandy@squirrel.example', user }))
      user.addresses.add(em.create(Address, { emailAddress: 'sandy@work.example', user }))
      await em.flush()
    })
    await tenantry.with('acme', async (em) => {
      const user = await em.findOneOrFail(User, { name: 'sandy' }, { populate: ['addresses'] })
      expect(user.addresses.getItems().map(({ emailAddress }) => emailAddress)).toEqual([
        'sandy@squirrel.example',
        'sandy@work.example',
      ])
      const address = await em.findOneOrFail(Address, { emailAddress: 'sandy@work.example' }, { populate: ['user'] })
      expect(address.user.name).toBe('sandy')
    })
  })

  it('an address that is taken from its user is deleted', async () => {
    await tenantry.with('acme', async (em) => {
      const user = await em.findOneOrFail(User, { name: 'sandy' }, { populate: ['addresses'] })
      user.addresses.remove(user.addresses.getItems().filter(({ emailAddress }) => emailAddress.includes('work')))
      await em.flush()
    })
    await expect(tenantry.with('acme', (em) => em.count(Address))).resolves.toBe(1)
  })

  it('a user that is removed takes its addresses along', async () => {
    await tenantry.with('acme', async (em) => {
      await em.remove(await em.findOneOrFail(User, { name: 'sandy' }, { populate: ['addresses'] })).flush()
    })
    await expect(tenantry.with('acme', (em) => em.count(Address))).resolves.toBe(0)
  })

  it('a transaction runs at the given isolation level, and is rolled back as a whole', async () => {
    const level = await tenantry.with('acme', (em) =>
      em.transactional(async (tx) => await tx.execute('show transaction_isolation'), {
        isolationLevel: IsolationLevel.SERIALIZABLE,
      }),
    )
    expect(level).toEqual([{ transaction_isolation: 'serializable' }])
    await expect(
      tenantry.with('acme', (em) =>
        em.transactional(async (tx) => {
          tx.create(User, { name: 'plankton', fullname: null })
          await tx.flush()
          throw new Error('no')
        }),
      ),
    ).rejects.toThrow('no')
    await expect(tenantry.with('acme', (em) => em.count(User, { name: 'plankton' }))).resolves.toBe(0)
  })

  it('that are streamed end with an error when the server ends the session', async () => {
    await tenantry.with('acme', (em) =>
      em.execute(`insert into user_account (name) select 'many' from generate_series(1, 500)`),
    )
    const work = tenantry.with('acme', async (em) => {
      let read = 0
      for await (const { name } of em.stream(User, { where: { name: 'many' } })) {
        if (name === 'many' && ++read === 1) {
          await sql(
            `select pg_terminate_backend(pid) from pg_stat_activity where query like '%user_account%' and datname like '%_t_acme'`,
          )
        }
      }
      return read
    })
    expect(await errorOf(work)).toBeInstanceOf(Error)
    await tenantry.with('acme', (em) => em.nativeDelete(User, { name: 'many' }))
  })

  it('are streamed, a row at a time', async () => {
    await tenantry.with('acme', async (em) => {
      em.create(User, { name: 'a', fullname: null })
      em.create(User, { name: 'b', fullname: null })
      await em.flush()
    })
    const names = await tenantry.with('acme', async (em) => {
      const read: string[] = []
      for await (const user of em.stream(User, { orderBy: { name: 'asc' } })) read.push(user.name)
      return read
    })
    expect(names).toEqual(['a', 'b'])
  })
})

describe('an aborted query', () => {
  it('prints nothing if it was running, streamed or waiting for a connection', async () => {
    const tenantry = await openTestTenantry(mikroOrm({ entities: [User, Address] }), {
      postgres: { maxConnections: 1 },
      pool: { waitMs: 500 },
    })
    await tenantry.onboard('acme')
    const printed = vi.spyOn(console, 'error')
    const abortOnce = async (isBegun: () => Promise<boolean>, work: (em: EntityManager) => Promise<unknown>) => {
      const controller = new AbortController()
      const aborted = errorOf(tenantry.with('acme', work, { signal: controller.signal }))
      await vi.waitUntil(isBegun)
      controller.abort()
      expect(await aborted).toMatchObject({ code: 'aborted' })
    }
    const isSleeping = async () => {
      const text = `select 1 from pg_stat_activity where query like '%pg_sleep(600)%' and state = 'active' and datname = $1`
      return (await sql(text, [`${tenantry.installation}_t_acme`])).length === 1
    }
    await abortOnce(isSleeping, (em) => em.execute('select pg_sleep(600)'))
    // The only connection is free again once the query has ended.
    await tenantry.with('acme', (em) => em.execute('select 1'))
    await abortOnce(isSleeping, async (em) => {
      for await (const row of em.getConnection().stream('select pg_sleep(600)', [], undefined, abortOptions(em)))
        void row
    })
    await sql('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()', [
      `${tenantry.installation}_t_acme`,
    ])
    await vi.waitUntil(() =>
      tenantry
        .with('acme', (em) => em.execute('select 1'))
        .then(
          () => true,
          () => false,
        ),
    )
    await tenantry.with('acme', (em) =>
      em.transactional(async (tx) => {
        await tx.execute('select 1')
        await abortOnce(
          async () => true,
          (waiting) => waiting.execute('select 1'),
        )
        // One that waits from later on fails later.
        const last = await errorOf(tenantry.with('acme', (waiting) => waiting.execute('select 1')))
        expect(last).toMatchObject({ code: 'pool-timeout' })
      }),
    )
    expect(printed.mock.calls).toEqual([])
    printed.mockRestore()
  })
})

/** The signal of a handle, as a connection takes it. */
function abortOptions(em: EntityManager): object {
  return { signal: Reflect.get(em, 'signal') as AbortSignal }
}

describe('a shop', () => {
  let tenantry: Tenantry<EntityManager>

  beforeAll(async () => {
    tenantry = await openTestTenantry(mikroOrm({ entities }))
    await tenantry.onboard('shop')
  })

  it('keeps embedded values, dates, decimals, JSON and defaults', async () => {
    const joinedAt = new Date('2026-01-02T03:04:05.678Z')
    const id = await tenantry.with('shop', async (em) => {
      const home = em.create(PostalAddress, { street: 'Conch 124', city: 'Bikini Bottom', country: 'PW' })
      const customer = em.create(Customer, { email: 'bob@example.org', name: 'Bob', joinedAt, home })
      em.create(Product, { name: 'Spatula', price: '12.50', details: { colour: 'red' } })
      await em.flush()
      return customer.id
    })
    await tenantry.with('shop', async (em) => {
      const customer = await em.findOneOrFail(Customer, id)
      expect(customer.joinedAt).toEqual(joinedAt)
      expect(wrap(customer).toPOJO().home).toEqual({ street: 'Conch 124', city: 'Bikini Bottom', country: 'PW' })
      const product = await em.findOneOrFail(Product, { name: 'Spatula' })
      expect(product).toMatchObject({ price: '12.50', details: { colour: 'red' } })
    })
  })

  it('keeps many-to-many relations, composite keys, single-table inheritance, other schemas and views', async () => {
    await tenantry.with('shop', async (em) => {
      const product = await em.findOneOrFail(Product, { name: 'Spatula' })
      product.tags.add(em.create(Tag, { word: 'kitchen' }), em.create(Tag, { word: 'steel' }))
      em.create(Stock, { product, pieces: 7 })
      const order = em.create(Order, { customer: await em.findOneOrFail(Customer, { email: 'bob@example.org' }) })
      em.create(OrderLine, { order, number: 1, quantity: 3, product })
      em.create(CardPayment, { order, kind: 'card', amount: '30.00', lastDigits: '4242' })
      em.create(Transfer, { order, kind: 'transfer', amount: '7.50', reference: 'RF18' })
      await em.flush()
      product.cover = em.create(Picture, { path: '/spatula.png', product })
      await em.flush()
    })
    await tenantry.with('shop', async (em) => {
      const product = await em.findOneOrFail(Product, { name: 'Spatula' }, { populate: ['tags', 'cover'] })
      expect(product.tags.getItems().map(({ word }) => word)).toEqual(['kitchen', 'steel'])
      expect(product.cover?.path).toBe('/spatula.png')
      const order = await em.findOneOrFail(Order, { lines: { number: 1 } }, { populate: ['lines', 'payments'] })
      expect(order.state).toBe('placed')
      expect(order.payments.getItems().map(({ constructor }) => constructor.name)).toEqual(['CardPayment', 'Transfer'])
      expect(await em.count(Payment)).toBe(2)
      expect((await em.findOneOrFail(Stock, { product })).pieces).toBe(7)
      expect(await em.find(Sales, {})).toMatchObject([{ productId: product.id, pieces: 3 }])
    })
  })

  it('deletes lines that are taken from an order', async () => {
    await tenantry.with('shop', async (em) => {
      const order = await em.findOneOrFail(Order, { lines: { number: 1 } }, { populate: ['lines'] })
      order.lines.removeAll()
      await em.flush()
      expect(await em.count(OrderLine)).toBe(0)
    })
  })
})
