import { openTenantry, TenantryError } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import { describe, expect, it } from 'vitest'
import { disposableName, serverUrl } from '../support/server.ts'
import { type Cut, startSeveringProxy } from '../support/severing-proxy.ts'
import { models } from './models.ts'
import { filled, open, violations } from './support.ts'

// The remains of a process that is killed between any two statements of building a template, filling a spare, claiming
// it, and copying the template. To the server, such an end is only the end of its connections.

const ids = ['a', 'b'] as const

/** Fills a spare, claims it, and copies the template; cut off at the given point. @returns the acknowledged tenants */
async function run(installation: string, cut?: Cut): Promise<{ acknowledged: string[]; statements: number }> {
  const proxy = await startSeveringProxy(serverUrl(), cut)
  const acknowledged: string[] = []
  try {
    const server = postgres({ url: proxy.url(serverUrl()) })
    await using tenantry = await openTenantry({ models, servers: [server], installation, templates: { spares: 1 } })
    await new Promise<void>((resolve) => {
      tenantry.on(({ event }) => {
        if (event === 'spare-filled' || event === 'filling-failed') resolve()
      })
    })
    for (const id of ids) {
      await tenantry.onboard(id)
      acknowledged.push(id)
    }
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error
  }
  await proxy.close()
  return { acknowledged, statements: proxy.statements() }
}

/** Continues as the next process would, and checks that nothing is broken. */
async function expectRecovered(installation: string, acknowledged: readonly string[]): Promise<void> {
  const next = await open({ installation, templates: { spares: 1 } })
  const known = await next.tenants.list()
  expect(known.filter(({ state }) => state === 'active').map(({ id }) => id)).toEqual(
    expect.arrayContaining([...acknowledged]),
  )
  for (const id of ids) await next.onboard(id)
  await filled(next, 1)
  // What was discarded is dropped beside all else.
  await expect.poll(() => violations(next), { timeout: 20_000 }).toEqual([])
  for (const id of ids) expect(await next.tenants.check(id)).toMatchObject({ outcome: 'matches' })
  await next.close()
}

/** All of them if rounds are given; otherwise every third, so that each kind of statement is among them. */
const step = process.env['TENANTRY_TEST_ROUNDS'] === undefined ? 3 : 1

describe('a process killed at any statement', () => {
  it.each(['before', 'after'] as const)(
    '%s it reached the server: the next finishes, and nothing is lost',
    async (when) => {
      const { statements, acknowledged } = await run(disposableName('i'))
      expect(acknowledged).toEqual(ids)
      const first = when === 'before' ? 1 : 2
      for (let statement = first; statement <= statements; statement += step) {
        const installation = disposableName('i')
        const { acknowledged: before } = await run(installation, { statement, when })
        await expectRecovered(installation, before).catch((error: unknown) => {
          throw new Error(`Cut ${when} statement ${statement} of ${statements}.`, { cause: error })
        })
      }
    },
    600_000,
  )
})
