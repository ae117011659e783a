import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { openTenantry } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { findKeys } from '../../dist/credentials-key.js'
import { Keyring } from '../../dist/kernel/keyring.js'
import { Secret } from '../../dist/kernel/secret.js'
import { filled } from '../stock/support.ts'
import { disposableName, errorOf, quote, serverUrl, sql, sqlAt } from '../support/server.ts'
import { foreignSession } from '../support/sessions.ts'
import { inCatalog, openTestTenantry } from '../support/tenants.ts'
import { asTenant, attempt, createProvisioner, type Isolated, models, openAs } from './support.ts'

const newKey = () => randomBytes(32).toString('base64')
const count = (tenantry: Isolated, id: string) => tenantry.with(id, (em) => em.count(User))

describe('a key', () => {
  const [one, other] = [newKey(), newKey()]
  const secret = new Secret('correct horse')

  it('opens its own sealed texts, for the same purpose alone', () => {
    const sealed = Keyring.parse(one).seal(secret, 'role_a')
    expect(sealed).not.toContain('correct')
    expect(Keyring.parse(one).open(sealed, 'role_a').reveal()).toBe('correct horse')
    expect(() => Keyring.parse(one).open(sealed, 'role_b')).toThrow(/belongs to another role/)
    expect(Keyring.parse(one).seal(secret, 'role_a')).not.toBe(sealed)
  })

  it('that is missing is named, by its hash alone', () => {
    const sealed = Keyring.parse(one).seal(secret, 'role_a')
    const open = () => Keyring.parse(other).open(sealed, 'role_a')
    expect(open).toThrow(expect.objectContaining({ code: 'credentials-unreadable' }))
    expect(open).toThrow(Keyring.parse(one).id)
    expect(open).not.toThrow(one)
    expect(Keyring.parse(`${other},${one}`).open(sealed, 'role_a').reveal()).toBe('correct horse')
  })

  it('notices every change of a sealed text', () => {
    const keys = Keyring.parse(one)
    const sealed = keys.seal(secret, 'role_a')
    const body = sealed.indexOf('.') + 1
    for (let at = body; at < sealed.length - 1; at++) {
      const changed = sealed.slice(0, at) + (sealed[at] === 'A' ? 'B' : 'A') + sealed.slice(at + 1)
      expect(() => keys.open(changed, 'role_a')).toThrow(/cannot be read/)
    }
    for (const broken of ['', '.', sealed.slice(0, 20), `${keys.id}.`])
      expect(() => keys.open(broken, 'role_a')).toThrow(/cannot be read/)
  })

  it.each(['', ' , ', 'short', newKey().slice(1), `${newKey()},x`, randomBytes(33).toString('base64'), 7 as never])(
    'cannot be %j',
    (text) => {
      expect(() => Keyring.parse(text)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
    },
  )
})

/** Looks for the keys in an empty folder. */
async function inFolder<T>(work: (folder: string) => T): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-key-'))
  const cwd = vi.spyOn(process, 'cwd').mockReturnValue(folder)
  try {
    return work(folder)
  } finally {
    cwd.mockRestore()
    await rm(folder, { recursive: true })
  }
}

describe('where the key comes from', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
  })
  const local = { isLocal: true }
  const quiet = { logger: { info: () => undefined, warn: () => undefined } }

  it('is the configuration, then the environment', () => {
    const [configured, environment] = [Keyring.parse(newKey()), newKey()]
    vi.stubEnv('TENANTRY_CREDENTIALS_KEY', environment)
    expect(findKeys(configured, [local], quiet).found).toBe(configured)
    expect(findKeys(undefined, [local], quiet).found?.id).toBe(Keyring.parse(environment).id)
  })

  it('in development is made once, readable by its owner alone, and kept in the folder of the project', async () => {
    vi.stubEnv('TENANTRY_CREDENTIALS_KEY', '')
    await inFolder((folder) => {
      const notices: string[] = []
      const info = (notice: string) => void notices.push(notice)
      const logger = { info, warn: info }
      const none = findKeys(undefined, [local], { logger })
      expect([none.found, existsSync(join(folder, '.tenantry'))]).toEqual([undefined, false])
      const first = none.make()
      expect([none.make().id, findKeys(undefined, [local], { logger }).found?.id]).toEqual([first.id, first.id])
      expect(findKeys(undefined, [local], { baseDir: join(folder, 'other'), logger }).found).toBe(undefined)
      expect(notices).toEqual([expect.stringContaining('.tenantry/credentials.key')])
      expect(statSync(join(folder, '.tenantry', 'credentials.key')).mode & 0o777).toBe(0o600)
    })
  })

  it.each([
    ['in production', 'production', true],
    ['for a server elsewhere', 'development', false],
  ])('%s must be configured, and nothing is made', async (_, environment, isLocal) => {
    vi.stubEnv('TENANTRY_CREDENTIALS_KEY', '')
    vi.stubEnv('NODE_ENV', environment)
    await inFolder((folder) => {
      const find = () => findKeys(undefined, [local, { isLocal }], quiet)
      expect(find).toThrow(expect.objectContaining({ code: 'credentials-key-missing' }))
      expect(find).toThrow(expect.objectContaining({ hint: expect.stringContaining("roles: 'shared'") }))
      expect(existsSync(join(folder, '.tenantry'))).toBe(false)
    })
    const installation = disposableName('i')
    if (!isLocal) return
    expect(
      await errorOf(openTenantry({ models, servers: [postgres({ url: serverUrl() })], installation })),
    ).toMatchObject({
      code: 'credentials-key-missing',
    })
    expect(await sql('select 1 from pg_database where starts_with(datname, $1)', [installation])).toEqual([])
  })
})

