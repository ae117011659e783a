import { doctor, type Models, type SchemaSession } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { createRole, disposableName, dropAfterwards, errorOf, quote, serverUrl, sql } from '../support/server.ts'
import { isAtLeast } from '../start-up/support.ts'
import { ask, codes, examined, namesOf, without } from './support.ts'

const installation = () => disposableName('i')

describe('the role of the connection', () => {
  it('may be a superuser, which is a warning', async () => {
    const name = installation()
    const diagnosis = await ask(name)
    expect(diagnosis).toMatchObject({ installation: name, roles: 'separate', healthy: true })
    const server = examined(diagnosis)
    expect(server).toMatchObject({ service: 'plain', role: { superuser: true, signalBackend: true }, missing: [] })
    expect(without(server)).toEqual({ endSessionsAsMember: undefined })
    expect(codes(server.warnings)).toEqual(expect.arrayContaining(['superuser', 'public-connect']))
    expect(server.unseen).toEqual([])
    expect(await namesOf(name)).toEqual([])
  })

  it('needs CREATEDB and CREATEROLE, and no more', async () => {
    const name = installation()
    const login = await createRole('createdb createrole')
    const diagnosis = await ask(name, login)
    const server = examined(diagnosis)
    expect([diagnosis.healthy, server.missing]).toEqual([true, []])
    expect(without(server)).toEqual({ endSessions: false })
    expect(codes(server.warnings)).toContain('no-signal-backend')
    expect(codes(server.warnings).includes('createrole-before-16')).toBe(!(await isAtLeast(16)))
    expect(codes(server.unseen)).toEqual(['leaked-directories'])
    expect(await namesOf(name)).toEqual([])
    expect(JSON.stringify(diagnosis)).not.toContain(login.password)
  })

  it('ends sessions as it is with pg_signal_backend', async () => {
    const login = await createRole('createdb createrole')
    await sql(`grant pg_signal_backend to ${quote(login.user)}`)
    const server = examined(await ask(installation(), login))
    expect(without(server)).toEqual({ endSessionsAsMember: undefined })
    expect(codes(server.warnings)).not.toContain('no-signal-backend')
  })

  it("needs only CREATEDB with roles: 'shared'", async () => {
    const name = installation()
    const diagnosis = await ask(name, { ...(await createRole('createdb')), roles: 'shared' })
    const server = examined(diagnosis)
    expect([diagnosis.healthy, server.missing, diagnosis.roles]).toEqual([true, [], 'shared'])
    expect(server.capabilities).toMatchObject({ renameInTransaction: true, dropDatabase: true, createRole: undefined })
    expect(codes(server.warnings)).not.toContain('public-connect')
    expect(await namesOf(name)).toEqual([])
  })
})

