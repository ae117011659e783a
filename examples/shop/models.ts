import { Cascade, defineEntity, p } from '@mikro-orm/core'

// A shop: some ten related tables that use what MikroORM's models offer. Every tenant of a service could be one shop.

/** Kept inside the tables that have one. */
const PostalAddressSchema = defineEntity({
  name: 'PostalAddress',
  embeddable: true,
  properties: {
    street: p.string(),
    city: p.string(),
    country: p.string().length(2),
  },
})
export class PostalAddress extends PostalAddressSchema.class {}
PostalAddressSchema.setClass(PostalAddress)

const CustomerSchema = defineEntity({
  name: 'Customer',
  properties: {
    id: p.uuid().primary().defaultRaw('gen_random_uuid()'),
    email: p.string().unique(),
    name: p.string().index(),
    joinedAt: p.datetime().defaultRaw('now()'),
    home: () => p.embedded(PostalAddress).nullable(),
    orders: () => p.oneToMany(Order).mappedBy('customer').cascade(Cascade.ALL),
    reviews: () => p.oneToMany(Review).mappedBy('customer').orphanRemoval(),
  },
})
export class Customer extends CustomerSchema.class {}
CustomerSchema.setClass(Customer)

/** A tree, by a reference to its own table. */
const CategorySchema = defineEntity({
  name: 'Category',
  properties: {
    id: p.integer().primary().autoincrement(),
    name: p.string(),
    parent: () => p.manyToOne(Category).nullable().deleteRule('set null'),
    children: () => p.oneToMany(Category).mappedBy('parent'),
  },
  uniques: [{ properties: ['parent', 'name'] }],
})
export class Category extends CategorySchema.class {}
CategorySchema.setClass(Category)

const TagSchema = defineEntity({
  name: 'Tag',
  properties: {
    id: p.integer().primary().autoincrement(),
    word: p.string().unique(),
    products: () => p.manyToMany(Product).mappedBy('tags'),
  },
})
export class Tag extends TagSchema.class {}
TagSchema.setClass(Tag)

/** The product and its picture refer to each other: the foreign keys make a circle. */
const ProductSchema = defineEntity({
  name: 'Product',
  properties: {
    id: p.integer().primary().autoincrement(),
    name: p.string(),
    price: p.decimal().precision(10).scale(2),
    details: p.json<Record<string, unknown>>().default('{}'),
    category: () => p.manyToOne(Category).nullable(),
    tags: () => p.manyToMany(Tag).owner(),
    pictures: () => p.oneToMany(Picture).mappedBy('product').orphanRemoval(),
    cover: () => p.manyToOne(Picture).nullable().deleteRule('set null'),
    reviews: () => p.oneToMany(Review).mappedBy('product').orphanRemoval(),
  },
  checks: [{ name: 'product_price_positive', expression: 'price > 0' }],
  indexes: [{ properties: ['category', 'name'] }],
})
export class Product extends ProductSchema.class {}
ProductSchema.setClass(Product)

const PictureSchema = defineEntity({
  name: 'Picture',
  properties: {
    id: p.integer().primary().autoincrement(),
    path: p.string(),
    product: () => p.manyToOne(Product).deleteRule('cascade'),
  },
})
export class Picture extends PictureSchema.class {}
PictureSchema.setClass(Picture)

const ReviewSchema = defineEntity({
  name: 'Review',
  properties: {
    id: p.integer().primary().autoincrement(),
    stars: p.smallint(),
    text: p.text().default(''),
    customer: () => p.manyToOne(Customer),
    product: () => p.manyToOne(Product),
  },
})
class Review extends ReviewSchema.class {}
ReviewSchema.setClass(Review)

const orderStates = ['placed', 'paid', 'shipped'] as const

/** `order` is a reserved word in SQL; as every name is quoted, it may well be a table. */
const OrderSchema = defineEntity({
  name: 'Order',
  properties: {
    id: p.bigint().primary().autoincrement(),
    state: p.enum(orderStates).nativeEnumName('order_state').default('placed'),
    placedAt: p.datetime().defaultRaw('now()'),
    customer: () => p.manyToOne(Customer),
    lines: () => p.oneToMany(OrderLine).mappedBy('order').orphanRemoval(),
    payments: () => p.oneToMany(Payment).mappedBy('order'),
  },
  indexes: [{ properties: ['customer', 'placedAt'] }],
})
export class Order extends OrderSchema.class {}
OrderSchema.setClass(Order)

/** Its key is made of its order and its number. */
const OrderLineSchema = defineEntity({
  name: 'OrderLine',
  properties: {
    order: () => p.manyToOne(Order).primary(),
    number: p.integer().primary(),
    quantity: p.integer().default(1),
    product: () => p.manyToOne(Product),
  },
})
export class OrderLine extends OrderLineSchema.class {}
OrderLineSchema.setClass(OrderLine)

/** Payments of all kinds are in one table; a column tells them apart. */
const PaymentSchema = defineEntity({
  name: 'Payment',
  abstract: true,
  discriminatorColumn: 'kind',
  properties: {
    id: p.integer().primary().autoincrement(),
    kind: p.enum(['card', 'transfer'] as const),
    amount: p.decimal().precision(10).scale(2),
    order: () => p.manyToOne(Order),
  },
})
export class Payment extends PaymentSchema.class {}
PaymentSchema.setClass(Payment)

const CardPaymentSchema = defineEntity({
  name: 'CardPayment',
  extends: Payment,
  discriminatorValue: 'card',
  properties: { lastDigits: p.string().length(4).nullable() },
})
export class CardPayment extends CardPaymentSchema.class {}
CardPaymentSchema.setClass(CardPayment)

const TransferSchema = defineEntity({
  name: 'Transfer',
  extends: Payment,
  discriminatorValue: 'transfer',
  properties: { reference: p.string().nullable() },
})
export class Transfer extends TransferSchema.class {}
TransferSchema.setClass(Transfer)

/** In a schema of its own. */
const StockSchema = defineEntity({
  name: 'Stock',
  tableName: 'stock',
  schema: 'warehouse',
  properties: {
    product: () => p.oneToOne(Product).owner().primary(),
    pieces: p.integer().default(0),
  },
})
export class Stock extends StockSchema.class {}
StockSchema.setClass(Stock)

/** A view, to be read only. */
export const Sales = defineEntity({
  name: 'Sales',
  tableName: 'sales',
  view: true,
  expression: `select l.product_id, sum(l.quantity)::int as pieces from order_line l group by l.product_id`,
  properties: {
    productId: p.integer().primary(),
    pieces: p.integer(),
  },
})

export const entities = [
  PostalAddress,
  Customer,
  Category,
  Tag,
  Product,
  Picture,
  Review,
  Order,
  OrderLine,
  Payment,
  CardPayment,
  Transfer,
  Stock,
  Sales,
]
