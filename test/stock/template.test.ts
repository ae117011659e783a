import { describe, expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { createRole, dropAfterwards, errorOf, serverUrl, sql } from '../support/server.ts'
import { firstFingerprint, inCatalog } from '../support/tenants.ts'
import { databases, filled, namesOf, open, usersIn, violations } from './support.ts'

describe('the template', () => {
  it('is sealed: marked, closed, stamped, and with the digest of its structure', async () => {
    const tenantry = await open()
    await tenantry.onboard('a')
    const [template] = (await databases(tenantry)).filter(({ name }) => name.includes('_template_'))
    expect(template).toMatchObject({ open: false, template: true, stamp: { kind: 'template' } })
    const rows = await inCatalog(tenantry, 'select row_id as row, state, digest from tenantry.template')
    expect(rows).toEqual([
      { row: template?.stamp?.row, state: 'ready', digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
    ])
    const { templates } = await tenantry.status()
    expect(templates).toMatchObject([{ server: 'main', version: 1, state: 'ready' }])
  })

  it('has the rows of the seed, which runs once', async () => {
    let runs = 0
    const tenantry = await open({
      templates: {
        spares: 1,
        seed: async (em) => {
          runs++
          em.create(User, { name: 'everybody' })
          await em.flush()
        },
      },
    })
    await filled(tenantry, 1)
    for (const id of ['a', 'b', 'c']) {
      const { tenant } = await tenantry.onboard(id)
      expect(await usersIn(tenant.database)).toBe(1)
    }
    expect(runs).toBe(1)
  })

  it('is not made by a failing seed: the call reports the error, and the next one tries again', async () => {
    let fails = true
    const seed = () => {
      if (fails) throw new Error('no seed today')
    }
    const tenantry = await open({ templates: { seed } })
    const error = await errorOf(tenantry.onboard('a'))
    expect(error).toMatchObject({ code: 'hook-failed', message: expect.stringContaining('no seed today'), tenant: 'a' })
    expect(await namesOf(tenantry, 'template')).toEqual([])
    fails = false
    expect(await tenantry.onboard('a')).toMatchObject({ path: 'build' })
    await tenantry.servers.reconcile()
    expect(await violations(tenantry)).toEqual([])
  })

  it('is another one for another revision, seed or set of extensions', async () => {
    const first = await open()
    const { installation } = first
    const fingerprints = new Set([(await first.onboard('a')).tenant.fingerprint])
    const seed = () => undefined
    for (const [index, config] of [
      { templates: { seed } },
      { templates: { seed, revision: 2 } },
      { templates: { extensions: ['plpgsql'] } },
    ].entries()) {
      const tenantry = await open({ installation, ...config })
      const { tenant, path } = await tenantry.onboard(`b${index}`)
      expect(path).toBe('build')
      fingerprints.add(tenant.fingerprint)
      await tenantry.close()
    }
    expect(fingerprints.size).toBe(4)
    const { templates, versions } = await first.status()
    expect(templates.map(({ version }) => version)).toEqual([1, 2, 3, 4])
    expect(versions.map(({ current }) => current)).toEqual([true, false, false, false])
    const again = await open({ installation, templates: { seed: () => undefined, revision: '2' } })
    expect(await again.onboard('c')).toMatchObject({ path: 'clone', tenant: { version: 3 } })
  })

  it('has the extensions; one that is not there is an error that names it', async () => {
    const tenantry = await open({ templates: { extensions: ['pgcrypto'] } })
    const { tenant } = await tenantry.onboard('a')
    const installed = await sql<{ name: string }>(
      'select extname as name from pg_extension order by 1',
      [],
      tenant.database,
    )
    expect(installed.map(({ name }) => name)).toEqual(['pgcrypto', 'plpgsql'])
    const missing = await open({ templates: { extensions: ['no "such" thing'] } })
    expect(await errorOf(missing.onboard('a'))).toMatchObject({ message: expect.stringContaining('no "such" thing') })
  })

  it('has extensions that need more privilege only where the role has it', async () => {
    const login = await createRole('createdb createrole')
    dropAfterwards(login.user)
    const tenantry = await open({ templates: { extensions: ['file_fdw'] }, postgres: { url: serverUrl(login) } })
    expect(await errorOf(tenantry.onboard('a'))).toMatchObject({ code: 'permission-denied', sqlState: '42501' })
  })

  it('is built by a role without superuser, and by one process of many', async () => {
    const login = await createRole('createdb createrole')
    dropAfterwards(login.user)
    const first = await open({ postgres: { url: serverUrl(login) } })
    const { installation } = first
    const others = [1, 2, 3].map(() => open({ installation, postgres: { url: serverUrl(login) } }))
    const all = [first, ...(await Promise.all(others))]
    await Promise.all(all.map((tenantry, index) => tenantry.onboard(`t${index}`)))
    expect(all.flatMap(({ events }) => events).filter(({ event }) => event === 'template-built').length).toBe(1)
    expect(await violations(first)).toEqual([])
  })
})

/** The test waits for databases that a keeper drops after it has filled. */
const longest = { timeout: 50_000 }

describe('versions side by side', () => {
  it('each onboards at its own, and versions that are neither declared nor needed are dropped', async () => {
    const old = await open({ templates: { spares: 1 } })
    const { installation } = old
    await filled(old, 1)
    const next = await open({ installation, templates: { spares: 1, revision: 2 } })
    await filled(next, 1)
    const [a, b] = [await old.onboard('a'), await next.onboard('b')]
    expect([a.path, b.path]).toEqual(['spare', 'spare'])
    expect([a.tenant.version, b.tenant.version]).toEqual([1, 2])
    expect(a.tenant.fingerprint).toBe(await firstFingerprint(old))
    await filled(old, 1)
    await filled(next, 1)
    expect((await next.status()).spares.map(({ version, ready }) => [version, ready])).toEqual([
      [1, 1],
      [2, 1],
    ])
    await old.close()
    // The last process of the old version has ended: its spares are dropped, its template stays for the tenant that has
    // the version.
    const later = await open({ installation, templates: { spares: 1, revision: 3 } })
    await filled(later, 1)
    await expect.poll(async () => (await later.status()).spares.map(({ version }) => version), longest).toEqual([2, 3])
    expect((await later.status()).templates.map(({ version }) => version)).toEqual([1, 2, 3])
    await later.tenants.offboard('a')
    await later.tenants.purge('a')
    await Promise.all([later.close(), next.close()])
    const last = await open({ installation, templates: { spares: 1, revision: 3 } })
    await filled(last, 1)
    await expect
      .poll(async () => (await last.status()).templates.map(({ version }) => version), longest)
      .toEqual([2, 3])
    await expect.poll(() => violations(last), longest).toEqual([])
  })
})

describe('two installations on one server', () => {
  it("keep and claim their own, and neither drops the other's", async () => {
    const [one, other] = [await open({ templates: { spares: 1 } }), await open({ templates: { spares: 1 } })]
    await Promise.all([filled(one, 1), filled(other, 1)])
    const before = await databases(other)
    expect(await one.onboard('same')).toMatchObject({ path: 'spare' })
    await filled(one, 1)
    await one.templates.remove()
    expect((await databases(one)).map(({ name }) => name)).toEqual([`${one.installation}_t_same`])
    expect(await databases(other)).toEqual(before)
    expect(await other.onboard('same')).toMatchObject({
      path: 'spare',
      tenant: { database: `${other.installation}_t_same` },
    })
    const again = await open({ installation: other.installation })
    expect(again.startUp).toMatchObject({ tenants: 1, current: 1, missing: [] })
  })
})

describe('removeTemplates', () => {
  it('drops templates and spares of all versions, so that no database is closed, and leaves the tenants', async () => {
    const old = await open({ templates: { revision: 0 } })
    await old.onboard('a')
    const tenantry = await open({ installation: old.installation, templates: { spares: 2 } })
    await filled(tenantry, 2)
    await tenantry.onboard('b')
    await filled(tenantry, 2)
    const operator = await open({ installation: old.installation })
    const first = await operator.templates.remove()
    expect(first).toMatchObject({ templates: 2, isKept: true })
    expect(await operator.templates.remove()).toMatchObject({ isKept: true })
    await tenantry.close()
    expect(await operator.templates.remove()).toMatchObject({ isKept: false })
    expect(await operator.templates.remove()).toEqual({ templates: 0, spares: 0, isKept: false })
    expect((await databases(old)).map(({ name, open: isOpen }) => [name, isOpen])).toEqual([
      [`${old.installation}_t_a`, true],
      [`${old.installation}_t_b`, true],
    ])
    expect(await operator.onboard('c')).toMatchObject({ path: 'build' })
  })

  it('of a process that keeps spares ends its keeping', async () => {
    const tenantry = await open({ templates: { spares: 1 } })
    await filled(tenantry, 1)
    expect(await tenantry.templates.remove()).toEqual({ templates: 1, spares: 1, isKept: false })
    expect(await tenantry.onboard('a')).toMatchObject({ path: 'build' })
    expect(await namesOf(tenantry, 'spare')).toEqual([])
  })
})
