import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseIdentifier, parseInstallation, parseTenantId, physicalNames } from '../../dist/kernel/names.js'

// Not part of the public face, and worth a look by themselves: every name in SQL comes from here.

const tenantId = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/).map(parseTenantId)
const installation = fc.stringMatching(/^[a-z][a-z0-9]{0,15}$/).map(parseInstallation)

describe('physical names', () => {
  it('are never longer than PostgreSQL keeps, and need no quotes', () => {
    fc.assert(
      fc.property(installation, tenantId, fc.uuid(), (i, id, row) => {
        for (const name of [physicalNames.tenant(i, id), physicalNames.building(i, row), physicalNames.catalog(i)]) {
          expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63)
          expect(name).toMatch(/^[a-z][a-z0-9_]*$/)
        }
      }),
    )
  })

  it('are one to one with installation and tenant', () => {
    fc.assert(
      fc.property(installation, tenantId, installation, tenantId, (i, id, j, other) => {
        const same = physicalNames.tenant(i, id) === physicalNames.tenant(j, other)
        expect(same).toBe(i === j && id === other)
      }),
    )
  })

  it('of one kind are never of another', () => {
    fc.assert(
      fc.property(installation, tenantId, installation, fc.uuid(), (i, id, j, row) => {
        const names = [physicalNames.tenant(i, id), physicalNames.building(j, row), physicalNames.catalog(j)]
        expect(new Set(names).size).toBe(3)
      }),
    )
  })
})

describe('a tenant id', () => {
  it('is accepted unchanged, or refused with a code, for any input', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 50 }), (text) => {
        const accepted = /^[a-z0-9-]{1,40}$/.test(text) && !text.startsWith('-') && !text.endsWith('-')
        if (accepted) expect(parseTenantId(text)).toBe(text)
        else expect(() => parseTenantId(text)).toThrow(expect.objectContaining({ code: 'invalid-tenant-id' }))
      }),
    )
  })

  it.each([undefined, null, 1, {}, [], Symbol('x')])('is not %s', (value) => {
    expect(() => parseTenantId(value as string)).toThrow(expect.objectContaining({ code: 'invalid-tenant-id' }))
  })
})

describe('an identifier', () => {
  it('has 1 to 63 bytes and no control characters, and is kept as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 70 }), (text) => {
        const bytes = Buffer.byteLength(text)
        const fits = bytes >= 1 && bytes <= 63 && text.isWellFormed()
        if (fits && !/\p{Cc}/u.test(text)) expect(parseIdentifier(text, 'database')).toBe(text)
        else expect(() => parseIdentifier(text, 'database')).toThrow(expect.objectContaining({ code: 'invalid-name' }))
      }),
    )
  })
})

describe('an installation', () => {
  it.each(['', 'A', '1a', 'a_b', 'a-b', 'a'.repeat(17)])('is not called %j', (name) => {
    expect(() => parseInstallation(name)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })
})
