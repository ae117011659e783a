import type { EntityManager } from 'typeorm'
import { openTenantry, type Tenantry } from 'tenantry'
import { type Models, typeorm } from 'tenantry/typeorm'
import { expectTypeOf, test } from 'vitest'
import { entities, type Post, userSchema } from '../models/typeorm/blog.ts'

test("with hands over TypeORM's EntityManager", async () => {
  const models = typeorm({ entities })
  expectTypeOf(models).toEqualTypeOf<Models<EntityManager>>()
  const tenantry = await openTenantry({ models })
  expectTypeOf(tenantry).toEqualTypeOf<Tenantry<EntityManager>>()
  const users = await tenantry.with('acme', (manager) => manager.find(userSchema, { relations: { posts: true } }))
  expectTypeOf(users[0]?.posts).toEqualTypeOf<Post[] | undefined>()
  // @ts-expect-error -- the entity has no such column
  await tenantry.with('acme', (manager) => manager.findBy(userSchema, { nothing: 1 }))
})

test('the options are those of a DataSource, without a connection', () => {
  const models = typeorm({ entities: ['dist/entities/*.js'], subscribers: [], schema: 'app', logging: ['error'] })
  expectTypeOf(models).toEqualTypeOf<Models<EntityManager>>()
  // @ts-expect-error -- Tenantry gives each tenant its own
  typeorm({ entities, url: 'postgres://localhost' })
  // @ts-expect-error -- it would be shared by all tenants
  typeorm({ entities, cache: true })
  // @ts-expect-error -- there are no tables without entities
  typeorm({})
})
