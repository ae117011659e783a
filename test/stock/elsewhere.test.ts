import { postgres } from 'tenantry/postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { serverUrl, sqlAt } from '../support/server.ts'
import { startServer } from '../support/start-server.ts'
import { databases, filled, open } from './support.ts'

let second: Awaited<ReturnType<typeof startServer>>
beforeAll(async () => {
  second = await startServer()
})
afterAll(() => second.stop())

const servers = () => [postgres({ name: 'main', url: serverUrl() }), postgres({ name: 'second', url: second.url })]

describe('on a server without the catalog', () => {
  it('spares are kept, used and refilled, and the template is one of its own', async () => {
    const tenantry = await open({
      servers: servers(),
      templates: { spares: 2, seed: (em) => void em.create(User, { name: 'x' }) },
    })
    await filled(tenantry, 2, 2)
    const { templates } = await tenantry.status()
    expect(templates.map(({ server }) => server)).toEqual(['main', 'second'])
    const made = await tenantry.onboard('far', { server: 'second' })
    expect(made).toMatchObject({ outcome: 'onboarded', path: 'spare', tenant: { server: 'second', state: 'active' } })
    await filled(tenantry, 2, 2)
    const there = await databases(tenantry, second.url)
    expect(there.map(({ stamp }) => stamp?.kind)).toEqual(['spare', 'spare', 'tenant', 'template'])
    expect(there.find(({ name }) => name === made.tenant.database)).toMatchObject({ open: true })
    expect(await tenantry.with('far', (em) => em.count(User))).toBe(0)
  })

  it('onboarding there does not wait for the process that fills there', async () => {
    const tenantry = await open({ servers: servers(), templates: { spares: 3 }, limits: { concurrency: 1 } })
    for (const id of ['a', 'b', 'c', 'd']) {
      expect(await tenantry.onboard(id, { server: 'second' })).toMatchObject({ outcome: 'onboarded' })
    }
    await filled(tenantry, 3, 2)
  })

  it('a new tenant goes where there are fewest, by a claim here and by the longer way there', async () => {
    const tenantry = await open({ servers: servers(), templates: { spares: 1 } })
    await filled(tenantry, 1, 2)
    const placed: unknown[] = []
    for (const id of ['a', 'b']) {
      const { path, tenant } = await tenantry.onboard(id)
      placed.push([tenant.server, path])
    }
    expect(placed).toEqual([
      ['main', 'spare'],
      ['second', 'spare'],
    ])
  })

  it('a spare with a renaming committed there and not recorded here is never given to a second tenant', async () => {
    const keeping = await open({ servers: servers(), templates: { spares: 1 } })
    await filled(keeping, 1, 2)
    await keeping.close()
    const tenantry = await open({ servers: servers(), installation: keeping.installation })
    // The state after a crash between the two commits: the spare is a tenant's building database, and its row still
    // exists.
    const [spare] = (await databases(tenantry, second.url)).filter(({ name }) => name.includes('_spare_'))
    await sqlAt(
      second.url,
      `alter database "${spare?.name}" rename to "${spare?.name.replace('_spare_', '_building_')}"`,
    )
    expect(await tenantry.onboard('a', { server: 'second' })).toMatchObject({ path: 'clone' })
  })
})

describe('openTenantry', () => {
  it('queries each server once: current, behind and missing tenants, and unreachable servers', async () => {
    const first = await open({ servers: servers() })
    const { installation } = first
    for (const id of ['a', 'b', 'c']) await first.onboard(id, { server: 'main' })
    for (const id of ['far', 'gone']) await first.onboard(id, { server: 'second' })
    await first.tenants.suspend('c')
    await first.tenants.offboard('b')
    expect(first.startUp).toEqual({ tenants: 0, current: 0, behind: 0, missing: [], unreachable: [] })
    const { tenant } = await first.onboard('lost', { server: 'second' })
    await sqlAt(second.url, `drop database "${tenant.database}"`)
    await first.close()
    const again = await open({ servers: servers(), installation })
    expect(again.startUp).toEqual({ tenants: 5, current: 4, behind: 0, missing: ['lost'], unreachable: [] })
    const newer = await open({ servers: servers(), installation, templates: { revision: 2 } })
    await newer.onboard('new', { server: 'main' })
    expect(newer.startUp).toMatchObject({ current: 0, behind: 4, missing: ['lost'] })
    const router = await open({ servers: servers(), installation, mode: 'router' })
    expect(router.startUp).toEqual({ tenants: 6, current: 4, behind: 4, missing: ['lost'], unreachable: [] })
    const [main] = servers()
    const down = postgres({ name: 'second', url: 'postgresql://nobody@127.0.0.1:9/postgres' })
    const partly = await open({ servers: [main!, down], installation })
    expect(partly.startUp).toEqual({ tenants: 6, current: 2, behind: 2, missing: [], unreachable: ['second'] })
  })
})
