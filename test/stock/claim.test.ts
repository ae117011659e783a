import { once } from 'node:events'
import { type ChildProcess, fork } from 'node:child_process'
import type { TenantryError } from 'tenantry'
import { describe, expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { createRole, dropAfterwards, errorOf, quote, serverUrl, sql } from '../support/server.ts'
import { inCatalog } from '../support/tenants.ts'
import { databases, filled, namesOf, open, usersIn, violations } from './support.ts'

describe('a claim', () => {
  it('makes a tenant of a spare: renamed, open, stamped, with its row and its audit entry', async () => {
    const tenantry = await open({ templates: { spares: 1 } })
    await filled(tenantry, 1)
    const [spare] = (await databases(tenantry)).filter(({ name }) => name.includes('_spare_'))
    const metadata = { plan: `'; drop table x; --`, nested: ['%I', '$claim$', null] }
    const displayName = `O'Neil "x" \\ %s 🦑`
    const { outcome, tenant, path, durations } = await tenantry.onboard('acme-1', {
      displayName,
      metadata,
      actor: `"me"`,
    })
    expect({ outcome, path }).toEqual({ outcome: 'onboarded', path: 'spare' })
    expect(Object.keys(durations)).toEqual(['claim'])
    expect(tenant).toMatchObject({ id: 'acme-1', displayName, metadata, state: 'active', server: 'main', version: 1 })
    expect(tenant.createdAt).toBeInstanceOf(Date)
    expect(tenant).toEqual(await tenantry.tenants.get('acme-1'))
    const made = (await databases(tenantry)).find(({ name }) => name === tenant.database)
    expect(made).toMatchObject({ oid: spare?.oid, open: true, template: false })
    expect(made?.stamp).toMatchObject({ kind: 'tenant', row: spare?.stamp?.row, fingerprint: tenant.fingerprint })
    const history = await tenantry.tenants.history('acme-1')
    expect(history).toMatchObject([{ verb: 'onboard', from: undefined, to: 'active', actor: `"me"` }])
    expect(await tenantry.with('acme-1', (em) => em.count(User))).toBe(0)
    expect(tenantry.events.map(({ event }) => event)).toContain('tenant-claimed')
    expect(await tenantry.tenants.check('acme-1')).toMatchObject({ outcome: 'matches' })
  })

  it('of an id that exists is that tenant, and takes no spare', async () => {
    const tenantry = await open({ templates: { spares: 1 } })
    await tenantry.onboard('a', { displayName: 'first' })
    await filled(tenantry, 1)
    const again = await tenantry.onboard('a', { displayName: 'second' })
    expect(again).toMatchObject({ outcome: 'already-exists', path: undefined, tenant: { displayName: 'first' } })
    expect(await errorOf(tenantry.onboard('a', { existing: 'refuse' }))).toMatchObject({ code: 'tenant-exists' })
    expect((await namesOf(tenantry, 'spare')).length).toBe(1)
  })

  it("leaves a foreign database under the tenant's name alone, and the spare", async () => {
    const tenantry = await open({ templates: { spares: 1 } })
    await filled(tenantry, 1)
    const name = `${tenantry.installation}_t_taken`
    await sql(`create database ${quote(name)}`)
    await sql(`comment on database ${quote(name)} is 'a human''s'`)
    expect(await errorOf(tenantry.onboard('taken'))).toMatchObject({ code: 'foreign-database', tenant: 'taken' })
    expect(await tenantry.tenants.get('taken')).toBeUndefined()
    expect((await namesOf(tenantry, 'spare')).length).toBe(1)
    expect(
      await sql(`select shobj_description(oid, 'pg_database') as it from pg_database where datname = $1`, [name]),
    ).toEqual([{ it: "a human's" }])
  })

  it('by a role that has lost CREATEDB fails with the statement that grants it, and leaves nothing', async () => {
    const login = await createRole('createdb createrole')
    dropAfterwards(login.user)
    const tenantry = await open({ templates: { spares: 1 }, postgres: { url: serverUrl(login) } })
    await filled(tenantry, 1)
    await sql(`alter role ${quote(login.user)} nocreatedb`)
    const error = await errorOf(tenantry.onboard('a'))
    expect(error).toMatchObject({ code: 'permission-denied', sqlState: '42501', tenant: 'a' })
    expect((error as TenantryError).hint).toContain(`ALTER ROLE "${login.user}" CREATEDB;`)
    expect(await tenantry.tenants.get('a')).toBeUndefined()
    await sql(`alter role ${quote(login.user)} createdb`)
    expect(await tenantry.onboard('a')).toMatchObject({ path: 'spare' })
  })

  it('keeps names opaque if configured: nothing is renamed, and no name reveals the tenant', async () => {
    const tenantry = await open({ templates: { spares: 1 }, tenants: { naming: 'opaque' } })
    await filled(tenantry, 1)
    const before = await databases(tenantry)
    const claimed = await tenantry.onboard('secret-customer')
    expect(claimed.path).toBe('spare')
    const spare = before.find(({ stamp }) => stamp?.kind === 'spare')
    expect(claimed.tenant.database).toBe(spare?.name)
    await tenantry.close()
    const without = await open({ tenants: { naming: 'opaque' }, installation: tenantry.installation })
    expect((await without.onboard('other-customer')).path).toBe('clone')
    await without.tenants.clone('secret-customer', 'third-customer')
    await without.tenants.offboard('other-customer')
    const all = await databases(tenantry)
    expect(all.length).toBe(4)
    expect(JSON.stringify(all)).not.toMatch(/customer|secret|other|third/)
    await without.tenants.restore('other-customer')
    expect(await without.with('other-customer', (em) => em.count(User))).toBe(0)
  })
})

async function startClaimer(url: string, installation: string, spares = 0): Promise<ChildProcess> {
  const child = fork(new URL('claimer.ts', import.meta.url), [url, installation, String(spares)])
  await once(child, 'message')
  return child
}

async function ask(child: ChildProcess, ids: readonly string[]): Promise<string[]> {
  child.send(ids)
  const [answer] = (await once(child, 'message')) as [string[]]
  return answer
}

describe('many processes', () => {
  it('that claim at once with fewer spares than claims all succeed, each with its own database', async () => {
    const tenantry = await open({ templates: { spares: 5 } })
    await filled(tenantry, 5)
    const children = await Promise.all([1, 2, 3, 4].map(() => startClaimer(serverUrl(), tenantry.installation)))
    const answers = await Promise.all(
      children.map((child, who) =>
        ask(
          child,
          ['a', 'b', 'c', 'same'].map((one) => (one === 'same' ? one : `${one}${who}`)),
        ),
      ),
    )
    for (const child of children) child.disconnect()
    const all = answers.flat()
    expect(all.filter((one) => one === 'already-exists').length).toBe(3)
    const paths = all.filter((one) => one !== 'already-exists')
    expect(paths.filter((one) => one !== 'spare' && one !== 'clone')).toEqual([])
    const spares = paths.filter((one) => one === 'spare').length
    expect(spares).toBeGreaterThan(0)
    expect(spares).toBeLessThanOrEqual(5)
    // Those children keep none: a process that does looks again when it onboards itself.
    await tenantry.onboard('last')
    await filled(tenantry, 5)
    expect(await violations(tenantry)).toEqual([])
    const rows = await inCatalog<{ database: string }>(tenantry, 'select database from tenantry.tenant')
    expect(new Set(rows.map(({ database }) => database)).size).toBe(14)
  })

  it('that keep spares keep no more together than each of them wants', async () => {
    const tenantry = await open({ templates: { spares: 3 } })
    const children = await Promise.all([1, 2, 3].map(() => startClaimer(serverUrl(), tenantry.installation, 3)))
    for (const [round, child] of children.entries()) {
      await ask(
        child,
        [1, 2, 3, 4].map((one) => `r${round}-${one}`),
      )
    }
    await filled(tenantry, 3)
    for (const child of children) child.disconnect()
    await Promise.all(children.map((child) => once(child, 'exit')))
    expect((await tenantry.status()).spares).toMatchObject([{ ready: 3, filling: 0, wanted: 3 }])
    expect(await violations(tenantry)).toEqual([])
  })
})

describe('under a stricter level of isolation by default', () => {
  it.each(['serializable', 'repeatable read'])('(%s) claims, copies and filling go on as ever', async (level) => {
    const url = `${serverUrl()}?options=-c%20default_transaction_isolation%3D${level.replace(' ', '%5C%20')}`
    const tenantry = await open({ templates: { spares: 6 }, postgres: { url }, limits: { concurrency: 8 } })
    await filled(tenantry, 6)
    const ids = ['a', 'a', 'b', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
    const made = await Promise.all(ids.map((id) => tenantry.onboard(id)))
    expect(made.filter(({ outcome }) => outcome === 'onboarded').length).toBe(8)
    await filled(tenantry, 6)
    expect(await violations(tenantry)).toEqual([])
    const shown = await tenantry.with('a', (em) =>
      em.execute<{ it: string }[]>(`select current_setting('transaction_isolation') as it`),
    )
    expect(shown).toEqual([{ it: level }])
  })
})

describe('without a spare', () => {
  it('the template is built by the first, and copied by all', async () => {
    const tenantry = await open()
    const made = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((id) => tenantry.onboard(id)))
    expect(made.filter(({ path }) => path === 'build').length).toBeGreaterThanOrEqual(1)
    expect(tenantry.events.filter(({ event }) => event === 'template-built').length).toBe(1)
    const { path, durations } = await tenantry.onboard('f')
    expect(path).toBe('clone')
    expect(Object.keys(durations)).toEqual(['claim', 'lock', 'intend', 'clone', 'activate'])
    expect(await violations(tenantry)).toEqual([])
    for (const { tenant } of made) expect(await usersIn(tenant.database)).toBe(0)
  })

  it('an interrupted call with initialise is repeated on another spare', async () => {
    let fails = true
    const tenantry = await open({
      templates: { spares: 2 },
      hooks: {
        initialise: async (em, { id }) => {
          em.create(User, { name: id })
          await em.flush()
          if (fails) throw new Error('not today')
        },
      },
    })
    await filled(tenantry, 2)
    expect(await errorOf(tenantry.onboard('a'))).toMatchObject({ code: 'hook-failed', tenant: 'a' })
    fails = false
    await filled(tenantry, 2)
    expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded', path: 'spare' })
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(1)
    await filled(tenantry, 2)
    await expect.poll(() => violations(tenantry), { timeout: 20_000 }).toEqual([])
  })

  it('initialise runs on a spare before the tenant is active', async () => {
    const seen: string[] = []
    const tenantry = await open({
      templates: { spares: 1 },
      hooks: {
        initialise: async (em, { id, state }) => {
          seen.push(`${id} ${state}`)
          em.create(User, { name: id })
          await em.flush()
        },
      },
    })
    await filled(tenantry, 1)
    const { path, durations } = await tenantry.onboard('a')
    expect(path).toBe('spare')
    expect(Object.keys(durations)).toContain('initialise')
    expect(seen).toEqual(['a onboarding'])
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(1)
    await filled(tenantry, 1)
    expect(await violations(tenantry)).toEqual([])
  })
})
