import type { Login } from '../../dist/server/port.js'
import type { SessionMark } from '../../dist/server/occupancy.js'
import { postgres } from 'tenantry/postgres'
import { expect, it, onTestFinished } from 'vitest'
import { identifier, loginOf } from '../support/names.ts'
import { createRole, disposableName, serverUrl, sql } from '../support/server.ts'

const server = postgres({ url: serverUrl() })

/** Keeps a session open that carries a mark, until the test ends. */
async function keep(
  database: string,
  login: Login | undefined,
  mark: SessionMark | undefined,
  applicationName?: string,
) {
  const connection = await server.open(identifier(database), { login, mark, session: { applicationName } })
  onTestFinished(() => connection.close())
}

/** A group, and a tenant's role in it. */
async function tenantRole(group: string): Promise<Login> {
  const login = loginOf(await createRole())
  await sql(`create role "${group}"; grant "${group}" to "${login.user}"`)
  return login
}

it("counts an installation's marked sessions in all databases, by their roles, as a role that may nothing", async () => {
  const database = disposableName()
  await sql(`create database ${database}`)
  const [asking, stranger] = [await createRole(), await createRole()]
  const group = disposableName()
  const tenant = await tenantRole(group)
  const [own, other] = [loginOf(asking), loginOf(stranger)]
  const family = database.slice(-4)
  for (const [name, login, mark, applicationName] of [
    ['postgres', own, { family, member: 'aaaa' }, undefined],
    [database, own, { family, member: 'aaaa' }, `x${'é'.repeat(31)}`],
    [database, tenant, { family, member: 'aaaa' }, undefined],
    [database, tenant, { family, member: 'bbbb' }, 'x'.repeat(63)],
    [database, own, { family: 'zzzz', member: 'cccc' }, undefined],
    [database, own, undefined, undefined],
    [database, other, { family, member: 'dddd' }, undefined],
  ] as const) {
    await keep(name, login, mark, applicationName)
  }
  const session = await postgres({ url: serverUrl(asking) }).connect(identifier('postgres'))
  onTestFinished(() => session.close())
  const question = { family, tenantRoles: tenant.user.slice(0, 8), tenantGroup: identifier(group) }
  const { room, sessions } = await server.occupancy(session, { ...question, isAmongProcesses: false })
  expect(
    sessions.toSorted((one, another) => another.count - one.count || (one.process < another.process ? -1 : 1)),
  ).toEqual([
    { process: 'aaaa', tenantRole: undefined, count: 2 },
    { process: 'aaaa', tenantRole: tenant.user, count: 1 },
    { process: 'bbbb', tenantRole: tenant.user, count: 1 },
  ])
  const [limit] = await sql<{ room: number }>(
    `select sum(setting::int * case name when 'max_connections' then 1 else -1 end)::int as room from pg_settings
     where name in ('max_connections', 'superuser_reserved_connections', 'reserved_connections')`,
  )
  expect(room).toBe(limit?.room)
})

it("counts those of every role that may connect where only an installation's processes may", async () => {
  const database = disposableName()
  const [router, stranger] = [await createRole(), await createRole()]
  await sql(`create database ${database}`)
  await sql(
    `revoke connect on database ${database} from public; grant connect on database ${database} to ${router.user}`,
  )
  const family = database.slice(-4)
  for (const role of [router, stranger]) {
    await keep('postgres', loginOf(role), { family, member: role.user.slice(-4) })
  }
  const session = await server.connect(identifier(database))
  onTestFinished(() => session.close())
  const question = { family, tenantRoles: 'none_', tenantGroup: identifier('none'), isAmongProcesses: true }
  const { sessions } = await server.occupancy(session, question)
  expect(sessions).toEqual([{ process: router.user.slice(-4), tenantRole: undefined, count: 1 }])
})
