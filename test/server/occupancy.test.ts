import { postgres } from 'tenantry/postgres'
import { expect, it, onTestFinished } from 'vitest'
import { createRole, disposableName, serverUrl, sql } from '../support/server.ts'

it("counts an installation's marked sessions in all databases, seen by a role that may nothing", async () => {
  const database = disposableName()
  await sql(`create database ${database}`)
  const login = await createRole()
  const family = database.slice(-4)
  const server = postgres({ url: serverUrl() })
  for (const [name, mark, applicationName] of [
    ['postgres', { family, member: 'aaaa' }, undefined],
    [database, { family, member: 'aaaa' }, `x${'é'.repeat(31)}`],
    [database, { family, member: 'bbbb' }, 'x'.repeat(63)],
    [database, { family: 'zzzz', member: 'cccc' }, undefined],
    [database, undefined, undefined],
  ] as const) {
    const connection = await server.open(name as never, { mark, session: { applicationName } })
    onTestFinished(() => connection.close())
  }
  const session = await postgres({ url: serverUrl(login) }).connect('postgres' as never)
  onTestFinished(() => session.close())
  const { room, sessions } = await server.occupancy(session, family)
  expect(sessions).toEqual(
    new Map([
      ['aaaa', 2],
      ['bbbb', 1],
    ]),
  )
  const [limit] = await sql<{ room: number }>(
    `select sum(setting::int * case name when 'max_connections' then 1 else -1 end)::int as room from pg_settings
     where name in ('max_connections', 'superuser_reserved_connections', 'reserved_connections')`,
  )
  expect(room).toBe(limit?.room)
})
