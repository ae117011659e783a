import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { openTenantry, type Tenantry } from 'tenantry'
import { drizzle, type Models } from 'tenantry/drizzle'
import { expectTypeOf, test } from 'vitest'
import * as schema from '../models/drizzle/schema.ts'

test("with hands over Drizzle's database, with the schema", async () => {
  const models = drizzle({ schema, migrations: './drizzle' })
  expectTypeOf(models).toEqualTypeOf<Models<NodePgDatabase<typeof schema>>>()
  const tenantry = await openTenantry({ models })
  expectTypeOf(tenantry).toEqualTypeOf<Tenantry<NodePgDatabase<typeof schema>>>()
  const users = await tenantry.with('acme', async (db) => db.query.users.findMany({ with: { posts: true } }))
  expectTypeOf(users[0]?.posts[0]?.title).toEqualTypeOf<string | undefined>()
  const roles = await tenantry.with('acme', async (db) => db.select({ role: schema.users.role }).from(schema.users))
  expectTypeOf(roles).toEqualTypeOf<{ role: 'admin' | 'member' }[]>()
  // @ts-expect-error -- the schema has no such table
  await tenantry.with('acme', async (db) => db.query.nothing.findMany())
})

test('the options are those of Drizzle, without a client', () => {
  const models = drizzle({ schema, casing: 'snake_case', logger: true, migrations: new URL('file:///drizzle') })
  expectTypeOf(models).toEqualTypeOf<Models<NodePgDatabase<typeof schema>>>()
  // @ts-expect-error -- Tenantry gives each tenant its own
  drizzle({ schema, client: {} })
})
