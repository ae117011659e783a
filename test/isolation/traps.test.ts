import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { checkDatabase, doctor, ensureDatabase, ensureTables, openTenantry, type Tenantry } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import type { EntityManager } from '@mikro-orm/postgresql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { startServer } from '../support/start-server.ts'
import { errorOf, quote, sqlAt } from '../support/server.ts'
import { models } from './support.ts'

// A server as pg_upgrade leaves it that comes from 14: every role may create in the schema public of databases of
// others. There are functions and operators that fit the arguments of administration better than PostgreSQL's own. A
// session that runs one gets an error, and is in the server's log.

const functions = [
  'array_to_string(text[], text) returns text',
  'cardinality(text[]) returns int',
  'concat_ws(text, text) returns text',
  'concat_ws(text, text, text) returns text',
  'format(text, name) returns text',
  'format(text, name, name) returns text',
  'hashtextextended(text, int) returns bigint',
  'json_build_object(text, name) returns json',
  'make_interval(int) returns interval',
  'pg_terminate_backend(int) returns boolean',
  'quote_ident(name) returns text',
  'regexp_match(name, text) returns text[]',
  'starts_with(name, text) returns boolean',
  'strpos(name, text) returns int',
  'to_json(text) returns json',
  'to_jsonb(pg_catalog.pg_database) returns jsonb',
  'unnest(int[]) returns setof int',
  'unnest(text[]) returns setof text',
]

const operators = [
  ['=', 'oid', 'int'],
  ['<>', 'oid', 'int'],
  ['=', 'oid', 'regclass'],
  ['=', 'regclass', 'oid'],
  ['=', 'oid', 'regtype'],
  ['=', 'name', 'varchar'],
  ['=', 'varchar', 'text'],
  ['||', 'text', 'name'],
  ['||', 'name', 'text'],
  ['||', 'text', 'int'],
  ['&', 'smallint', 'int'],
] as const

const sprung = 'a trap was sprung'
const body = `language plpgsql as $f$ begin raise exception '${sprung} by %', current_user; end $f$`
const traps = [
  'grant create on schema public to public',
  ...functions.map((signature) => `create function public.${signature} ${body}`),
  ...operators.flatMap(([name, left, right], i) => [
    `create function public.trap_${i}(${left}, ${right}) returns boolean ${body}`,
    `create operator public.${name} (leftarg = ${left}, rightarg = ${right}, function = public.trap_${i})`,
  ]),
].join(';')

const credentialsKey = randomBytes(32).toString('base64')
let server: Awaited<ReturnType<typeof startServer>>
beforeAll(async () => {
  server = await startServer()
  await asSuperuser(`create role provisioner login createdb createrole password 'secret'`)
  for (const database of ['service', 'theirs']) {
    await asSuperuser(`create database ${database} owner provisioner`)
    await asSuperuser('alter schema public owner to provisioner', database)
  }
  await ensureTables(url('theirs'), models)
  await asSuperuser('create extension citext schema public', 'theirs')
  for (const database of ['postgres', 'template1', 'service', 'theirs']) await asSuperuser(traps, database)
}, 60_000)
afterAll(() => server.stop())

function url(database: string, user = 'provisioner'): string {
  const target = new URL(server.url)
  target.pathname = `/${database}`
  if (user === 'provisioner') Object.assign(target, { username: user, password: 'secret' })
  return target.href
}

/** Runs statements as a superuser with a safe search_path. */
function asSuperuser<Row extends object>(statement: string, database = 'postgres'): Promise<Row[]> {
  return sqlAt<Row>(`${url(database, 'postgres')}?options=-csearch_path%3Dpg_catalog`, statement)
}

async function timesSprung(): Promise<number> {
  const log = await readFile(server.logFile, 'utf8')
  return log.split(sprung).length - 1
}

/** Runs some of the public face, and expects that nothing in it is trapped. */
async function expectUntrapped(work: () => Promise<unknown>): Promise<void> {
  const before = await timesSprung()
  await work()
  expect(await timesSprung()).toBe(before)
}

it('objects of others in a database trap a session that is unwary', async () => {
  for (const unwary of [
    `select hashtextextended('x', 0)`,
    `select from pg_class where oid = 'pg_class'::regclass`,
    `select from pg_database where starts_with(datname, 'x')`,
  ]) {
    expect(await errorOf(sqlAt(url('postgres'), unwary))).toMatchObject({ message: expect.stringContaining(sprung) })
  }
  expect(await timesSprung()).toBeGreaterThan(0)
})

