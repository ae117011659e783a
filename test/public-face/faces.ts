import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { NestFactory } from '@nestjs/core'
import { Module, type DynamicModule } from '@nestjs/common'
import type { EntityManager } from '@mikro-orm/postgresql'
import { fastify } from 'fastify'
import * as root from 'tenantry'
import * as drizzleEntry from 'tenantry/drizzle'
import * as embedded from 'tenantry/embedded'
import * as express from 'tenantry/express'
import * as fastifyEntry from 'tenantry/fastify'
import * as hono from 'tenantry/hono'
import * as kyselyEntry from 'tenantry/kysely'
import * as mikroOrmEntry from 'tenantry/mikro-orm'
import * as nest from 'tenantry/nestjs'
import * as postgresEntry from 'tenantry/postgres'
import * as prismaEntry from 'tenantry/prisma'
import * as requests from 'tenantry/requests'
import * as sqlEntry from 'tenantry/sql'
import * as testing from 'tenantry/testing'
import * as typeormEntry from 'tenantry/typeorm'
import { Address, User } from '../../examples/service/models.ts'
import { serverUrl } from '../support/server.ts'
import type { kinds, ValueName } from './values.ts'

export type KindName = keyof typeof kinds

/** A public function: its call, and its arguments. */
export interface Face {
  // oxlint-disable-next-line typescript/no-explicit-any -- what it is given is wrong on purpose
  readonly call: (...args: any[]) => unknown
  /** Its arguments except the options: a valid value, and its kind. */
  readonly args?: readonly (readonly [right: unknown, kind: KindName])[]
  /** Its options, which come last. */
  readonly options?: Readonly<Record<string, KindName>>
  /** Options that have to be there. */
  readonly needed?: Readonly<Record<string, unknown>>
  /** Values that are never read: a promise cannot be resolved with them. */
  readonly unread?: readonly ValueName[]
  /** True if it takes options that are not ours to list. */
  readonly isOpen?: boolean
}

/** The functions of every entry of the package that have no arguments to be wrong, and why. */
export const without: Readonly<Record<string, string>> = {
  'root.TenantryError': 'is made by Tenantry',
  'root.defineConfig': 'gives back what it is given, which openTenantry checks',
  'requests.customDomain': 'takes nothing',
  'requests.errorResponse': 'takes whatever was thrown',
  'nest.CurrentTenant': 'is made by the module',
  'testing.handleFactoryChecks': 'gives tests, which fail with what they are given',
  'testing.schemaSourceChecks': 'gives tests, which fail with what they are given',
  'tenantry.currentTenant': 'takes nothing',
  'tenantry.captureTenant': 'takes nothing',
  'TenantRequests.answer': 'takes whatever was thrown',
}

/** Every entry of the package, by the name that the tables use. */
export const entries = {
  root,
  postgres: postgresEntry,
  mikroOrm: mikroOrmEntry,
  drizzle: drizzleEntry,
  prisma: prismaEntry,
  kysely: kyselyEntry,
  typeorm: typeormEntry,
  sql: sqlEntry,
  testing,
  embedded,
  requests,
  fastify: fastifyEntry,
  hono,
  express,
  nest,
} as const

const cancellable = { signal: 'signal' } as const
const verb = { actor: 'text', ...cancellable } as const
const chosen = { rollout: 'count', ...cancellable } as const
const newTenant = { displayName: 'text', metadata: 'metadata', ...verb } as const
const acme = ['acme', 'id'] as const
const domain = ['shop.example.com', 'domain'] as const
const work = [() => undefined, 'function'] as const

type Open = root.Tenantry<EntityManager>

/** Returns a method by its path, such as `tenants.get`. */
function methodOf(it: Open, path: string): (...args: unknown[]) => unknown {
  const [first = '', second] = path.split('.')
  const owner = (second === undefined ? it : Reflect.get(it, first)) as object
  return (Reflect.get(owner, second ?? first) as (...args: unknown[]) => unknown).bind(owner)
}

