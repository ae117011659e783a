import { Controller, type DynamicModule, Get, Inject, Injectable, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import type { EntityManager } from '@mikro-orm/postgresql'
import { mikroOrm } from 'tenantry/mikro-orm'
import { claim, CurrentTenant, subdomain, TENANTRY, TenantryModule } from 'tenantry/nestjs'
import type { Tenantry } from 'tenantry'
import { beforeAll, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { afterwards } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'
import { HttpClient } from './client.ts'

// Features of NestJS that the other frameworks do not have. Decorators are called by hand: the runner of the tests has
// none.

const bySubdomain = subdomain({ base: 'app.test' })
let tenantry: Tenantry<EntityManager>

beforeAll(async () => {
  tenantry = await openTestTenantry(mikroOrm({ entities: [User, Address] }))
  for (const id of ['acme', 'beta']) await tenantry.onboard(id)
})

/** A service and a controller that has it, and how many of each were made. */
function makeWorld() {
  const made = { services: 0, controllers: 0 }
  class UsersService {
    readonly tenant: CurrentTenant<EntityManager>
    readonly given: unknown
    constructor(tenant: CurrentTenant<EntityManager>, given: unknown) {
      this.tenant = tenant
      this.given = given
      made.services++
    }
    async count() {
      const em = await this.tenant.handle()
      return { tenant: this.tenant.id, users: await em.count(User), isOurs: this.given === tenantry }
    }
  }
  Injectable()(UsersService)
  Inject(CurrentTenant)(UsersService, undefined, 0)
  Inject(TENANTRY)(UsersService, undefined, 1)

  class UsersController {
    readonly users: UsersService
    constructor(users: UsersService) {
      this.users = users
      made.controllers++
    }
    count() {
      return this.users.count()
    }
  }
  Controller('users')(UsersController)
  Inject(UsersService)(UsersController, undefined, 0)
  Get()(UsersController.prototype, 'count', descriptorOf(UsersController.prototype, 'count'))
  return { made, providers: [UsersService], controllers: [UsersController] }
}

async function served(module: DynamicModule, world: ReturnType<typeof makeWorld>, guard?: (request: object) => void) {
  class AppModule {}
  Module({ imports: [module], providers: world.providers, controllers: world.controllers })(AppModule)
  const app = await NestFactory.create(AppModule, { logger: false, abortOnError: false })
  app.useGlobalGuards({
    canActivate: (context) => {
      guard?.(context.switchToHttp().getRequest<object>())
      return true
    },
  })
  await app.listen(0, '127.0.0.1')
  const { port } = app.getHttpServer().address() as { port: number }
  const client = new HttpClient(port)
  afterwards(async () => {
    client.close()
    await app.close()
  })
  return client
}

it('makes nothing anew for a request: one controller and one service serve all tenants', async () => {
  const world = makeWorld()
  const client = await served(TenantryModule.forRoot({ tenantry, tenantFrom: [bySubdomain] }), world)
  const asked = Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? 'acme' : 'beta'))
  const answers = await Promise.all(asked.map((tenant) => client.ask({ host: `${tenant}.app.test`, path: '/users' })))
  expect(answers.map(({ body }) => body)).toEqual(asked.map((tenant) => ({ tenant, users: 0, isOurs: true })))
  expect(world.made).toEqual({ services: 1, controllers: 1 })
})

it('takes its options from a function of other providers', async () => {
  const base = Symbol('base')
  class ConfigModule {}
  const config = { module: ConfigModule, providers: [{ provide: base, useValue: 'app.test' }], exports: [base] }
  const module = TenantryModule.forRootAsync({
    imports: [config],
    inject: [base],
    useFactory: async (given: string) => ({ tenantry, tenantFrom: [subdomain({ base: given })] }),
  })
  const client = await served(module, makeWorld())
  expect((await client.ask({ host: 'acme.app.test', path: '/users' })).body).toMatchObject({ tenant: 'acme' })
})

it('reads a claim after the guards have authenticated', async () => {
  const byUser = claim((request: object) => ('user' in request ? request.user : undefined))
  const module = TenantryModule.forRoot({ tenantry, tenantFrom: [bySubdomain, byUser] })
  const client = await served(module, makeWorld(), (request) => Object.assign(request, { user: 'acme' }))
  expect(await client.ask({ host: 'acme.app.test', path: '/users' })).toMatchObject({ status: 200 })
  expect(await client.ask({ host: 'beta.app.test', path: '/users' })).toMatchObject({ status: 403 })
})

it('has no tenant outside of a request', async () => {
  const world = makeWorld()
  class AppModule {}
  Module({ imports: [TenantryModule.forRoot({ tenantry, tenantFrom: [bySubdomain] })] })(AppModule)
  const context = await NestFactory.createApplicationContext(AppModule, { logger: false })
  const current = context.get<CurrentTenant>(CurrentTenant)
  expect(() => current.id).toThrow(expect.objectContaining({ code: 'no-tenant' }))
  expect(() => current.signal).toThrow(expect.objectContaining({ code: 'no-tenant' }))
  expect(() => current.handle()).toThrow(expect.objectContaining({ code: 'no-tenant' }))
  await context.close()
  expect(world.made.controllers).toBe(0)
})

it('refuses invalid options, when it starts', async () => {
  const starting = served(TenantryModule.forRoot({ tenantry, tenantFrom: [] }), makeWorld())
  await expect(starting).rejects.toMatchObject({ code: 'invalid-option' })
})

function descriptorOf(prototype: object, name: string): PropertyDescriptor {
  return Object.getOwnPropertyDescriptor(prototype, name) ?? {}
}
