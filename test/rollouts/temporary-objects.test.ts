import { expect, it, onTestFinished } from 'vitest'
import { Client } from 'pg'
import { serverUrl } from '../support/server.ts'
import { firstVersion, hazards, versionsOf } from './support.ts'

// A temporary object that depends on a column holds no lock, and keeps the column from being dropped or changed.

async function connectTo(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString })
  client.on('error', () => undefined)
  onTestFinished(() => client.end())
  await client.connect()
  return client
}

const before = 'create table note (id int primary key, old int not null default 1)'
const after = 'create table note (id int primary key, old bigint not null default 1)'

it.for([
  ['a view', 'create temporary view v as select old from note'],
  ['a column of its row type', 'create temporary table x (n note)'],
  ['a function', 'create function pg_temp.f() returns bigint language sql begin atomic select old from note; end'],
] as const)("%s of a tenant's session does not keep its table from being changed", async ([, statement]) => {
  const { next } = await firstVersion(['a', 'evil'], before)
  const second = await next(after)
  const ended: unknown[] = []
  second.on((event) => event.event === 'blocker-ended' && ended.push(event))
  const { user, password, database } = await second.tenants.credentials('evil')
  const client = await connectTo(serverUrl({ database, user, password: password.reveal() }))
  await client.query(statement)
  const plan = await second.rollouts.plan()
  const result = await second.rollouts.start(plan, { allow: hazards(plan), haltAfter: 1 })
  expect(result).toMatchObject({ outcome: 'done', changed: 2, failures: [] })
  expect(ended).toHaveLength(1)
  expect(await versionsOf(second)).toEqual({ a: 2, evil: 2 })
})

it("of a session that is no tenant's are named, and the other tenants are changed", async () => {
  const { next } = await firstVersion(['a', 'evil', 'z'], before)
  const second = await next(after)
  const { database } = await second.tenants.credentials('evil')
  const client = await connectTo(serverUrl({ database }))
  await client.query('create temporary view v as select old from note')
  const plan = await second.rollouts.plan()
  const result = await second.rollouts.start(plan, { allow: hazards(plan), haltAfter: 1 })
  const error = { code: 'sessions-remain', message: expect.stringMatching(/pg_temp_\d+\.v/) }
  expect(result).toMatchObject({ outcome: 'done', changed: 2, failures: [{ tenant: 'evil', error }] })
  await client.end()
  expect(await second.rollouts.start(plan, { allow: hazards(plan) })).toMatchObject({ changed: 1, failures: [] })
})
