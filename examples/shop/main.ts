// A shop of some ten related tables as one tenant: an order is placed, paid in two ways, and read back through the
// relationships and a view. Run it with `node examples/shop/main.ts`; `DATABASE_URL` names a server of your own.

import type { EntityManager } from '@mikro-orm/postgresql'
import { openTenantry } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import {
  CardPayment,
  Category,
  Customer,
  entities,
  Order,
  OrderLine,
  PostalAddress,
  Product,
  Sales,
  Tag,
  Transfer,
} from './models.ts'

const tenantry = await openTenantry({ models: mikroOrm({ entities }), installation: 'shops' })
try {
  const { outcome, tenant } = await tenantry.onboard('corner-shop', { displayName: 'The corner shop' })
  console.log(`${tenant.displayName}: ${outcome}, in ${tenant.database}`)

  const number = await tenantry.with('corner-shop', placeOrder)
  console.log(await tenantry.with('corner-shop', (em) => describeOrder(em, number)))
} finally {
  await tenantry.close()
}

async function placeOrder(em: EntityManager): Promise<string> {
  const customer =
    (await em.findOne(Customer, { email: 'ada@example.org' })) ??
    em.create(Customer, {
      email: 'ada@example.org',
      name: 'Ada',
      home: em.create(PostalAddress, { street: '1 Mill Lane', city: 'London', country: 'GB' }),
    })
  const product = (await em.findOne(Product, { name: 'Teapot' })) ?? newTeapot(em)
  const order = em.create(Order, { customer })
  order.lines.add(em.create(OrderLine, { order, number: 1, quantity: 2, product }))
  order.payments.add(
    em.create(CardPayment, { order, kind: 'card', amount: '30.00', lastDigits: '4242' }),
    em.create(Transfer, { order, kind: 'transfer', amount: '9.80', reference: 'RF18' }),
  )
  await em.flush()
  return String(order.id)
}

function newTeapot(em: EntityManager): Product {
  const kitchen = em.create(Category, { name: 'Kitchen' })
  const product = em.create(Product, { name: 'Teapot', price: '19.90', category: kitchen })
  product.tags.add(em.create(Tag, { word: 'ceramic' }), em.create(Tag, { word: 'blue' }))
  return product
}

async function describeOrder(em: EntityManager, id: string): Promise<string> {
  const order = await em.findOneOrFail(Order, id, {
    populate: ['customer', 'lines.product.tags', 'lines.product.category', 'payments'],
  })
  const lines = order.lines.map(({ quantity, product }) => {
    const tags = product.tags.map(({ word }) => word).join(', ')
    return `${quantity} ${product.name} (${product.category?.name}; ${tags})`
  })
  const paid = order.payments.map((payment) => `${payment.amount} by ${payment.kind}`)
  const sold = await em.find(Sales, {})
  return `Order ${order.id} of ${order.customer.name}: ${lines.join(', ')}; paid ${paid.join(' and ')}.
Sold so far: ${sold.map(({ pieces }) => pieces).join(', ')} pieces.`
}