describe('missing privileges are granted by the given statements:', () => {
  const lacking = {
    CREATEDB: ['createrole', 'create-database', 'CREATEDB'],
    CREATEROLE: ['createdb', 'create-role', 'CREATEROLE'],
    INHERIT: ['createdb createrole noinherit', 'use-roles', 'INHERIT'],
  } as const

  it.each(Object.entries(lacking))('%s', async (_, [attributes, code, granted]) => {
    const name = installation()
    const login = await createRole(attributes)
    const [missing] = await expectMended(name, login, [code])
    expect(missing).toMatchObject({ sql: [`ALTER ROLE "${login.user}" ${granted};`], runAs: 'a superuser' })
  })

  it('all of it', async () => {
    await expectMended(installation(), await createRole(), ['create-database', 'create-role'])
  })

  it('the way into the maintenance database', async () => {
    const name = installation()
    const login = await createRole('createdb createrole')
    const maintenanceDatabase = disposableName('m')
    await sql(`create database ${quote(maintenanceDatabase)}`)
    await sql(`revoke connect on database ${quote(maintenanceDatabase)} from public`)
    const asked = { ...login, postgres: { maintenanceDatabase } }
    const { healthy, servers } = await ask(name, asked)
    expect([healthy, servers[0]]).toMatchObject([
      false,
      { reachable: false, error: { code: 'permission-denied' }, missing: [{ code: 'connect' }] },
    ])
    for (const statement of servers[0]!.missing.flatMap((finding) => finding.sql)) await sql(statement)
    expect(await ask(name, asked)).toMatchObject({ healthy: true })
  })

  it('roles of the installation that another role made, from PostgreSQL 16 on', async ({ skip }) => {
    if (!(await isAtLeast(16))) skip('with CREATEROLE a role may join every other before PostgreSQL 16')
    const name = installation()
    for (const purpose of ['owner', 'objects', 'app']) await newGroup(`${name}_${purpose}`)
    const missing = await expectMended(name, await createRole('createdb createrole'), [
      'use-roles',
      'use-roles',
      'use-roles',
    ])
    expect(missing.map(({ sql: [statement] }) => statement)).toEqual([
      expect.stringMatching(/_owner" TO ".*" WITH INHERIT TRUE, SET TRUE;$/),
      expect.stringMatching(/_objects" TO ".*" WITH INHERIT TRUE, SET TRUE;$/),
      expect.stringMatching(/_app" TO ".*" WITH ADMIN OPTION;$/),
    ])
  })

  it('a catalog that belongs to another role', async () => {
    const name = installation()
    const owner = await createRole()
    await sql(`create database ${quote(`${name}_catalog`)} owner ${quote(owner.user)}`)
    const [missing] = await expectMended(name, await createRole('createdb createrole'), ['own-databases'])
    expect(missing?.what).toContain(`${name}_catalog`)
  })
})

describe('extensions of the configuration', () => {
  it('are tried, and failing ones are missing', async () => {
    const login = await createRole('createdb createrole')
    const diagnosis = await ask(installation(), { ...login, templates: { extensions: ['citext', 'no_such_thing'] } })
    const { missing } = examined(diagnosis)
    expect(missing).toMatchObject([{ code: 'extension', sql: [], runAs: undefined }])
    expect(missing[0]?.what).toContain('no_such_thing')
  })
})

describe('the models of the configuration', () => {
  const declaring = (expression: string): Models<unknown> => ({
    ...mikroOrm({ entities: [User, Address] }),
    schema: {
      defaultSchema: 'public',
      fingerprint: async () => expression,
      create: (session) => session.script([`create table probed (id int default ${expression} primary key)`]),
    },
  })

  it.each(['separate', 'shared'] as const)('are made on each server, and match: %s', async (roles) => {
    const name = installation()
    const login = await createRole('createdb createrole')
    const models = mikroOrm({ entities: [User, Address] })
    const { missing, capabilities } = examined(await ask(name, { ...login, roles, models }))
    expect([missing, capabilities.createModels]).toEqual([[], true])
    expect(await namesOf(name)).toEqual([])
  })

  it('are missing where a statement fails', async () => {
    const { healthy, servers } = await ask(installation(), { models: declaring('no_such_function()') })
    const what = expect.stringContaining('no_such_function() does not exist')
    expect([healthy, servers[0]?.missing]).toEqual([false, [{ code: 'models', what, sql: [], runAs: undefined }]])
  })

  it('are missing where they differ once created', async () => {
    let calls = 0
    const models = declaring('1')
    const changing = {
      ...models.schema,
      create: (session: SchemaSession) => declaring(`${++calls}`).schema.create(session),
    }
    const { missing } = examined(await ask(installation(), { models: { ...models, schema: changing } }))
    expect(missing).toMatchObject([
      { code: 'models', what: expect.stringMatching(/once created, table probed differs/) },
    ])
  })

  it('are created with the extensions that they need', async () => {
    const login = await createRole('createdb createrole')
    const models = declaring(`length('a'::citext)`)
    expect(examined(await ask(installation(), { ...login, models })).missing).toMatchObject([{ code: 'models' }])
    const templates = { extensions: ['citext'] }
    expect(examined(await ask(installation(), { ...login, models, templates })).missing).toEqual([])
  })
})

describe('a server that cannot be examined', () => {
  it('is in the diagnosis where nothing listens, and keeps no other from being examined', async () => {
    const name = installation()
    const down = postgres({ name: 'down', url: 'postgresql://app:s3cret@127.0.0.1:1' })
    const up = postgres({ name: 'up', url: serverUrl() })
    const { healthy, servers } = await doctor({ servers: [down, up], installation: name })
    expect(healthy).toBe(false)
    expect(servers).toMatchObject([
      { server: 'down', reachable: false, error: { code: 'server-unreachable' }, missing: [] },
      { server: 'up', reachable: true, missing: [] },
    ])
  })

  it('is in the diagnosis where the password is wrong', async () => {
    const { user } = await createRole('createdb')
    const { healthy, servers } = await ask(installation(), { user, password: 'wr0ng' })
    expect([healthy, servers[0]]).toMatchObject([
      false,
      { reachable: false, error: { code: 'authentication-failed' }, missing: [] },
    ])
    expect(JSON.stringify(servers)).not.toContain('wr0ng')
  })
})

describe('without probing', () => {
  it('only reads', async () => {
    const name = installation()
    const server = examined(await ask(name, await createRole('createdb createrole'), { probe: false }))
    expect(server.tried).toEqual([])
    expect(Object.values(server.capabilities).every((worked) => worked === undefined)).toBe(true)
    expect(codes(server.unseen)).toEqual(['leaked-directories', 'trust-authentication'])
  })

  it('needs no right to make anything, not even in a read-only transaction', async () => {
    const login = await createRole('createdb')
    await sql(`alter role ${quote(login.user)} set default_transaction_read_only = on`)
    const options = { probe: false }
    expect(await ask(installation(), { ...login, roles: 'shared' }, options)).toMatchObject({ healthy: true })
  })
})

describe('connections', () => {
  it('are compared with the connections that a process may hold', async () => {
    const name = installation()
    const login = await createRole('createdb connection limit 20')
    const few = { ...login, roles: 'shared', postgres: { maxConnections: 3 }, limits: { concurrency: 2 } } as const
    expect(codes(examined(await ask(name, few)).warnings)).not.toContain('too-few-connections')
    const many = await ask(name, { ...few, postgres: { maxConnections: 9 } })
    const warning = examined(many).warnings.find(({ code }) => code === 'too-few-connections')
    // 9, four for each of two verbs, and four with the catalog.
    expect(warning?.found).toBe(`One process may hold 21 connections, and ${login.user} has 20 in all.`)
    for (const statement of warning!.sql) await sql(statement)
    expect(codes(examined(await ask(name, { ...few, postgres: { maxConnections: 9 } })).warnings)).not.toContain(
      'too-few-connections',
    )
  })
})

describe('its options', () => {
  it('is checked before anything is touched', async () => {
    const server = postgres({ url: 'postgresql://127.0.0.1:1' })
    const wrong = [
      doctor({ servers: [server], roles: 'separated' as 'separate' }),
      doctor({ servers: [server], installation: 'Shop' }),
      doctor({ servers: [server], instalation: 'shop' } as object),
      doctor({ servers: [server] }, { prob: false } as object),
      doctor({ servers: [{} as typeof server] }),
      doctor(undefined as unknown as object),
    ]
    for (const call of wrong) expect(await errorOf(call)).toMatchObject({ code: 'invalid-option' })
    expect(await errorOf(doctor({ servers: [server], templates: { extensions: [''] } }))).toMatchObject({
      code: 'invalid-name',
    })
  })
})

/** Expects these codes, and none once a superuser has run the given statements. */
async function expectMended(name: string, login: { user: string; password: string }, expected: string[]) {
  const diagnosis = await ask(name, login)
  const { missing } = examined(diagnosis)
  expect([diagnosis.healthy, codes(missing)]).toEqual([false, expected])
  // The result is the same without a probe.
  expect(codes(examined(await ask(name, login, { probe: false })).missing)).toEqual(expected)
  for (const statement of missing.flatMap((finding) => finding.sql)) await sql(statement)
  expect(await ask(name, login)).toMatchObject({ healthy: true, servers: [{ missing: [] }] })
  return missing
}

async function newGroup(name: string): Promise<void> {
  dropAfterwards(name)
  await sql(`create role ${quote(name)}`)
}