describe('objects of others in a database', () => {
  it('is not run by ensureDatabase', () =>
    expectUntrapped(async () => {
      await ensureDatabase(url('made'))
      await ensureDatabase(url('made'), { encoding: 'UTF8', maintenanceDatabase: 'service' })
      await ensureDatabase(url('service'), { encoding: 'UTF8' })
    }))

  it('is not run by ensureTables and checkDatabase', () =>
    expectUntrapped(async () => {
      await ensureTables(url('service'), models)
      expect(await ensureTables(url('service'), models)).toMatchObject({ created: [] })
      expect(await checkDatabase(url('service'), models)).toMatchObject({ outcome: 'matches' })
    }))

  it('is not run by doctor, which has the statements that end it', () =>
    expectUntrapped(async () => {
      const { servers } = await doctor({
        servers: both(),
        installation: 'trapped',
        templates: { extensions: ['citext'] },
      })
      for (const examined of servers) {
        expect(examined).toMatchObject({ reachable: true, missing: [] })
        const warning = examined.reachable ? examined.warnings.find(({ code }) => code === 'public-create') : undefined
        const revoke = 'REVOKE CREATE ON SCHEMA "public" FROM PUBLIC'
        expect(warning?.sql.toSorted()).toEqual(
          ['postgres', 'service', 'template1', 'theirs'].map((database) => `${revoke} /* in ${quote(database)} */;`),
        )
      }
    }))

  describe('are not run by Tenantry, on a server of its own or in databases of others,', () => {
    const notices: string[] = []
    let tenantry: Tenantry<EntityManager>
    const open = (spares: number) =>
      openTenantry({
        models,
        servers: both(),
        installation: 'trapped',
        credentials: { key: credentialsKey },
        templates: { spares, extensions: ['citext'], seed: (em) => em.count(User) },
        hooks: { initialise: (em) => em.count(User) },
        logger: { info: (notice) => void notices.push(notice), warn: (notice) => void notices.push(notice) },
      })
    afterAll(() => tenantry.close())

    it('when it opens, which is when it warns', () =>
      expectUntrapped(async () => {
        tenantry = await open(0)
        await expect.poll(() => notices).toHaveLength(2)
        expect(notices.toSorted()).toEqual([
          expect.stringContaining('postgres of the server main'),
          expect.stringContaining('service of the server second'),
        ])
        const inCatalog = `select proname from pg_proc where pronamespace = 'public'::regnamespace
        and not exists (select from pg_depend d where d.objid = pg_proc.oid and d.deptype = 'e')`
        expect(await asSuperuser(inCatalog, 'trapped_catalog')).toEqual([])
      }))

    it('when tenants are made', () =>
      expectUntrapped(async () => {
        await tenantry.onboard('here', { server: 'main' })
        await tenantry.onboard('there', { server: 'second' })
        await tenantry.tenants.adopt('adopted', { database: 'theirs', server: 'second' })
        for (const [source, id] of [
          ['here', 'clone-here'],
          ['there', 'clone-there'],
          ['adopted', 'clone-adopted'],
        ] as const) {
          await tenantry.tenants.clone(source, id, { anonymise: (em) => em.count(User) })
        }
      }))

    it('when it works for them', () =>
      expectUntrapped(async () => {
        expect((await tenantry.forEach((em) => em.count(User))).failed).toBe(0)
        const stop = new AbortController()
        const sleeping = tenantry.tenants.check('here', { signal: stop.signal })
        stop.abort()
        await errorOf(sleeping)
      }))

    it('when it is requested', () =>
      expectUntrapped(async () => {
        await tenantry.tenants.list({ search: 'e', metadata: {} })
        await tenantry.tenants.history('here')
        await tenantry.status()
        for (const id of ['here', 'there', 'adopted', 'clone-adopted']) {
          await tenantry.tenants.get(id)
          expect(await tenantry.tenants.check(id)).toMatchObject({ outcome: 'matches' })
          await tenantry.tenants.credentials(id)
          await tenantry.tenants.environment(id, { as: 'tenant' })
        }
      }))

    it('when it changes them', () =>
      expectUntrapped(async () => {
        for (const id of ['here', 'there', 'adopted']) {
          await tenantry.tenants.update(id, { displayName: id })
          await tenantry.domains.add(id, `${id}.example.com`)
          await tenantry.domains.verify(id, `${id}.example.com`, { proof: 'given' })
          expect(await tenantry.domains.tenantOf(`${id}.example.com`)).toMatchObject({ tenant: id })
          await tenantry.domains.list(id)
          await tenantry.domains.remove(id, `${id}.example.com`)
          await tenantry.tenants.rotateCredentials(id)
          await tenantry.tenants.suspend(id)
          await tenantry.tenants.resume(id)
          await tenantry.tenants.offboard(id)
          await tenantry.tenants.restore(id)
          await tenantry.with(id, (em) => em.count(User))
        }
        await tenantry.tenants.reencryptCredentials()
        await tenantry.servers.reconcile()
      }))

    it('when it keeps spares', () =>
      expectUntrapped(async () => {
        await tenantry.close()
        tenantry = await open(1)
        const ready = async () => (await tenantry.status()).spares.map((spares) => spares.ready)
        await expect.poll(ready, { timeout: 20_000 }).toEqual([1, 1])
        await tenantry.onboard('spare-here', { server: 'main' })
        await tenantry.onboard('spare-there', { server: 'second' })
      }))

    it('when it takes away', () =>
      expectUntrapped(async () => {
        for (const id of ['here', 'there', 'adopted']) {
          await tenantry.tenants.offboard(id, { retentionDays: 0 })
          if (id === 'here') await tenantry.tenants.purge(id)
        }
        expect((await tenantry.tenants.purgeExpired()).failed).toEqual([])
        await tenantry.templates.remove()
        await tenantry.close()
      }))
  })
})

function both() {
  return [
    postgres({ name: 'main', url: url('postgres') }),
    postgres({ name: 'second', url: url('service'), maxConnections: 10 }),
  ]
}
