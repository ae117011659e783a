import { randomBytes } from 'node:crypto'
import { openTenantry } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { identifier } from '../support/names.ts'
import { startServer } from '../support/start-server.ts'
import { errorOf, sqlAt } from '../support/server.ts'

// A server with few connections, and processes that could use three times as many at once: they wait for each other.

const models = mikroOrm({ entities: [User, Address] })
const [processes, signUps] = [6, 4]
/** Three of them are for superusers. */
const limit = 30

let server: Awaited<ReturnType<typeof startServer>>
let url: string
beforeAll(async () => {
  server = await startServer({ max_connections: limit, fsync: 'off' })
  await sqlAt(server.url, `create role provisioner login createdb createrole password 'secret'`)
  const target = new URL(server.url)
  Object.assign(target, { username: 'provisioner', password: 'secret' })
  url = target.href
}, 60_000)
afterAll(() => server.stop())

it('many that sign up at once in many processes all are signed up', { timeout: 60_000 }, async () => {
  const credentialsKey = randomBytes(32).toString('base64')
  const initialise = () => undefined
  const open = () =>
    openTenantry({
      models,
      servers: [postgres({ url, maxConnections: 2 })],
      credentials: { key: credentialsKey },
      hooks: { initialise },
    })
  const opened = [await open()]
  opened.push(...(await Promise.all(Array.from({ length: processes - 1 }, open))))
  onTestFinished(async () => void (await Promise.all(opened.map((tenantry) => tenantry.close()))))
  const outcomes = await Promise.all(
    opened.flatMap((tenantry, process) =>
      Array.from({ length: signUps }, async (_, i) => (await tenantry.onboard(`t-${process}-${i}`)).outcome),
    ),
  )
  expect(outcomes).toEqual(Array.from({ length: processes * signUps }, () => 'onboarded'))
})

it('calls that wait too long fail, aborted ones end at once, and the others continue', async () => {
  const taken: Client[] = []
  for (;;) {
    const client = new Client({ connectionString: url })
    client.on('error', () => undefined)
    if (
      !(await client.connect().then(
        () => taken.push(client),
        () => false,
      ))
    )
      break
  }
  const maintenance = identifier('postgres')
  const hurried = postgres({ url, busyTimeoutMs: 200 })
  const patient = postgres({ url })
  const [stop, pool, sessions] = [
    new AbortController(),
    patient.pool(maintenance, 1),
    patient.sessionPool(maintenance, 2),
  ]
  const failing = [
    hurried.connect(maintenance),
    hurried.coordination.join(maintenance, { onMessage: () => undefined, onEnd: () => undefined }),
    hurried.sessionPool(maintenance, 1).connect(),
    hurried.pool(maintenance, 1).connect(),
  ]
  for (const error of await Promise.all(failing.map(errorOf))) {
    expect(error).toMatchObject({ code: 'too-many-connections' })
  }
  const aborted = [patient.connect(maintenance, { signal: stop.signal }), sessions.connect({ signal: stop.signal })]
  const waiting = [patient.connect(maintenance), sessions.connect(), sessions.connect()]
  const querying = pool.query('select 1')
  stop.abort()
  for (const error of await Promise.all(aborted.map(errorOf))) expect(error).toMatchObject({ code: 'aborted' })
  await Promise.all(taken.map((client) => client.end()))
  for (const session of await Promise.all(waiting)) await session.close()
  expect(await querying).toMatchObject({ rowCount: 1 })
  await Promise.all([pool.end(), sessions.end()])
})
