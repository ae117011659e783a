import { defineEntity, p } from '@mikro-orm/core'
import type { EntityManager } from '@mikro-orm/postgresql'
import type { TenantryConfig } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { Client } from 'pg'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { errorOf, serverUrl } from '../support/server.ts'
import { inCatalog, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

const Note = defineEntity({ name: 'Note', properties: { id: p.integer().primary(), text: p.text() } })
const Tag = defineEntity({ name: 'Tag', properties: { id: p.integer().primary() } })
const Mark = defineEntity({ name: 'Mark', properties: { id: p.integer().primary() } })

const Book = defineEntity({
  name: 'Book',
  properties: { id: p.integer().primary(), note: () => p.manyToOne(Note) },
})

const older = mikroOrm({ entities: [Note] })
const newer = mikroOrm({ entities: [Note, Tag] })

const notesOf = (em: EntityManager) => em.count(Note)

/** As a schema change would do it, at its end: the record of another version. */
const record = (tenantry: TestTenantry<EntityManager>, id: string, version: number) =>
  inCatalog(
    tenantry,
    `update tenantry.tenant set fingerprint = (select fingerprint from tenantry.version where number = $2) where id = $1`,
    [id, version],
  )

describe('whenBehind', () => {
  /** Processes of two versions, the first and the second of the catalog, each with a tenant. */
  let first: TestTenantry<EntityManager>
  let second: TestTenantry<EntityManager>
  beforeAll(async () => {
    first = await openTestTenantry(older, { whenBehind: 'refuse' })
    await first.onboard('old')
    second = await openTestTenantry(newer, { installation: first.installation, whenBehind: 'refuse' })
    await second.onboard('new')
  })

  it('left out, serves tenants of any version', async () => {
    for (const options of [{}, { whenBehind: 'allow' }] as const) {
      const serving = await openTestTenantry(newer, { installation: first.installation, ...options })
      expect(await serving.with('old', notesOf)).toBe(0)
    }
  })

  it('refuse: refuses with and run on an older one, and names both versions', async () => {
    for (const refused of [second.with('old', notesOf), second.run('old', () => 1)]) {
      const error = await errorOf(refused)
      expect(error).toMatchObject({ code: 'tenant-behind', retryable: true, tenant: 'old' })
      expect(String(error)).toMatch(/at version 1 \([0-9a-f]{12}\), and this process wants version 2 \([0-9a-f]{12}\)/)
    }
    expect(await second.with('new', notesOf)).toBe(0)
    const found = await second.forEach(notesOf, { filter: { version: 1 } })
    expect(found).toMatchObject({ failed: 1, results: [{ tenant: 'old', error: { code: 'tenant-behind' } }] })
  })

  it('refuse: serves one that is newer, as an old process has to while a new one takes over', async () => {
    expect(await first.with('new', notesOf)).toBe(0)
    expect(await first.with('old', notesOf)).toBe(0)
  })

  it('refuse: takes all as older than a version that the catalog does not know', async () => {
    const unknown = mikroOrm({ entities: [Tag] })
    const { installation } = first
    const router = await openTestTenantry(unknown, { installation, mode: 'router', whenBehind: 'refuse' })
    const error = await errorOf(router.with('new', notesOf))
    expect(error).toMatchObject({ code: 'tenant-behind' })
    expect(String(error)).toContain('wants a version that the catalog does not know')
  })

  it('refuse: serves a tenant as soon as it is brought up to date, without a notice', async () => {
    await first.onboard('late')
    expect(await errorOf(second.with('late', notesOf))).toMatchObject({ code: 'tenant-behind' })
    await record(second, 'late', 2)
    expect(await second.with('late', notesOf)).toBe(0)
  })

  it('refuse: holds for a handle that outlives its work', async () => {
    await second.onboard('kept')
    const handle = await second.with('kept', async (em) => {
      await notesOf(em)
      return em.fork()
    })
    // The stamp does not matter here: only the catalog counts.
    await second.tenants.suspend('kept')
    await record(second, 'kept', 1)
    await second.tenants.resume('kept')
    expect(await errorOf(notesOf(handle))).toMatchObject({ code: 'tenant-behind' })
  })

  it('refuse: does not concern calls that make, change or look at tenants', async () => {
    const { installation } = first
    const seen: string[] = []
    const hooks: Partial<TenantryConfig<EntityManager>> = {
      hooks: {
        initialise: async (em, { id }) => void seen.push(`${id} ${await notesOf(em)}`),
        anonymise: async (em, { id }) => void seen.push(`${id} ${await notesOf(em)}`),
      },
    }
    const making = await openTestTenantry(newer, { installation, whenBehind: 'refuse', ...hooks })
    await making.onboard('hooked')
    // A copy of an old tenant is as old.
    await making.tenants.clone('old', 'copy')
    expect(seen).toEqual(['hooked 0', 'copy 0', 'copy 0'])
    expect(await errorOf(making.with('copy', notesOf))).toMatchObject({ code: 'tenant-behind' })
    expect(await making.tenants.check('old')).toMatchObject({ outcome: 'differs' })
    expect(await making.tenants.suspend('old')).toMatchObject({ outcome: 'suspended' })
    expect(await making.tenants.resume('old')).toMatchObject({ outcome: 'resumed' })
  })

  it('update: brings a tenant to the version of the process when it is used, and refuses what has hazards', async () => {
    const { installation } = first
    for (const id of ['used', 'used-too', 'idle']) await first.onboard(id)
    const third = mikroOrm({ entities: [Note, Tag, Mark] })
    const serving = await openTestTenantry(third, { installation, whenBehind: 'update' })
    const router = await openTestTenantry(third, { installation, mode: 'router', whenBehind: 'update' })
    expect(await errorOf(router.with('used', notesOf))).toMatchObject({ code: 'tenant-behind' })
    const many = Array.from({ length: 10 }, (_, i) => serving.with(i % 2 ? 'used' : 'used-too', (em) => em.count(Mark)))
    expect(new Set(await Promise.all(many))).toEqual(new Set([0]))
    expect((await serving.tenants.get('idle'))?.version).toBe(1)
    expect((await serving.tenants.history('used')).filter(({ verb }) => verb === 'roll-out')).toHaveLength(1)
    expect(await router.with('used', notesOf)).toBe(0)
    const without = mikroOrm({ entities: [Mark] })
    const dropping = await openTestTenantry(without, { installation, whenBehind: 'update' })
    expect(await errorOf(dropping.with('used', (em) => em.count(Mark)))).toMatchObject({ code: 'tenant-behind' })
    // It is not the desired version any more.
    expect(await errorOf(serving.with('idle', notesOf))).toMatchObject({ code: 'tenant-behind' })
  })

  it('update: fails with the same error for a while after a failure, and then tries again', async () => {
    const { installation } = first
    await first.onboard('held')
    const fourth = mikroOrm({ entities: [Note, Tag, Mark, Book] })
    const serving = await openTestTenantry(fourth, { installation, whenBehind: 'update' })
    const { database } = await first.tenants.credentials('held')
    const client = new Client({ connectionString: serverUrl({ database }) })
    onTestFinished(() => client.end())
    await client.connect()
    await client.query('begin; lock table note')
    const failure = await errorOf(serving.with('held', (em) => em.count(Book)))
    expect(failure).toMatchObject({ code: 'lock-timeout' })
    expect(await errorOf(serving.with('held', (em) => em.count(Book)))).toBe(failure)
    await client.query('rollback')
    await expect.poll(() => serving.with('held', (em) => em.count(Book)).catch(() => -1), { timeout: 20_000 }).toBe(0)
  })

  it('is one of a few words', async () => {
    const opening = openTestTenantry(older, { whenBehind: 'ignore' as 'allow' })
    expect(await errorOf(opening)).toMatchObject({ code: 'invalid-option' })
  })
})
