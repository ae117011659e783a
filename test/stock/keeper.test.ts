import { describe, expect, it } from 'vitest'
import { startCountingProxy } from '../support/counting-proxy.ts'
import { createRole, disposableName, dropAfterwards, quote, serverUrl, sql } from '../support/server.ts'
import { inCatalog } from '../support/tenants.ts'
import { filled, namesOf, open, told, violations } from './support.ts'

describe('a process that keeps spares', () => {
  it('refills them after each claim, and reports its work', async () => {
    const tenantry = await open({ templates: { spares: 2 } })
    await filled(tenantry, 2)
    for (const id of ['a', 'b', 'c']) await tenantry.onboard(id)
    await filled(tenantry, 2)
    const paths = tenantry.events.filter(({ event }) => event === 'tenant-claimed')
    expect(paths.length).toBeGreaterThanOrEqual(2)
    expect(tenantry.events.filter(({ event }) => event === 'template-built').length).toBe(1)
    const spares = tenantry.events.filter(({ event }) => event === 'spare-filled')
    expect(spares.length).toBe(2 + paths.length)
    expect(spares[0]).toMatchObject({ server: 'main', fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) })
    expect(await violations(tenantry)).toEqual([])
  })

  it.each([
    ['the role may create no database', 'nocreatedb', 'createdb', 'permission-denied'],
    ['no connection is left', 'connection limit 1', 'connection limit -1', 'too-many-connections'],
  ])('stops for long where %s, and reports it once', async (_, limit, noLimit, code) => {
    const login = await createRole('createdb createrole')
    dropAfterwards(login.user)
    const options = { installation: disposableName('i'), postgres: { url: serverUrl(login), busyTimeoutMs: 100 } }
    const first = await open(options)
    await first.onboard('a')
    await first.close()
    await sql(`alter role ${quote(login.user)} ${limit}`)
    const tenantry = await open({ ...options, templates: { spares: 1 } })
    const failures = () => tenantry.events.filter(({ event }) => event === 'filling-failed')
    await expect.poll(failures, { timeout: 30_000 }).toHaveLength(1)
    expect(failures()).toMatchObject([{ server: 'main', error: { code }, retryInMs: 300_000 }])
    await sql(`alter role ${quote(login.user)} ${noLimit}`)
    expect(await tenantry.onboard('b')).toMatchObject({ path: 'clone' })
    await tenantry.close()
    const next = await open({ ...options, templates: { spares: 1 } })
    await filled(next, 1)
    await expect.poll(() => violations(next), { timeout: 20_000 }).toEqual([])
  })

  it('goes on by itself when its connections broke', async () => {
    const proxy = await startCountingProxy(serverUrl())
    const tenantry = await open({ templates: { spares: 1 }, postgres: { url: proxy.url(serverUrl()) } })
    const eventsOf = (...kinds: string[]) => tenantry.events.filter(({ event }) => kinds.includes(event))
    const spares = async () => (await tenantry.status().catch(() => undefined))?.spares
    // One may be filled before the cut comes.
    for (let round = 1; eventsOf('filling-failed').length === 0; round++) {
      await told(tenantry, async () => (await spares())?.[0]?.ready === 1)
      const before = eventsOf('spare-filled', 'filling-failed').length
      await tenantry.onboard(`a${round}`)
      await told(
        tenantry,
        async () => (await spares())?.[0]?.filling === 1 || eventsOf('spare-filled', 'filling-failed').length > before,
      )
      proxy.cut()
      await told(tenantry, async () => eventsOf('spare-filled', 'filling-failed').length > before)
    }
    await told(tenantry, async () => (await spares()) !== undefined)
    await tenantry.onboard('b')
    await filled(tenantry, 1)
    // The cut may have met a drop as well, which is tried again after a minute.
    await expect.poll(() => violations(tenantry), { timeout: 90_000 }).toEqual([])
    // The cut meets a connection that stands, or one that is being made.
    const code: unknown = expect.stringMatching(/^(?:connection-lost|server-unreachable)$/)
    expect(eventsOf('filling-failed')).toMatchObject([{ error: { code, retryable: true }, retryInMs: 1_000 }])
    await tenantry.close()
    await proxy.close()
  }, 150_000)

  it('makes no more of a version while another process does', async () => {
    const tenantry = await open({ templates: { spares: 3 } })
    const other = await open({ templates: { spares: 3 }, installation: tenantry.installation })
    await filled(tenantry, 3)
    await filled(other, 3)
    const all = [...tenantry.events, ...other.events].filter(({ event }) => event === 'spare-filled')
    expect(all.length).toBe(3)
    expect((await namesOf(tenantry, 'spare')).length).toBe(3)
  })

  it('drops the remains of a process that was killed while it filled', async () => {
    const tenantry = await open({ templates: { spares: 1 } })
    await filled(tenantry, 1)
    await tenantry.close()
    await inCatalog(tenantry, `update tenantry.spare set state = 'filling'`)
    const [left = ''] = await namesOf(tenantry, 'spare')
    const next = await open({ templates: { spares: 1 }, installation: tenantry.installation })
    await filled(next, 1)
    await expect.poll(() => namesOf(next, 'spare'), { timeout: 20_000 }).not.toContain(left)
    await expect.poll(() => violations(next), { timeout: 20_000 }).toEqual([])
  })

  it('closes in the middle of filling, and leaves nothing that the next does not clear up', async () => {
    const tenantry = await open({ templates: { spares: 50 } })
    await told(tenantry, async () => tenantry.events.some(({ event }) => event === 'spare-filled'))
    await tenantry.close({ deadlineMs: 0 })
    const next = await open({ templates: { spares: 1 }, installation: tenantry.installation })
    await told(next, async () => (await next.status()).spares.every(({ filling }) => filling === 0))
    await expect.poll(() => violations(next), { timeout: 20_000 }).toEqual([])
  })
})