describe('credentials', () => {
  it('are those that the tenant works with, and show nothing when they are printed', async () => {
    const tenantry = await openAs(await createProvisioner())
    await tenantry.onboard('a')
    const credentials = await tenantry.tenants.credentials('a')
    expect(credentials).toMatchObject({ database: `${tenantry.installation}_t_a`, server: 'main' })
    const text = credentials.password.reveal()
    expect(text).toMatch(/^[\w-]{43}$/)
    for (const shown of [
      JSON.stringify(credentials),
      inspect(credentials, { depth: 9 }),
      String(credentials.password),
    ]) {
      expect(shown).not.toContain(text)
    }
    const [{ current } = {}] = await asTenant(
      tenantry,
      'a',
      async (client) => (await client.query<{ current: string }>('select current_user as current')).rows,
    )
    expect(current).toBe(credentials.user)
    expect(await tenantry.tenants.environment('a', { as: 'tenant' })).toMatchObject({
      PGUSER: current,
      PGPASSWORD: text,
    })
    expect((await tenantry.tenants.environment('a')).PGUSER).not.toBe(current)
    const kept = JSON.stringify(await inCatalog(tenantry, 'select * from tenantry.credential'))
    expect(kept).not.toContain(text)
  })

  it('reach the server only as its own verifiers', async () => {
    const provisioner = await createProvisioner()
    const sent: Buffer[] = []
    const proxy = createServer((client) => {
      const { port, hostname } = new URL(serverUrl())
      const upstream = connect(Number(port), hostname)
      client.on('data', (chunk) => sent.push(chunk))
      client.pipe(upstream).pipe(client)
      for (const socket of [client, upstream]) socket.on('error', () => undefined)
    })
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    const url = new URL(serverUrl(provisioner))
    url.port = String((proxy.address() as AddressInfo).port)
    const tenantry = await openTestTenantry(models, { postgres: { url: url.href } })
    await tenantry.onboard('a')
    const first = await tenantry.tenants.credentials('a')
    await tenantry.tenants.rotateCredentials('a')
    expect(await count(tenantry, 'a')).toBe(0)
    const { user, password } = await tenantry.tenants.credentials('a')
    await tenantry.close()
    proxy.close()
    const bytes = Buffer.concat(sent).toString()
    expect(bytes).toContain(user)
    for (const text of [first.password.reveal(), password.reveal()]) expect(bytes).not.toContain(text)
    const [row] = await sql<{ kept: string }>('select rolpassword as kept from pg_authid where rolname = $1', [user])
    expect(row?.kept).toMatch(/^SCRAM-SHA-256\$4096:/)
  })

  it('set anew in vain leave no verifier in the error', async () => {
    const first = await openTestTenantry(models, { postgres: { url: serverUrl() } })
    await first.onboard('a')
    const { user } = await first.tenants.credentials('a')
    // Only now: creating databases may take longer.
    const limited = { url: serverUrl(), statementTimeoutMs: 700 }
    const tenantry = await openTestTenantry(models, { installation: first.installation, postgres: limited })
    const { client } = await foreignSession('postgres')
    await client.query('begin')
    await client.query(`alter role ${quote(user)} connection limit 5`)
    const error = await errorOf(tenantry.tenants.rotateCredentials('a'))
    expect(error).toMatchObject({ code: 'timeout' })
    expect(inspect(error, { depth: 10 })).toContain('***')
    expect(inspect(error, { depth: 10 })).not.toContain('SCRAM-SHA-256$')
  })

  it('that are rotated reach every process, and end the sessions that have the old ones', async () => {
    const provisioner = await createProvisioner()
    const one = await openAs(provisioner)
    await one.onboard('a')
    const other = await openAs(provisioner, { installation: one.installation })
    expect([await count(one, 'a'), await count(other, 'a')]).toEqual([0, 0])
    const before = await one.tenants.credentials('a')
    const ended = asTenant(one, 'a', (client) => new Promise((resolve) => client.once('end', resolve)))
    await expect
      .poll(() => sql('select 1 from pg_stat_activity where usename = $1 and query = $2', [before.user, '']))
      .not.toEqual([])
    expect(await one.tenants.rotateCredentials('a', { actor: 'ops' })).toEqual({ outcome: 'rotated', tenant: 'a' })
    await ended
    expect([await count(one, 'a'), await count(other, 'a')]).toEqual([0, 0])
    const login = { user: before.user, password: before.password.reveal(), database: before.database }
    expect(await attempt(sqlAt(serverUrl(login), 'select 1'))).toBe('28P01')
    expect((await one.tenants.history('a'))[0]).toMatchObject({
      verb: 'rotate-credentials',
      actor: 'ops',
      from: 'active',
    })
  })

  it('that are rotated for a suspended tenant enable no login', async () => {
    const tenantry = await openAs(await createProvisioner())
    await tenantry.onboard('a')
    await tenantry.tenants.suspend('a')
    await tenantry.tenants.rotateCredentials('a')
    const { user, password, database } = await tenantry.tenants.credentials('a')
    const login = { user, password: password.reveal(), database }
    expect(await attempt(sqlAt(serverUrl(login), 'select 1'))).toBe('28000')
    await tenantry.tenants.resume('a')
    expect(await attempt(sqlAt(serverUrl(login), 'select 1'))).toBe('done')
  })

  it('that the tenant itself, or another role, changed are repaired by rotating', async () => {
    const tenantry = await openAs(await createProvisioner())
    await tenantry.onboard('a')
    const { user } = await tenantry.tenants.credentials('a')
    await asTenant(tenantry, 'a', (client) => client.query(`alter role current_user password 'my own'`))
    const error = await errorOf(count(tenantry, 'a'))
    expect(error).toMatchObject({ code: 'authentication-failed', tenant: 'a' })
    expect(error).toMatchObject({ hint: expect.stringContaining('rotateCredentials') })
    await tenantry.tenants.rotateCredentials('a')
    expect(await count(tenantry, 'a')).toBe(0)
    await sql(`drop owned by ${quote(user)}`, [], `${tenantry.installation}_t_a`)
    await sql(`drop role ${quote(user)}`)
    await tenantry.tenants.rotateCredentials('a')
    expect(await count(tenantry, 'a')).toBe(0)
  })

  it('on a server without the catalog survive a crash before the catalog knows', async () => {
    const provisioner = await createProvisioner()
    const servers = ['main', 'second'].map((name) => postgres({ name, url: serverUrl(provisioner) }))
    const config = { models, servers, installation: disposableName('i') }
    const tenantry = await openTenantry(config)
    onTestFinished(() => tenantry.close())
    await tenantry.onboard('far', { server: 'second' })
    const before = await inCatalog(config, 'select * from tenantry.credential')
    await tenantry.tenants.rotateCredentials('far')
    const after = await inCatalog<{ sealed: string }>(config, 'select * from tenantry.credential')
    expect(after).not.toEqual(before)
    // As it is between the role's change and the catalog's.
    await inCatalog(config, 'update tenantry.credential set sealed = $1, pending = $2', [
      before[0]?.['sealed'],
      after[0]?.sealed,
    ])
    const next = await openTenantry(config)
    onTestFinished(() => next.close())
    expect(await next.with('far', (em) => em.count(User))).toBe(0)
  })
})

