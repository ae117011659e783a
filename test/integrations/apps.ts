import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { serve as serveHono } from '@hono/node-server'
import {
  Body,
  Catch,
  Controller,
  type ExceptionFilter,
  Get,
  HttpException,
  Inject,
  type LoggerService,
  Module,
  Post,
} from '@nestjs/common'
import { type AbstractHttpAdapter, HttpAdapterHost, NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import express, { type ErrorRequestHandler } from 'express'
import { fastify } from 'fastify'
import { Hono } from 'hono'
import type { EntityManager } from '@mikro-orm/postgresql'
import { expressTenants } from 'tenantry/express'
import { fastifyTenants } from 'tenantry/fastify'
import { honoTenants, type TenantEnv } from 'tenantry/hono'
import { CurrentTenant, TenantryModule } from 'tenantry/nestjs'
import { enterUntilSent, nodeRequest, type RequestTenant, TenantRequests } from 'tenantry/requests'
import { type AppParts, ownAnswer, type Route, type ServedApp } from './framework.ts'

export async function serveByExpress({ tenantry, routes, logged: _, ...options }: AppParts): Promise<ServedApp> {
  const app = express()
  const tenants = expressTenants(tenantry, options)
  app.use(tenants)
  // Behind the tenant: the context has to come through the reading of a body.
  app.use(express.json())
  for (const { method, path, run } of routes) {
    app[method](path, async (request, response) => {
      response.json(await run(request.tenant, request.body))
    })
  }
  app.use(tenants.errors)
  // Express knows error handlers by their four parameters.
  // oxlint-disable-next-line no-unused-vars
  const own: ErrorRequestHandler = (_error, _request, response, _next) => {
    response.status(500).send(ownAnswer)
  }
  app.use(own)
  return listening(createServer(app))
}

export async function serveByFastify({ routes, logged, ...options }: AppParts): Promise<ServedApp> {
  const app = fastify({ logger: { level: 'error', stream: { write: logged } } })
  app.register(fastifyTenants, options)
  app.setErrorHandler((_error, _request, reply) => reply.code(500).send(ownAnswer))
  app.after(() => {
    for (const { method, path, run } of routes) {
      app[method](path, async (request) => run(request.tenant, request.body))
    }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: portOf(app.server), close: () => app.close() }
}

export async function serveByHono({ tenantry, routes, logged: _, ...options }: AppParts): Promise<ServedApp> {
  const app = new Hono<TenantEnv<EntityManager>>()
  app.use(honoTenants(tenantry, options))
  for (const { method, path, run } of routes) {
    app[method](path, async (c) => {
      const body: unknown = method === 'post' ? await c.req.json() : undefined
      return c.json((await run(c.var.tenant, body)) as object)
    })
  }
  app.onError((_error, c) => c.text(ownAnswer, 500))
  const server = serveHono({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server
  if (!server.listening) await once(server, 'listening')
  return { port: portOf(server), close: () => closed(server) }
}

export function serveByNestOnExpress(parts: AppParts): Promise<ServedApp> {
  return serveByNest(parts, new ExpressAdapter())
}

export function serveByNestOnFastify(parts: AppParts): Promise<ServedApp> {
  return serveByNest(parts, new FastifyAdapter())
}

async function serveByNest({ routes, logged, ...options }: AppParts, adapter: AbstractHttpAdapter): Promise<ServedApp> {
  class AppModule {}
  Module({ imports: [TenantryModule.forRoot(options)], controllers: [controllerOf(routes)] })(AppModule)
  const app = await NestFactory.create(AppModule, adapter, { logger: loggerTo(logged) })
  app.useGlobalFilters(new OwnFilter(app.get(HttpAdapterHost)))
  await app.listen(0, '127.0.0.1')
  return { port: portOf(app.getHttpServer() as Server), close: () => app.close() }
}

function loggerTo(logged: AppParts['logged']): LoggerService {
  const ignore = () => undefined
  return { log: ignore, warn: ignore, error: (...parts: unknown[]) => logged(parts.join('\n')) }
}

function controllerOf(routes: readonly Route[]) {
  class AppController {
    readonly tenant: CurrentTenant<EntityManager>
    constructor(tenant: CurrentTenant<EntityManager>) {
      this.tenant = tenant
    }
  }
  // Decorators by hand: the runner of the tests has none.
  Inject(CurrentTenant)(AppController, undefined, 0)
  Controller()(AppController)
  for (const { method, path, run } of routes) {
    const handler = function handler(this: AppController, body: unknown) {
      return run(this.tenant, body)
    }
    const name = `${method} ${path}`
    const descriptor = { value: handler, configurable: true, writable: true }
    Object.defineProperty(AppController.prototype, name, descriptor)
    Body()(AppController.prototype, name, 0)
    const decorate = method === 'get' ? Get(path) : Post(path)
    decorate(AppController.prototype, name, descriptor)
  }
  return AppController
}

class OwnFilter implements ExceptionFilter {
  readonly #adapter: HttpAdapterHost

  constructor(adapter: HttpAdapterHost) {
    this.#adapter = adapter
  }

  catch(error: unknown, host: Parameters<ExceptionFilter['catch']>[1]): void {
    const response: unknown = host.switchToHttp().getResponse()
    const { httpAdapter } = this.#adapter
    if (error instanceof HttpException) httpAdapter.reply(response, error.getResponse(), error.getStatus())
    else httpAdapter.reply(response, ownAnswer, 500)
  }
}
Catch()(OwnFilter)

/** No framework at all, as docs/frameworks.md does it. */
export async function serveByNode({ tenantry, routes, logged: _, ...options }: AppParts): Promise<ServedApp> {
  const requests = new TenantRequests(tenantry, options)
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    try {
      const like = nodeRequest(request, request.headers.host, request.url ?? '/')
      const tenant = await enterUntilSent(requests, request, like, response)
      const route = routes.find(({ method, path }) => path === request.url && method === request.method?.toLowerCase())
      const said = await text(request)
      const body: unknown = said === '' ? undefined : JSON.parse(said)
      const run = () => route?.run(tenant as RequestTenant<EntityManager>, body)
      response.end(JSON.stringify(await (tenant === undefined ? run() : tenant.run(run))))
    } catch (error) {
      const answer = requests.answer(error, request)
      if (answer === undefined) throw error
      response.writeHead(answer.status, answer.headers).end(JSON.stringify(answer.body))
    }
  }
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.writeHead(500).end(ownAnswer))
  })
  return listening(server)
}

async function listening(server: Server): Promise<ServedApp> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: portOf(server), close: () => closed(server) }
}

async function closed(server: Server): Promise<void> {
  server.close()
  server.closeAllConnections()
  if (server.listening) await once(server, 'close')
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}
