// Users of tenants over HTTP, with NestJS. Its decorators need a compiler: `npx tsc --project examples/nestjs`, then
// `node examples/nestjs/dist/nestjs/main.js`, and then:
//
//   curl localhost:3000/tenants --json '{"id":"acme","displayName":"Acme GmbH"}'
//   curl acme.localhost:3000/users --json '{"name":"sandy"}'
//   curl acme.localhost:3000/users

import 'reflect-metadata'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Body, Controller, Get, Inject, Injectable, Module, type OnApplicationShutdown, Post } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import type { EntityManager } from '@mikro-orm/postgresql'
import { openTenantry, type Tenantry } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { CurrentTenant, subdomain, TENANTRY, TenantryModule } from 'tenantry/nestjs'
import { Address, User } from '../service/models.ts'

/** Made once; `tenant` is that of the request under way. */
@Injectable()
class UsersService {
  constructor(private readonly tenant: CurrentTenant<EntityManager>) {}

  async list() {
    const em = await this.tenant.handle()
    return em.findAll(User, { orderBy: { id: 'asc' } })
  }

  async add(name: string) {
    const em = await this.tenant.handle()
    const user = em.create(User, { name })
    await em.flush()
    return user
  }
}

@Controller('users')
class UsersController {
  constructor(private readonly users: UsersService) {}

  @Get()
  list() {
    return this.users.list()
  }

  @Post()
  add(@Body() { name }: { name: string }) {
    return this.users.add(name)
  }
}

@Controller('tenants')
class TenantsController implements OnApplicationShutdown {
  constructor(@Inject(TENANTRY) private readonly tenantry: Tenantry<EntityManager>) {}

  // An id that is taken belongs to another customer.
  @Post()
  async signUp(@Body() { id, displayName }: { id: string; displayName: string }) {
    const { tenant } = await this.tenantry.onboard(id, { displayName, existing: 'refuse', actor: 'sign-up' })
    return { id: tenant.id, displayName: tenant.displayName }
  }

  onApplicationShutdown() {
    return this.tenantry.close()
  }
}

@Module({
  imports: [
    TenantryModule.forRootAsync({
      useFactory: async () => ({
        tenantry: await openTenantry({ models: mikroOrm({ entities: [User, Address] }), installation: 'bynestjs' }),
        tenantFrom: [subdomain({ base: 'localhost' })],
        // A customer who signs up has no tenant yet.
        exempt: ['/tenants'],
        onError: ({ code }) => {
          if (code === 'invalid-tenant-id') return { status: 400, body: { error: code } }
          return code === 'tenant-exists' ? { status: 409, body: { error: code } } : undefined
        },
      }),
    }),
  ],
  providers: [UsersService],
  controllers: [UsersController, TenantsController],
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] })
app.enableShutdownHooks()
await app.listen(Number(process.env['PORT'] ?? 3000))
const { port } = (app.getHttpServer() as Server).address() as AddressInfo
console.log(`Ready on http://localhost:${port}`)