/** The methods of an open Tenantry, which has a tenant acme. */
export function facesOfTenantry(it: Open): Readonly<Record<string, Face>> {
  const of = (name: string, args: Face['args'], options: Face['options'], needed: Face['needed'] = {}): Face => ({
    call: (...given: unknown[]) => methodOf(it, name)(...given),
    ...(args && { args }),
    ...(options && { options }),
    needed,
  })
  return {
    onboard: of('onboard', [['never', 'id']], { ...newTenant, server: 'text', existing: 'word' }),
    'tenants.update': of('tenants.update', [acme], { ...newTenant, displayName: 'nullableText' }),
    'tenants.suspend': of('tenants.suspend', [acme], { ...verb, drainMs: 'duration' }),
    'tenants.resume': of('tenants.resume', [acme], verb),
    'tenants.offboard': of('tenants.offboard', [acme], { ...verb, drainMs: 'duration', retentionDays: 'duration' }),
    'tenants.restore': of('tenants.restore', [acme], verb),
    'tenants.purge': of('tenants.purge', [acme], verb),
    'tenants.purgeExpired': of('tenants.purgeExpired', [], { ...verb, limit: 'count' }),
    'tenants.clone': of('tenants.clone', [acme, ['never', 'id']], {
      ...newTenant,
      anonymise: 'functionOrFalse',
      drainMs: 'duration',
      existing: 'word',
    }),
    'tenants.adopt': of(
      'tenants.adopt',
      [['never', 'id']],
      { ...newTenant, database: 'name', server: 'text' },
      { database: 'not-there' },
    ),
    'templates.remove': of('templates.remove', [], cancellable),
    'rollouts.setDesired': of('rollouts.setDesired', [[1, 'version']], cancellable),
    'rollouts.plan': of('rollouts.plan', [], { from: 'count', steps: 'texts', renames: 'metadata', ...cancellable }),
    'rollouts.preflight': of('rollouts.preflight', [[plan, 'made']], {
      only: 'texts',
      concurrency: 'count',
      onProgress: 'function',
      ...cancellable,
    }),
    'rollouts.start': of('rollouts.start', [[plan, 'made']], {
      ...verb,
      allow: 'texts',
      only: 'texts',
      concurrency: 'count',
      haltAfter: 'count',
      lockTimeoutMs: 'count',
      largeTableBytes: 'count',
      onProgress: 'function',
      canary: 'texts',
      waves: 'shares',
      leaseMs: 'count',
      detach: 'flag',
    }),
    'rollouts.join': of('rollouts.join', [], { ...chosen, ...verb, concurrency: 'count', onProgress: 'function' }),
    'rollouts.work': of('rollouts.work', [], { ...verb, concurrency: 'count', onProgress: 'function' }),
    'rollouts.pause': of('rollouts.pause', [], chosen),
    'rollouts.abort': of('rollouts.abort', [], chosen),
    'rollouts.resume': of('rollouts.resume', [], { ...chosen, haltAfter: 'count' }),
    'rollouts.retry': of('rollouts.retry', [], { ...chosen, haltAfter: 'count', only: 'texts' }),
    'rollouts.get': of('rollouts.get', [], chosen),
    'rollouts.list': of('rollouts.list', [], { limit: 'count', ...cancellable }),
    'rollouts.planOf': of('rollouts.planOf', [], chosen),
    'rollouts.targets': of('rollouts.targets', [], { ...chosen, state: 'word', after: 'id', limit: 'count' }),
    'rollouts.watch': of('rollouts.watch', [], chosen),
    'tenants.accept': of('tenants.accept', [acme], verb),
    'tenants.restamp': of('tenants.restamp', [acme], { ...verb, differences: 'word' }),
    'servers.reconcile': of('servers.reconcile', [], { ...verb, dryRun: 'flag' }),
    'tenants.check': of('tenants.check', [acme], { exact: 'flag', against: 'word', ...cancellable }),
    'tenants.get': of('tenants.get', [acme], cancellable),
    'tenants.list': of('tenants.list', [], {
      limit: 'count',
      after: 'id',
      state: 'word',
      server: 'text',
      version: 'version',
      metadata: 'metadata',
      search: 'text',
      expired: 'flag',
      ...cancellable,
    }),
    'tenants.history': of('tenants.history', [acme], { limit: 'count', ...cancellable }),
    status: of('status', [], cancellable),
    'tenants.environment': of('tenants.environment', [acme], { as: 'word', ...cancellable }),
    'tenants.credentials': of('tenants.credentials', [acme], cancellable),
    'tenants.rotateCredentials': of('tenants.rotateCredentials', [acme], { ...verb, endSessions: 'flag' }),
    'tenants.reencryptCredentials': of('tenants.reencryptCredentials', [], verb),
    'domains.add': of('domains.add', [acme, domain], verb),
    'domains.verify': of('domains.verify', [acme, domain], { ...verb, proof: 'word' }),
    'domains.remove': of('domains.remove', [acme, domain], verb),
    'domains.list': of('domains.list', [acme], { limit: 'count', after: 'domain', ...cancellable }),
    'domains.get': of('domains.get', [domain], cancellable),
    'domains.tenantOf': of('domains.tenantOf', [['shop.example.com', 'anything']], cancellable),
    on: of('on', [work], undefined),
    with: of('with', [acme, work], { nested: 'word', ...cancellable }),
    run: of('run', [acme, work], { nested: 'word', ...cancellable }),
    forEach: of('forEach', [work], {
      concurrency: 'count',
      tenantTimeoutMs: 'duration',
      filter: 'options',
      onProgress: 'function',
      ...cancellable,
    }),
    'forEach({ filter })': {
      call: (filter) => it.forEach(() => undefined, { filter }),
      options: { server: 'text', version: 'version', metadata: 'metadata', search: 'text' },
    },
    close: of('close', [], { deadlineMs: 'deadline' }),
  }
}

