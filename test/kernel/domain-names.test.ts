import * as fc from 'fast-check'
import { TenantryError } from 'tenantry'
import { describe, expect, it } from 'vitest'
import { parseDomain, readDomain } from '../../dist/kernel/domain-names.js'
import { hostileText } from '../faults/hostile/texts.ts'

describe('a domain', () => {
  it.each([
    ['shop.example.com', 'shop.example.com'],
    ['Shop.EXAMPLE.Com', 'shop.example.com'],
    ['shop.example.com.', 'shop.example.com'],
    ['example.com', 'example.com'],
    ['acme.localhost', 'acme.localhost'],
    ['1.example', '1.example'],
    ['a--b.example', 'a--b.example'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
    ['bu\u0308cher.example', 'xn--bcher-kva.example'],
    ['XN--bcher-KVA.example', 'xn--bcher-kva.example'],
    ['faß.example', 'xn--fa-hia.example'],
    ['例え。テスト', 'xn--r8jz45g.xn--zckzah'],
    ['💩.example', 'xn--ls8h.example'],
    ['ｓｈｏｐ．example', 'shop.example'],
    [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
    [`${'a.'.repeat(118)}example`, `${'a.'.repeat(118)}example`],
  ])('%s is kept as %s', (given, kept) => {
    expect(parseDomain(given)).toBe(kept)
    expect(parseDomain(kept)).toBe(kept)
  })

  it.each([
    '',
    '.',
    '..',
    'localhost',
    'localhost.',
    'example.com..',
    '.example.com',
    'a..example',
    '*.example.com',
    '*',
    'example.com:443',
    'https://example.com',
    'example.com/path',
    'example.com?x',
    'example.com#x',
    'user@example.com',
    'exa mple.com',
    ' example.com',
    'example.com ',
    'example.com\n',
    'exa\0mple.com',
    'exa_mple.com',
    '_tenantry.example.com',
    '-a.example',
    'a-.example',
    '%65xample.com',
    'example%2ecom',
    'exa\\mple.com',
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '0x7f.0x1',
    '1.2.3.4.5',
    '１２７.０.０.１',
    '[::1]',
    '::1',
    'fe80::1%eth0',
    '\u202eexample.com',
    'exa\u2066mple.com',
    'exa\u200bmple.com',
    'exa\u00admple.com',
    '\ufeffexample.com',
    '\ud800.example',
    `'; drop table tenantry.domain; --`,
    `${'a'.repeat(64)}.example`,
    `${'ü'.repeat(60)}.example`,
    `${'a.'.repeat(119)}example`,
    'a'.repeat(300_000),
    `${'a.'.repeat(150_000)}example`,
  ])('%j is none', (given) => {
    expect(readDomain(given)).toBeUndefined()
    expect(() => parseDomain(given)).toThrow(expect.objectContaining({ code: 'invalid-domain' }) as TenantryError)
  })

  it.each([undefined, null, 7, {}, ['example.com'], { toString: () => 'example.com' }])('%j is none', (given) => {
    expect(readDomain(given as string)).toBeUndefined()
    expect(() => parseDomain(given as string)).toThrow(TenantryError)
  })

  it('has one form, which has nothing in it but letters, digits, dots and hyphens', () => {
    const host = fc.oneof(
      hostileText,
      hostileText.map((text) => `${text}.example`),
      fc.tuple(fc.domain(), fc.constantFrom('', '.', ':80', '/', '\u200b')).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(host, (given) => {
        const domain = readDomain(given)
        if (domain === undefined) return
        expect(domain).toMatch(/^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+$/)
        expect(domain.length).toBeLessThanOrEqual(243)
        expect(readDomain(domain)).toBe(domain)
        expect(new URL(`http://${domain}/`).hostname).toBe(domain)
      }),
      { numRuns: 2_000 },
    )
  })
})
