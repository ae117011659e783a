import { openTenantry, type SessionDefaults } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { disposableName, errorOf, serverUrl, sql } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

/** Returns the settings of a tenant's session that was opened with these defaults. */
async function settingsWith(session: SessionDefaults, url = serverUrl()) {
  const tenantry = await openTestTenantry(models, { session, postgres: { url } })
  await tenantry.onboard('a')
  const [row] = await tenantry.with('a', (em) =>
    em.execute(
      `select current_setting('default_transaction_isolation') as isolation,
              current_setting('lock_timeout') as lock,
              current_setting('statement_timeout') as statement,
              current_setting('idle_in_transaction_session_timeout') as idle,
              current_setting('application_name') as name,
              current_setting('work_mem') as memory`,
    ),
  )
  return row as object
}

/** Returns the name with the mark of the process. */
function marked(name: string): unknown {
  const escaped = name.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  return expect.stringMatching(new RegExp(`^${escaped} #[0-9a-v]{8}$`))
}

describe("a tenant's sessions", () => {
  it.each(['read committed', 'repeatable read', 'serializable'] as const)(
    'run at the isolation level %s',
    async (level) => {
      expect(await settingsWith({ isolationLevel: level })).toMatchObject({ isolation: level })
    },
  )

  it('have the time limits and the name that were given', async () => {
    const session = {
      lockTimeoutMs: 1_500,
      statementTimeoutMs: 2_500,
      idleInTransactionTimeoutMs: 3_500,
      applicationName: `it's "me" \\`,
    }
    const settings = { lock: '1500ms', statement: '2500ms', idle: '3500ms', name: marked(session.applicationName) }
    expect(await settingsWith(session)).toMatchObject(settings)
  })

  it("keep the other settings of the server's URL", async () => {
    const url = new URL(serverUrl())
    url.searchParams.set('options', '-c work_mem=5MB')
    url.searchParams.set('application_name', 'of the url')
    const settings = await settingsWith({ isolationLevel: 'repeatable read' }, url.href)
    expect(settings).toMatchObject({ isolation: 'repeatable read', memory: '5MB', name: marked('of the url') })
    expect(await settingsWith({ applicationName: 'mine' }, url.href)).toMatchObject({ name: marked('mine') })
  })

  it('have a name that is cut where it is too long to be shown, never the mark at its end', async () => {
    const long = await settingsWith({ applicationName: `${'x'.repeat(30)}${'é'.repeat(16)}` })
    expect(long).toMatchObject({ name: marked(`${'x'.repeat(30)}${'?'.repeat(16)}`) })
    expect(await settingsWith({ applicationName: 'x'.repeat(63) })).toMatchObject({ name: marked('x'.repeat(53)) })
  })

  it("have the server's own by default, or without a limit", async () => {
    const [own] = await sql<{ isolation: string; lock: string }>(
      `select current_setting('default_transaction_isolation') as isolation, current_setting('lock_timeout') as lock`,
    )
    expect(await settingsWith({})).toMatchObject({ ...own, name: marked('tenantry') })
    expect(await settingsWith({ lockTimeoutMs: 0, statementTimeoutMs: 0 })).toMatchObject({ ...own, statement: '0' })
  })

  it('allow a statement half a minute by default', async () => {
    expect(await settingsWith({})).toMatchObject({ statement: '30s' })
    expect(await settingsWith({ statementTimeoutMs: 0 })).toMatchObject({ statement: '0' })
  })

  it('may be overridden for a transaction, and hold again afterwards', async () => {
    const tenantry = await openTestTenantry(models, {
      session: { statementTimeoutMs: 50 },
      postgres: { maxConnections: 1 },
    })
    await tenantry.onboard('a')
    const sleep = () => tenantry.with('a', (em) => em.execute('select pg_sleep(10)'))
    expect(await errorOf(sleep())).toMatchObject({ code: '57014' })
    await tenantry.with('a', (em) =>
      em.transactional(async (tx) => {
        await tx.execute('set local statement_timeout = 0')
        await tx.execute('select pg_sleep(0.1)')
      }),
    )
    expect(await errorOf(sleep())).toMatchObject({ code: '57014' })
  })

  it('are not those of onboarding, which takes the time it needs', async () => {
    const tenantry = await openTestTenantry(models, { session: { statementTimeoutMs: 1, lockTimeoutMs: 1 } })
    expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded' })
  })
})

describe('session options that cannot be', () => {
  it.each([
    ['isolationLevel', 'snapshot', 'invalid-option'],
    ['isolationLevel', 'serializable; drop table x', 'invalid-option'],
    ['lockTimeoutMs', -1, 'invalid-option'],
    ['statementTimeoutMs', 0.5, 'invalid-option'],
    ['statementTimeoutMs', '5s', 'invalid-option'],
    ['idleInTransactionTimeoutMs', 2 ** 31, 'invalid-option'],
    ['idleInTransactionTimeoutMs', Number.NaN, 'invalid-option'],
    ['applicationName', '', 'invalid-name'],
    ['applicationName', 'x'.repeat(64), 'invalid-name'],
    ['applicationName', 'a\u0000b', 'invalid-name'],
    ['lockTimeoutMS', 5, 'invalid-option'],
  ])('such as %s: %j are refused by name before anything is touched', async (key, value, code) => {
    const installation = disposableName('i')
    const config = { models, servers: [postgres({ url: serverUrl() })], installation, session: { [key]: value } }
    const error = await errorOf(openTenantry(config as never))
    expect(error).toMatchObject({ code, message: expect.stringContaining(key) })
    expect(await sql('select 1 from pg_database where starts_with(datname, $1)', [installation])).toEqual([])
  })
})