/** A plan of another installation: it is read, and refused. */
const plan = { format: 1, installation: '', to: { number: 1, fingerprint: '' }, from: [] }
const models = mikroOrmEntry.mikroOrm({ entities: [User, Address] })
const config = {
  models: 'made',
  servers: 'made',
  catalog: 'options',
  installation: 'installation',
  mode: 'word',
  whenBehind: 'word',
  baseDir: 'simple',
  logger: 'made',
  templates: 'options',
  roles: 'word',
  credentials: 'options',
  hooks: 'options',
  pool: 'options',
  session: 'options',
  tenants: 'options',
  limits: 'options',
  ...cancellable,
} as const
const groups = {
  catalog: { server: 'made', create: 'flag' },
  templates: { spares: 'duration', seed: 'function', revision: 'textOrNumber', extensions: 'names' },
  credentials: { key: 'key', keyLost: 'flag' },
  hooks: { initialise: 'function', anonymise: 'function', beforeUpdate: 'function', afterUpdate: 'function' },
  pool: {
    waitMs: 'count',
    tenantShare: 'share',
    checkMs: 'duration',
    reset: 'flag',
    leaseWarningMs: 'duration',
    traceLeases: 'flag',
  },
  session: {
    isolationLevel: 'word',
    lockTimeoutMs: 'duration',
    statementTimeoutMs: 'duration',
    idleInTransactionTimeoutMs: 'duration',
    applicationName: 'name',
  },
  tenants: { naming: 'word', connectionLimit: 'count', retentionDays: 'duration' },
  limits: { drainMs: 'duration', lockTimeoutMs: 'count', concurrency: 'count' },
} as const
const connect = { connectTimeoutMs: 'count', statementTimeoutMs: 'duration', ...cancellable } as const
const sources = { tenantFrom: 'made', exempt: 'textsOrFunction', onError: 'function', log: 'functionOrFalse' } as const

