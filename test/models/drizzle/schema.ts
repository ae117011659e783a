import { relations, sql } from 'drizzle-orm'
import {
  check,
  index,
  integer,
  pgEnum,
  pgMaterializedView,
  pgSchema,
  pgSequence,
  pgTable,
  pgView,
  text,
  timestamp,
  uniqueIndex,
} from 'drizzle-orm/pg-core'

// A schema with each kind of object that drizzle-kit generates.

export const role = pgEnum('role', ['admin', 'member'])

export const users = pgTable(
  'users',
  {
    id: integer().primaryKey().generatedAlwaysAsIdentity(),
    name: text().notNull().unique(),
    role: role().notNull().default('member'),
    tags: text().array().notNull().default([]),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
    initial: text().generatedAlwaysAs(sql`upper(left(name, 1))`),
  },
  (table) => [check('named', sql`${table.name} <> ''`), uniqueIndex('users_lower').on(sql`lower(${table.name})`)],
)

export const posts = pgTable(
  'posts',
  {
    id: integer().primaryKey().generatedAlwaysAsIdentity(),
    authorId: integer('author_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    title: text().notNull(),
  },
  (table) => [index('posts_author').on(table.authorId.desc())],
)

export const usersRelations = relations(users, ({ many }) => ({ posts: many(posts) }))
export const postsRelations = relations(posts, ({ one }) => ({
  author: one(users, { fields: [posts.authorId], references: [users.id] }),
}))

export const billing = pgSchema('billing')
export const status = billing.enum('status', ['open', 'paid'])
export const invoices = billing.table('invoices', {
  number: integer().primaryKey(),
  userId: integer('user_id').references(() => users.id),
  status: status().array(),
})

export const invoiceNumbers = pgSequence('invoice_numbers', { startWith: 1000 })
export const admins = pgView('admins').as((query) =>
  query
    .select()
    .from(users)
    .where(sql`${users.role} = 'admin'`),
)
export const counts = pgMaterializedView('counts').as((query) =>
  query.select({ posts: sql<number>`count(*)`.as('posts') }).from(posts),
)
