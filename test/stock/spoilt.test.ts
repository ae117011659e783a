import { Client } from 'pg'
import { describe, expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { quote, serverUrl, sql } from '../support/server.ts'
import { inCatalog } from '../support/tenants.ts'
import { filled, namesOf, open, type Inventoried, told, violations } from './support.ts'

/** Changes that others may make to a spare, or to a template. */
const deeds: Readonly<Record<string, (database: string) => Promise<unknown>>> = {
  'dropped it': async (database) => {
    await sql(`alter database ${quote(database)} is_template false`)
    await sql(`drop database ${quote(database)} with (force)`)
  },
  'opened it': (database) => sql(`alter database ${quote(database)} allow_connections true`),
  'copied it under another collation version': (database) =>
    sql(`update pg_database set datcollversion = 'old' where datname = $1`, [database]),
}

/** Returns an installation with two spares that no process keeps any more, so that none repairs a test's damage. */
async function stocked(config: Parameters<typeof open>[0] = {}): Promise<Inventoried> {
  const keeping = await open({ ...config, templates: { spares: 2 } })
  await filled(keeping, 2)
  await keeping.close()
  return open({ ...config, installation: keeping.installation })
}

async function expectWhole(tenantry: Inventoried, id: string): Promise<void> {
  expect(await tenantry.tenants.check(id)).toMatchObject({ outcome: 'matches' })
  expect(await tenantry.with(id, (em) => em.count(User))).toBe(0)
}

/** Makes a keeper clear up, and waits until nothing is left over. */
async function expectMended(tenantry: Inventoried): Promise<void> {
  await tenantry.close()
  const keeping = await open({ installation: tenantry.installation, templates: { spares: 2 } })
  await filled(keeping, 2)
  await expect.poll(() => violations(keeping), { timeout: 20_000 }).toEqual([])
}

describe('a spare', () => {
  const paths = [
    ['claimed', {}],
    ['used with initialise', { hooks: { initialise: () => undefined } }],
  ] as const

  for (const [how, config] of paths) {
    it.each(Object.keys(deeds))(`that is ${how} after others %s is passed over`, async (deed) => {
      const tenantry = await stocked(config)
      const [oldest] = await inCatalog<{ database: string }>(
        tenantry,
        'select database from tenantry.spare order by created_at limit 1',
      )
      await deeds[deed]?.(oldest?.database ?? '')
      expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded', path: 'spare' })
      expect(await tenantry.onboard('b')).toMatchObject({ outcome: 'onboarded', path: 'clone' })
      for (const id of ['a', 'b']) await expectWhole(tenantry, id)
      await expectMended(tenantry)
    })
  }

  it('that others renamed is passed over, and stays unchanged', async () => {
    const tenantry = await stocked()
    for (const name of await namesOf(tenantry, 'spare')) {
      await sql(`alter database ${quote(name)} rename to ${quote(name.replace('_spare_', '_mine_'))}`)
    }
    expect(await tenantry.onboard('a')).toMatchObject({ path: 'clone' })
    await expectWhole(tenantry, 'a')
    expect((await namesOf(tenantry, 'mine')).length).toBe(2)
  })

  it('that has a session is passed over', async () => {
    const tenantry = await stocked()
    const clients: Client[] = []
    for (const name of await namesOf(tenantry, 'spare')) {
      await sql(`alter database ${quote(name)} allow_connections true`)
      const client = new Client({ connectionString: serverUrl({ database: name }) })
      client.on('error', () => undefined)
      await client.connect()
      clients.push(client)
      await sql(`alter database ${quote(name)} allow_connections false`)
    }
    expect(await tenantry.onboard('a')).toMatchObject({ path: 'clone' })
    await expectWhole(tenantry, 'a')
    await expectMended(tenantry)
    await Promise.all(clients.map((client) => client.end()))
  })

  it('that is spoilt is replaced by the process that keeps them', async () => {
    const tenantry = await open({ templates: { spares: 2 } })
    await filled(tenantry, 2)
    const spoilt = await namesOf(tenantry, 'spare')
    for (const name of spoilt) await deeds['opened it']?.(name)
    await tenantry.onboard('a')
    await told(tenantry, async () => !(await namesOf(tenantry, 'spare')).some((name) => spoilt.includes(name)))
    await filled(tenantry, 2)
    await expect.poll(() => violations(tenantry), { timeout: 20_000 }).toEqual([])
  })
})

describe('a template', () => {
  it.each(Object.keys(deeds))('is built again after others %s', async (deed) => {
    const tenantry = await open()
    await tenantry.onboard('before')
    const [template = ''] = await namesOf(tenantry, 'template')
    await deeds[deed]?.(template)
    expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded', path: 'build' })
    expect(await tenantry.onboard('b')).toMatchObject({ path: 'clone' })
    for (const id of ['a', 'b']) await expectWhole(tenantry, id)
    await expectMended(tenantry)
    expect(await namesOf(tenantry, 'template')).not.toContain(template)
  })

  it('that another process built anew is found by one that knew the old', async () => {
    const [one, other] = [await open(), await open()]
    const first = await open({ installation: one.installation })
    await one.onboard('a')
    await first.onboard('b')
    const [template = ''] = await namesOf(one, 'template')
    await deeds['dropped it']?.(template)
    expect(await one.onboard('c')).toMatchObject({ path: 'build' })
    expect(await first.onboard('d')).toMatchObject({ path: 'clone' })
    await one.servers.reconcile()
    expect(await violations(one)).toEqual([])
    expect(await namesOf(other, 'template')).toEqual([])
  })
})
