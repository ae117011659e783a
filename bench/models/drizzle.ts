import { integer, pgTable, serial, varchar } from 'drizzle-orm/pg-core'

export const userAccount = pgTable('user_account', {
  id: serial('id').primaryKey(),
  name: varchar('name', { length: 255 }).notNull(),
  fullname: varchar('fullname', { length: 255 }),
})

/** Named nowhere in the code: drizzle-kit reads it, for the migration. */
export const address = pgTable('address', {
  id: serial('id').primaryKey(),
  emailAddress: varchar('email_address', { length: 255 }).notNull(),
  userId: integer('user_id')
    .notNull()
    .references(() => userAccount.id),
})
