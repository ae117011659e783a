import { describe, expect, it } from 'vitest'
import { type DomainName, parseDomain } from '../../dist/kernel/domain-names.js'
import type { RoutedTenant } from '../../dist/catalog/domains.js'
import { DomainDirectory } from '../../dist/routing/domain-directory.js'
import { tenantId } from '../support/names.ts'
import { errorOf } from '../support/server.ts'

// The memory, and the look-ups. The notices of changes are tested with the tenants.

const acme: RoutedTenant = { tenant: tenantId('acme'), row: 'row of acme' }
const name = (label: string | number) => parseDomain(`${label}.example`)

/** A catalog that answers on command, and knows the domains that begin with `known`. */
class Catalog {
  readonly asked: (readonly DomainName[])[] = []
  /** Callbacks that end the look-ups under way. */
  readonly answers: ((error?: Error) => void)[] = []
  isHolding = false

  readonly lookUp = async (domains: readonly DomainName[]): Promise<ReadonlyMap<DomainName, RoutedTenant>> => {
    this.asked.push(domains)
    const found = new Map(
      domains.filter((domain) => domain.startsWith('known')).map((domain) => [domain, acme] as const),
    )
    if (!this.isHolding) return found
    const { promise, resolve, reject } = Promise.withResolvers<ReadonlyMap<DomainName, RoutedTenant>>()
    this.answers.push((error) => (error === undefined ? resolve(found) : reject(error)))
    return promise
  }
}

function open({ known = 100, unknown = 100 } = {}) {
  const catalog = new Catalog()
  const listening = { failure: undefined as Error | undefined }
  const listen = async () => {
    if (listening.failure !== undefined) throw listening.failure
  }
  return { catalog, listening, directory: new DomainDirectory(catalog.lookUp, listen, { known, unknown }) }
}

/** Runs all work that waits for no event from outside. */
const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('the directory of domains', () => {
  it('looks a domain of a tenant, or of none, up once, and remembers', async () => {
    const { catalog, directory } = open()
    for (let i = 0; i < 3; i++) {
      expect(await directory.tenantOf(name('known'))).toBe(acme)
      expect(await directory.tenantOf(name('other'))).toBeUndefined()
    }
    expect(catalog.asked).toEqual([[name('known')], [name('other')]])
  })

  it('forgets the given domain, and no other', async () => {
    const { catalog, directory } = open()
    for (const label of ['known-1', 'known-2', 'other']) await directory.tenantOf(name(label))
    directory.forget(name('known-1'))
    directory.forget(name('other'))
    for (const label of ['known-1', 'known-2', 'other']) await directory.tenantOf(name(label))
    expect(catalog.asked.slice(3)).toEqual([[name('known-1')], [name('other')]])
    directory.forgetAll()
    for (const label of ['known-1', 'known-2', 'other']) await directory.tenantOf(name(label))
    expect(catalog.asked).toHaveLength(8)
  })

  it('looks many up at the same time, and meanwhile collects new requests', async () => {
    const { catalog, directory } = open()
    catalog.isHolding = true
    const first = Array.from({ length: 50 }, () => directory.tenantOf(name('known')))
    await settle()
    const next = Array.from({ length: 2_500 }, (_, i) => directory.tenantOf(name(i % 125)))
    await settle()
    expect(catalog.asked).toEqual([[name('known')]])
    for (let i = 0; i < 3; i++) {
      catalog.answers[i]?.()
      await settle()
    }
    expect(new Set(await Promise.all(first))).toEqual(new Set([acme]))
    await Promise.all(next)
    expect(catalog.asked.map(({ length }) => length)).toEqual([1, 100, 25])
  })

  it.each(['forget', 'forgetAll'] as const)(
    'does not trust an answer that was being read when it had to %s',
    async (how) => {
      const { catalog, directory } = open()
      catalog.isHolding = true
      const asking = directory.tenantOf(name('other'))
      await settle()
      if (how === 'forget') directory.forget(name('other'))
      else directory.forgetAll()
      catalog.answers[0]?.()
      await settle()
      expect(catalog.asked).toHaveLength(2)
      catalog.answers[1]?.()
      expect(await asking).toBeUndefined()
      expect(await directory.tenantOf(name('other'))).toBeUndefined()
      expect(catalog.asked).toHaveLength(2)
    },
  )

  it('looks again also if that fails', async () => {
    const { catalog, directory } = open()
    catalog.isHolding = true
    const asking = directory.tenantOf(name('known'))
    await settle()
    directory.forget(name('known'))
    catalog.isHolding = false
    catalog.answers[0]?.(new Error('gone'))
    expect(await asking).toBe(acme)
  })

  it('gives a caller after a change an answer that was read after it', async () => {
    const { catalog, directory } = open()
    catalog.isHolding = true
    const before = directory.tenantOf(name('other'))
    await settle()
    directory.forget(name('other'))
    const after = directory.tenantOf(name('other'))
    await settle()
    catalog.answers[0]?.()
    await settle()
    expect(catalog.asked).toHaveLength(2)
    catalog.answers[1]?.()
    await Promise.all([before, after])
  })

  it('after a loss of the connection does not wait for a lost statement', async () => {
    const { catalog, directory } = open()
    catalog.isHolding = true
    const stuck = [directory.tenantOf(name('known-1')), directory.tenantOf(name('known-2'))]
    await settle()
    catalog.isHolding = false
    directory.forgetAll()
    expect(await Promise.all(stuck)).toEqual([acme, acme])
    expect(await directory.tenantOf(name('known-3'))).toBe(acme)
    // Its late result does not matter.
    catalog.answers[0]?.(new Error('gone'))
    await settle()
    const asked = catalog.asked.length
    expect(await directory.tenantOf(name('known-1'))).toBe(acme)
    expect(catalog.asked).toHaveLength(asked)
  })

  it('remembers a limited number, and unknown names displace no known one', async () => {
    const { catalog, directory } = open({ known: 3, unknown: 5 })
    for (const label of ['known-1', 'known-2', 'known-3']) await directory.tenantOf(name(label))
    for (let i = 0; i < 50; i++) await directory.tenantOf(name(i))
    const asked = catalog.asked.length
    for (const label of ['known-1', 'known-2', 'known-3', 45, 46, 47, 48, 49]) await directory.tenantOf(name(label))
    expect(catalog.asked).toHaveLength(asked)
    await directory.tenantOf(name(44))
    expect(catalog.asked).toHaveLength(asked + 1)
    // The one longest unused makes room.
    await directory.tenantOf(name('known-1'))
    await directory.tenantOf(name('known-4'))
    await directory.tenantOf(name('known-1'))
    expect(catalog.asked).toHaveLength(asked + 2)
    await directory.tenantOf(name('known-2'))
    expect(catalog.asked).toHaveLength(asked + 3)
  })

  it('reports an error to all waiters, and looks again for the next', async () => {
    const { catalog, directory } = open()
    catalog.isHolding = true
    const failing = [1, 2].map(() => errorOf(directory.tenantOf(name('known'))))
    await settle()
    catalog.answers[0]?.(new Error('gone'))
    for (const error of await Promise.all(failing)) expect(error).toMatchObject({ message: 'gone' })
    catalog.isHolding = false
    expect(await directory.tenantOf(name('known'))).toBe(acme)
  })

  it('gives no answer while it would receive no notices, though it remembers', async () => {
    const { listening, directory } = open()
    await directory.tenantOf(name('known'))
    listening.failure = new Error('not listening')
    expect(await errorOf(directory.tenantOf(name('known')))).toMatchObject({ message: 'not listening' })
  })
})