describe('a key that', () => {
  const opened = async (provisioner: { user: string; password: string }, key: string, installation?: string) =>
    openAs(provisioner, { credentials: { key }, ...(installation !== undefined && { installation }) })

  it('is another one than the installation has is refused by every process that opens, and writes nothing', async () => {
    const provisioner = await createProvisioner()
    const [own, other] = [newKey(), newKey()]
    const before = await opened(provisioner, own)
    await before.onboard('a')
    const { installation } = before
    const sealed = () => inCatalog(before, 'select sealed, key_check from tenantry.credential, tenantry.installation')
    const seen = await sealed()
    for (const mode of ['full', 'router'] as const) {
      const error = await errorOf(openAs(provisioner, { credentials: { key: other }, installation, mode }))
      expect(error).toMatchObject({ code: 'credentials-unreadable', retryable: false })
      expect(error).toMatchObject({ message: expect.stringContaining(Keyring.parse(own).id) })
      expect(error).toMatchObject({ hint: expect.stringContaining('rotate-credentials --all --key-lost') })
    }
    expect(await sealed()).toEqual(seen)
    await openAs(provisioner, { credentials: { key: other }, installation, roles: 'shared' })
    expect(await count(await opened(provisioner, `${other},${own}`, installation), 'a')).toBe(0)
  })

  it('one of two processes has that begin at once makes the installation, and no other does', async () => {
    const provisioner = await createProvisioner()
    const installation = disposableName('i')
    const keys = [newKey(), newKey(), newKey(), newKey()]
    const openings = await Promise.allSettled(keys.map((key) => opened(provisioner, key, installation)))
    const won = openings.flatMap(({ status }, index) => (status === 'fulfilled' ? [keys[index] ?? ''] : []))
    const lost = openings.flatMap((opening) => (opening.status === 'rejected' ? [opening.reason as unknown] : []))
    expect([won.length, lost.length]).toEqual([1, 3])
    for (const error of lost) expect(error).toMatchObject({ code: 'credentials-unreadable' })
    await (await opened(provisioner, won[0] ?? '', installation)).onboard('a')
  })

  it("most passwords of a catalog without a check were encrypted with becomes the installation's", async () => {
    const provisioner = await createProvisioner()
    const [own, other] = [newKey(), newKey()]
    const before = await opened(provisioner, own)
    await before.onboard('a')
    await before.close()
    await inCatalog(before, 'update tenantry.installation set key_check = null')
    const { installation } = before
    expect(await errorOf(opened(provisioner, other, installation))).toMatchObject({ code: 'credentials-unreadable' })
    expect(await count(await opened(provisioner, own, installation), 'a')).toBe(0)
    expect(await errorOf(opened(provisioner, other, installation))).toMatchObject({ code: 'credentials-unreadable' })
  })

  it('is lost is replaced by a new one, and new passwords repair the rest', async () => {
    const provisioner = await createProvisioner()
    const [lost, next] = [newKey(), newKey()]
    const before = await opened(provisioner, lost)
    await before.onboard('a')
    await before.close()
    const { installation } = before
    const after = await openAs(provisioner, { credentials: { key: next, keyLost: true }, installation })
    for (const call of [() => count(after, 'a'), () => after.tenants.credentials('a')]) {
      const error = await errorOf(call())
      expect(error).toMatchObject({ code: 'credentials-unreadable', retryable: false })
      expect(error).toMatchObject({ hint: expect.stringContaining('rotate-credentials --all') })
    }
    expect(await after.tenants.reencryptCredentials()).toEqual({ reencrypted: 0, unreadable: 1 })
    await after.tenants.suspend('a')
    await after.tenants.resume('a')
    await after.tenants.rotateCredentials('a')
    expect(await count(after, 'a')).toBe(0)
    expect(await count(await opened(provisioner, next, installation), 'a')).toBe(0)
    expect(await errorOf(opened(provisioner, lost, installation))).toMatchObject({ code: 'credentials-unreadable' })
  })

  it('is replaced goes when everything was encrypted anew, spares included', async () => {
    const provisioner = await createProvisioner()
    const [old, next] = [newKey(), newKey()]
    const before = await openAs(provisioner, { credentials: { key: old }, templates: { spares: 1 } })
    await filled(before, 1)
    await before.onboard('a')
    await filled(before, 1)
    await before.close()
    const { installation } = before
    await (await opened(provisioner, `${old},${next}`, installation)).close()
    const both = await opened(provisioner, `${next} ${old}`, installation)
    expect(await count(both, 'a')).toBe(0)
    expect(await errorOf(opened(provisioner, next, installation))).toMatchObject({ code: 'credentials-unreadable' })
    expect(await both.tenants.reencryptCredentials()).toEqual({ reencrypted: 2, unreadable: 0 })
    expect(await both.tenants.reencryptCredentials()).toEqual({ reencrypted: 0, unreadable: 0 })
    await both.close()
    expect(await errorOf(opened(provisioner, old, installation))).toMatchObject({ code: 'credentials-unreadable' })
    const after = await opened(provisioner, next, installation)
    expect(await after.onboard('b')).toMatchObject({ path: 'spare' })
    expect([await count(after, 'a'), await count(after, 'b')]).toEqual([0, 0])
  })
})
