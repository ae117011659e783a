import { describe, expect, it } from 'vitest'
import type { TenantId } from '../../dist/kernel/names.js'
import type { TenantRow } from '../../dist/catalog/tenant.js'
import { Admissions } from '../../dist/routing/admissions.js'
import { tenantId } from '../support/names.ts'
import { errorOf } from '../support/server.ts'
import { to } from './fake-server.ts'

// The memory, and the look-ups. The catalog's answers, and the notices of changes, are tested with the tenants.

const id = (label: string | number) => tenantId(`t-${label}`)
const unknown = Array.from({ length: 50 }, (_, place) => id(`unknown-${place}`))

/** A catalog that answers on command, and knows all tenants but the unknown ones. */
class Catalog {
  readonly asked: (readonly TenantId[])[] = []
  /** Callbacks that end the look-ups under way. */
  readonly answers: (() => void)[] = []
  isHolding = false

  readonly findAll = async (ids: readonly TenantId[]): Promise<ReadonlyMap<TenantId, TenantRow>> => {
    this.asked.push(ids)
    const found = new Map(ids.filter((asked) => !unknown.includes(asked)).map((asked) => [asked, to(asked)] as const))
    if (this.isHolding) await new Promise<void>((resolve) => this.answers.push(resolve))
    return found
  }
}

function open(kept = 100) {
  const catalog = new Catalog()
  const listening = { start: async () => undefined, isStarted: () => true }
  return { catalog, admissions: new Admissions(catalog, listening, kept) }
}

/** Runs all work that waits for no event from outside. */
const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('admissions', () => {
  it('look a tenant up once, and remember', async () => {
    const { catalog, admissions } = open()
    expect(admissions.known(id(1))).toBeUndefined()
    const first = await admissions.admit(id(1))
    expect(await admissions.admit(id(1))).toBe(first)
    expect(admissions.known(id(1))).toBe(first)
    expect(catalog.asked).toEqual([[id(1)]])
  })

  it('have one statement under way for any number of tenants, and look all others up by the next', async () => {
    const { catalog, admissions } = open()
    catalog.isHolding = true
    const all = [id(1), id(2), ...unknown].map((asked) => admissions.admit(asked).catch((error: unknown) => error))
    await settle()
    expect(catalog.asked).toEqual([[id(1)]])
    catalog.isHolding = false
    catalog.answers[0]?.()
    expect((await Promise.all(all)).slice(2)).toEqual(
      unknown.map((tenant) => expect.objectContaining({ code: 'tenant-unknown', tenant }) as unknown),
    )
    expect(catalog.asked.slice(1)).toEqual([[id(2), ...unknown]])
  })

  it('look an unknown tenant up twice for many requests at once: the second look began after all of them', async () => {
    const { catalog, admissions } = open()
    const [asked = id(0)] = unknown
    const errors = await Promise.all(Array.from({ length: 50 }, () => errorOf(admissions.admit(asked))))
    expect(errors).toEqual(errors.map(() => expect.objectContaining({ code: 'tenant-unknown' }) as unknown))
    expect(catalog.asked).toEqual([[asked], [asked]])
  })

  it('forget no tenant for the sake of unknown ids', async () => {
    const { admissions } = open(2)
    const kept = await Promise.all([admissions.admit(id(1)), admissions.admit(id(2))])
    await Promise.all(unknown.map((asked) => errorOf(admissions.admit(asked))))
    expect([admissions.known(id(1)), admissions.known(id(2))]).toEqual(kept)
    expect(kept.map(({ isValid }) => isValid())).toEqual([true, true])
    const third = await admissions.admit(id(3))
    expect(kept.map(({ isValid }) => isValid())).toEqual([false, true])
    expect(third.isValid()).toBe(true)
  })

  it('read again a tenant that was revoked while it was being read', async () => {
    const { catalog, admissions } = open()
    catalog.isHolding = true
    const admitted = admissions.admit(id(1))
    await settle()
    admissions.revoke(id(1))
    catalog.isHolding = false
    catalog.answers[0]?.()
    const admission = await admitted
    expect(catalog.asked).toEqual([[id(1)], [id(1)]])
    expect(admission.isValid()).toBe(true)
    admissions.revoke(id(1))
    expect(admission.isValid()).toBe(false)
    expect(admissions.known(id(1))).toBeUndefined()
  })

  it('do not wait for a statement of a connection that was lost', async () => {
    const { catalog, admissions } = open()
    catalog.isHolding = true
    const admitted = [admissions.admit(id(1)), admissions.admit(id(2))]
    await settle()
    catalog.isHolding = false
    admissions.revokeAll()
    expect((await Promise.all(admitted)).map(({ row }) => row.id)).toEqual([id(1), id(2)])
    // The first look-up is alone again, since no other caller has come by then.
    expect(catalog.asked).toEqual([[id(1)], [id(1)], [id(2)]])
  })
})