/** The functions that the entries of the package have. */
export function facesOfEntries(it: Open): Readonly<Record<string, Face>> {
  const url = serverUrl({ database: 'not-there' })
  const servers = [postgresEntry.postgres({ url: serverUrl() })]
  const tenantFrom = [requests.subdomain({ base: 'app.test' })]
  const tenantry = [it, 'made'] as const
  return {
    'root.openTenantry': { call: root.openTenantry, options: config, needed: { models, servers } },
    ...Object.fromEntries(
      Object.entries(groups).map(([group, options]) => [
        `root.openTenantry({ ${group} })`,
        {
          call: (given) => root.openTenantry({ models, servers, [group]: given, signal: AbortSignal.abort() }),
          options,
        } satisfies Face,
      ]),
    ),
    'root.doctor': {
      call: (options) => root.doctor({ servers }, options),
      options: { probe: 'flag', ...cancellable },
    },
    'root.doctor, its configuration': { call: root.doctor, options: config, needed: { servers } },
    'root.ensureDatabase': {
      call: root.ensureDatabase,
      args: [[url, 'url']],
      options: {
        owner: 'name',
        template: 'name',
        encoding: 'text',
        locale: 'text',
        localeProvider: 'word',
        tablespace: 'name',
        connectionLimit: 'limit',
        maintenanceDatabase: 'name',
        ...connect,
      },
    },
    'root.ensureTables': {
      call: root.ensureTables,
      args: [
        [url, 'url'],
        [models, 'made'],
      ],
      options: { lockTimeoutMs: 'count', extensions: 'names', ...connect },
    },
    'root.checkDatabase': {
      call: root.checkDatabase,
      args: [
        [url, 'url'],
        [models, 'made'],
      ],
      options: { exact: 'flag', ...connect },
    },
    'postgres.postgres': {
      call: postgresEntry.postgres,
      options: {
        url: 'url',
        name: 'name',
        maxConnections: 'count',
        maintenanceDatabase: 'name',
        connectTimeoutMs: 'count',
        busyTimeoutMs: 'duration',
        statementTimeoutMs: 'duration',
        pooler: 'pooler',
      },
      needed: { url },
    },
    'postgres.postgres({ pooler })': {
      call: (pooler) => postgresEntry.postgres({ url, pooler }),
      options: { url: 'url', mode: 'word' },
      needed: { url: 'postgresql://localhost' },
    },
    'root.handlesOver': { call: root.handlesOver, args: [[() => undefined, 'function']] },
    'postgres.pgPool': {
      call: postgresEntry.pgPool,
      args: [[{ connect: () => undefined, query: () => undefined }, 'made']],
    },
    'drizzle.drizzle': { call: drizzleEntry.drizzle, options: {}, isOpen: true },
    'prisma.prisma': {
      call: prismaEntry.prisma,
      options: { migrations: 'path', client: 'function', keptClients: 'count' },
      needed: { migrations: 'prisma/migrations', client: () => undefined },
    },
    'typeorm.typeorm': { call: typeormEntry.typeorm, options: {}, isOpen: true },
    'kysely.kysely': { call: kyselyEntry.kysely, options: {}, isOpen: true },
    'kysely.kyselyMigrations': {
      call: kyselyEntry.kyselyMigrations,
      args: [['migrations', 'path']],
      options: {
        defaultSchema: 'name',
        migrationTableName: 'name',
        migrationLockTableName: 'name',
        migrationTableSchema: 'name',
      },
    },
    'sql.sqlFiles': {
      call: sqlEntry.sqlFiles,
      args: [['migrations', 'path']],
      options: { defaultSchema: 'name', layout: 'word', historyTable: 'name', historySchema: 'name' },
      needed: { layout: 'dbmate' },
    },
    'mikroOrm.mikroOrm': { call: mikroOrmEntry.mikroOrm, options: {}, isOpen: true },
    'embedded.startEmbeddedPostgres': {
      call: embedded.startEmbeddedPostgres,
      options: {
        dataDir: 'simple',
        port: 'count',
        binDir: 'simple',
        settings: 'options',
        superuser: 'name',
        startTimeoutMs: 'count',
        onLog: 'function',
        ...cancellable,
      },
      needed: { dataDir: '/nowhere' },
    },
    'embedded.developmentServer': {
      call: embedded.developmentServer,
      options: {
        baseDir: 'simple',
        create: 'flag',
        dataDir: 'simple',
        port: 'count',
        logger: 'made',
        ...cancellable,
      },
    },
    ...facesOfRequests(it, tenantFrom),
    'express.expressTenants': {
      call: express.expressTenants,
      args: [tenantry],
      options: sources,
      needed: { tenantFrom },
    },
    'hono.honoTenants': { call: hono.honoTenants, args: [tenantry], options: sources, needed: { tenantFrom } },
    'fastify.fastifyTenants': {
      call: (options) => fastify().register(fastifyEntry.fastifyTenants, options).ready(),
      options: { ...sources, tenantry: 'made', hook: 'word' },
      needed: { tenantry: it, tenantFrom },
    },
    'nest.TenantryModule.forRoot': {
      call: (options) => started(nest.TenantryModule.forRoot(options)),
      options: { ...sources, tenantry: 'made' },
      needed: { tenantry: it, tenantFrom },
    },
    'nest.TenantryModule.forRootAsync': {
      call: (options) => started(nest.TenantryModule.forRootAsync(options)),
      options: { imports: 'list', inject: 'list', useFactory: 'function' },
      needed: { useFactory: () => ({ tenantry: it, tenantFrom }) },
    },
    'nest.TenantryModule.forRootAsync, what it makes': {
      call: (options) => started(nest.TenantryModule.forRootAsync({ useFactory: () => options })),
      unread: ['a getter that throws', 'a revoked proxy'],
      options: { ...sources, tenantry: 'made' },
      needed: { tenantry: it, tenantFrom },
    },
  }
}

function facesOfRequests(it: Open, tenantFrom: readonly requests.TenantSource[]): Readonly<Record<string, Face>> {
  const made = new requests.TenantRequests(it, { tenantFrom })
  const raw = new IncomingMessage(new Socket())
  const response = new ServerResponse(raw)
  const like = { host: 'acme.app.test', url: '/', headers: {} }
  return {
    'requests.TenantRequests': {
      call: (tenantry, options) => new requests.TenantRequests(tenantry, options),
      args: [[it, 'made']],
      options: sources,
      needed: { tenantFrom },
    },
    'requests.TenantRequests, its log': {
      call: (log) => new requests.TenantRequests(it, { tenantFrom }, log),
      args: [[() => undefined, 'function']],
    },
    'TenantRequests.enter': {
      call: (request, asked, signal) => made.enter(request, asked, signal),
      args: [
        [raw, 'request'],
        [like, 'made'],
        [new AbortController().signal, 'signal'],
      ],
    },
    'requests.nodeRequest': { call: (request) => requests.nodeRequest(request, 'h', '/'), args: [[raw, 'made']] },
    'requests.enterUntilSent': {
      call: (given, sent) => requests.enterUntilSent(given, raw, like, sent),
      args: [
        [made, 'made'],
        [response, 'made'],
      ],
    },
    'requests.subdomain': {
      call: requests.subdomain,
      options: { base: 'simple', reserved: 'texts' },
      needed: { base: 'app.test' },
    },
    'requests.path': { call: requests.path, options: { prefix: 'prefix' } },
    'requests.pathWithoutTenant': { call: requests.pathWithoutTenant, options: { prefix: 'prefix' } },
    'requests.header': { call: requests.header, args: [['x-tenant', 'simple']] },
    'requests.claim': { call: requests.claim, args: [work], options: { optional: 'flag' } },
  }
}

/** Starts an application of the one module, which is when NestJS makes the options. */
async function started(module: DynamicModule): Promise<void> {
  // oxlint-disable-next-line typescript/no-extraneous-class -- what NestJS calls a module
  class AppModule {}
  Module({ imports: [module] })(AppModule)
  const context = await NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false })
  await context.close()
}
