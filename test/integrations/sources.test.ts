import { TenantryError } from 'tenantry'
import {
  claim,
  customDomain,
  errorResponse,
  header,
  path,
  pathWithoutTenant,
  subdomain,
  type TenantSource,
} from 'tenantry/requests'
import { describe, expect, it, test } from 'vitest'
// Not part of the public face: only this test asks for a tenant without a Tenantry.
import { resolveTenant } from '../../dist/integrations/resolve-tenant.js'
import { tenantId } from '../support/names.ts'
import { errorOf } from '../support/server.ts'

interface Parts {
  readonly host?: string | undefined
  readonly url?: string
  readonly headers?: Record<string, string | string[]>
  readonly user?: unknown
}

const domains = {
  asked: [] as string[],
  async tenantOf(domain: string) {
    this.asked.push(domain)
    return domain === 'shop.example' ? { tenant: tenantId('trade'), row: 'of trade' } : undefined
  },
}

/** The tenant that a request with these parts is for, or the code of the error. */
async function tenantOf(sources: readonly TenantSource[], { host, url = '/', headers = {}, user }: Parts) {
  const asked = { like: { host, url, headers }, request: { user }, domains, signal: new AbortController().signal }
  try {
    const { tenant, row } = await resolveTenant(sources, asked)
    return row === undefined ? tenant : `${tenant}, ${row}`
  } catch (error) {
    return error instanceof TenantryError ? error.code : error
  }
}

const byUser = claim((request: unknown) => (request as { user: unknown }).user)
const byOptionalUser = claim((request: unknown) => (request as { user: unknown }).user, { optional: true })

describe('subdomain', () => {
  const sources = [subdomain({ base: 'app.example.com', reserved: ['www', 'status'] })]

  it.each([
    ['acme.app.example.com', 'acme'],
    ['acme.app.example.com:8080', 'acme'],
    ['acme.app.example.com.', 'acme'],
    ['acme.app.example.com.:443', 'acme'],
    ['ACME.App.Example.Com', 'acme'],
    ['xn--bcher-kva.app.example.com', 'xn--bcher-kva'],
    // The domain itself, reserved names below it, and other domains name no tenant.
    ['app.example.com', 'tenant-unresolved'],
    ['www.app.example.com', 'tenant-unresolved'],
    ['status.app.example.com', 'tenant-unresolved'],
    ['acme.example.com', 'tenant-unresolved'],
    ['acmeapp.example.com', 'tenant-unresolved'],
    ['acme.app.example.com.evil.example', 'tenant-unresolved'],
    [undefined, 'tenant-unresolved'],
    ['', 'tenant-unresolved'],
    // A deeper name, or one that no tenant has, is a tenant that is not there.
    ['beta.acme.app.example.com', 'tenant-unknown'],
    ['www.acme.app.example.com', 'tenant-unknown'],
    [`${'a'.repeat(41)}.app.example.com`, 'tenant-unknown'],
    // No name at all.
    ['evil@acme.app.example.com', 'tenant-unresolved'],
    ['acme:secret@beta.app.example.com', 'tenant-unresolved'],
    ['acme.app.example.com:80:80', 'tenant-unresolved'],
    ['acme.app.example.com:x', 'tenant-unresolved'],
    ['acme.app.example.com..', 'tenant-unresolved'],
    ['.app.example.com', 'tenant-unresolved'],
    ['acme..app.example.com', 'tenant-unresolved'],
    ['acme%2eapp.example.com', 'tenant-unresolved'],
    ['acme.app.example.com/', 'tenant-unresolved'],
    ['acme.app.example.com, beta.app.example.com', 'tenant-unresolved'],
    ['acme.app.example.com\u0000', 'tenant-unresolved'],
    // The Kelvin sign, which folds to a k.
    ['\u212Aiwi.app.example.com', 'tenant-unresolved'],
    ['[::1]:8080', 'tenant-unresolved'],
    ['127.0.0.1', 'tenant-unresolved'],
    [`${'a.'.repeat(130)}app.example.com`, 'tenant-unresolved'],
  ])('of %s is %s', async (host, expected) => {
    expect(await tenantOf(sources, { host })).toBe(expected)
  })

  it('is below localhost in development', async () => {
    expect(await tenantOf([subdomain({ base: 'localhost' })], { host: 'acme.localhost:3000' })).toBe('acme')
  })

  it.each(['', 'https://app.example.com', 'app.example.com:80', 'app.example.com.', '*.example.com', 7, undefined])(
    'refuses the base %s',
    (base) => {
      expect(() => subdomain({ base: base as string })).toThrow(expect.objectContaining({ code: 'invalid-option' }))
    },
  )
})

describe('customDomain', () => {
  it.each([
    ['shop.example', 'trade, of trade'],
    ['SHOP.example:443', 'trade, of trade'],
    ['other.example', 'tenant-unresolved'],
    ['evil@shop.example', 'tenant-unresolved'],
    ['[::1]', 'tenant-unresolved'],
    [undefined, 'tenant-unresolved'],
  ])('of %s is %s', async (host, expected) => {
    expect(await tenantOf([customDomain()], { host })).toBe(expected)
  })

  it('is not looked up if the host has named the tenant already', async () => {
    domains.asked = []
    const sources = [subdomain({ base: 'app.test' }), customDomain()]
    expect(await tenantOf(sources, { host: 'acme.app.test' })).toBe('acme')
    expect(domains.asked).toEqual([])
  })
})

describe('path', () => {
  const sources = [path({ prefix: '/t' })]

  it.each([
    ['/t/acme', 'acme'],
    ['/t/acme/', 'acme'],
    ['/t/acme/users?page=/t/beta/', 'acme'],
    ['/t/acme?x', 'acme'],
    ['/t/acme#x', 'acme'],
    ['/t', 'tenant-unresolved'],
    ['/tt/acme', 'tenant-unresolved'],
    ['//t/acme', 'tenant-unresolved'],
    ['/x?/t/acme', 'tenant-unresolved'],
    ['http://beta.example/t/acme', 'tenant-unresolved'],
    ['*', 'tenant-unresolved'],
    ['/t/', 'tenant-unknown'],
    ['/t//acme', 'tenant-unknown'],
    ['/t/%61cme', 'tenant-unknown'],
    ['/t/acme%2fbeta', 'tenant-unknown'],
    ['/t/acme%00', 'tenant-unknown'],
    ['/t/Acme', 'tenant-unknown'],
    ['/t/..', 'tenant-unknown'],
    ['/t/acme;beta', 'tenant-unknown'],
    ['/t/acme\\beta', 'tenant-unknown'],
  ])('of %s is %s', async (url, expected) => {
    expect(await tenantOf(sources, { url })).toBe(expected)
  })

  it('may begin with the tenant', async () => {
    expect(await tenantOf([path()], { url: '/acme/users' })).toBe('acme')
  })

  it.each(['t', '/t/', '/', '/t?x', '/%74', '//'])('refuses the prefix %s', (prefix) => {
    expect(() => path({ prefix })).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })

  it.each([
    ['/t/acme/users?page=2', '/users?page=2'],
    ['/t/acme', '/'],
    ['/t/acme?x=/y', '/?x=/y'],
    ['/t/acme//evil.example/x', '/evil.example/x'],
    ['/health', '/health'],
    ['/x?y=/t/acme/', '/x?y=/t/acme/'],
  ])('is taken out of %s: %s', (url, expected) => {
    expect(pathWithoutTenant({ prefix: '/t' })(url)).toBe(expected)
  })
})

describe('header', () => {
  it.each([
    ['acme', 'acme'],
    ['', 'tenant-unknown'],
    ['acme, acme', 'tenant-unknown'],
    [['acme', 'acme'], 'tenant-unknown'],
    [['acme'], 'tenant-unknown'],
    ['ACME', 'tenant-unknown'],
    [' acme', 'tenant-unknown'],
  ])('of %j is %s', async (value, expected) => {
    expect(await tenantOf([header('X-Tenant')], { headers: { 'x-tenant': value } })).toBe(expected)
  })

  it('may be missing', async () => {
    expect(await tenantOf([header('x-tenant')], {})).toBe('tenant-unresolved')
  })

  it.each(['', 'x tenant', 'x-tenant:', 7])('refuses the name %s', (name) => {
    expect(() => header(name as string)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })
})

describe('claim', () => {
  it.each([
    ['acme', 'acme'],
    [undefined, 'tenant-mismatch'],
    [null, 'tenant-mismatch'],
    ['', 'tenant-unknown'],
    [7, 'tenant-unknown'],
    [['acme'], 'tenant-unknown'],
    [{ toString: () => 'acme' }, 'tenant-unknown'],
    [Promise.resolve('acme'), 'acme'],
  ])('of %s is %s', async (user, expected) => {
    expect(await tenantOf([byUser], { user })).toBe(expected)
  })

  it('may be missing if it is optional', async () => {
    expect(await tenantOf([byOptionalUser], {})).toBe('tenant-unresolved')
  })

  it('passes on its errors', async () => {
    const mine = new Error('mine')
    const failing = claim(() => {
      throw mine
    })
    expect(await tenantOf([failing], {})).toBe(mine)
  })
})

describe('several sources', () => {
  const bySubdomain = subdomain({ base: 'app.test' })
  const host = 'acme.app.test'

  it.each<[string, readonly TenantSource[], Parts, string]>([
    ['one says it', [bySubdomain, header('x-tenant')], { host }, 'acme'],
    ['the other says it', [bySubdomain, byOptionalUser], { user: 'acme' }, 'acme'],
    ['both agree', [bySubdomain, byUser], { host, user: 'acme' }, 'acme'],
    ['they disagree', [bySubdomain, byUser], { host, user: 'beta' }, 'tenant-mismatch'],
    ['they disagree, in another order', [byUser, bySubdomain], { host, user: 'beta' }, 'tenant-mismatch'],
    ['an optional one disagrees', [bySubdomain, byOptionalUser], { host, user: 'beta' }, 'tenant-mismatch'],
    ['one is no id', [bySubdomain, byOptionalUser], { host, user: 7 }, 'tenant-mismatch'],
    ['both are no id', [path(), byUser], { url: '/A', user: 'A' }, 'tenant-unknown'],
    ['the claim is missing', [bySubdomain, byUser], { host }, 'tenant-mismatch'],
    ['the domain agrees', [byUser, customDomain()], { host: 'shop.example', user: 'trade' }, 'trade, of trade'],
    ['the domain is of another', [customDomain(), byUser], { host: 'shop.example', user: 'acme' }, 'tenant-mismatch'],
  ])('where %s', async (_, sources, parts, expected) => {
    expect(await tenantOf(sources, parts)).toBe(expected)
  })
})

test('no message reveals the tenants that a request named', async () => {
  const like = { host: 'acme.app.test', url: '/', headers: {} }
  const asked = { like, request: { user: 'beta' }, domains, signal: new AbortController().signal }
  const error = await errorOf(resolveTenant([subdomain({ base: 'app.test' }), byUser], asked))
  expect(error).toMatchObject({ code: 'tenant-mismatch' })
  expect(String(error)).not.toMatch(/acme|beta/)
})

describe('the response', () => {
  const notActive = (tenantState?: TenantryError['tenantState']) =>
    new TenantryError('tenant-not-active', 'said by a test', { tenantState })

  it.each([
    [new TenantryError('tenant-unknown', ''), 404, undefined],
    [new TenantryError('tenant-unresolved', ''), 404, undefined],
    [new TenantryError('tenant-mismatch', ''), 403, undefined],
    [notActive('suspended'), 403, undefined],
    [notActive('onboarding'), 503, '5'],
    [notActive('offboarded'), 404, undefined],
    [notActive('purging'), 404, undefined],
    [new TenantryError('tenant-behind', ''), 503, '5'],
    [new TenantryError('pool-timeout', ''), 503, '1'],
    [new TenantryError('too-many-connections', ''), 503, '1'],
    [new TenantryError('server-unreachable', ''), 503, '5'],
    [new TenantryError('connection-lost', ''), 503, '5'],
    [new TenantryError('closed', ''), 503, '5'],
  ])('to %s is %i', (error, status, retryAfter) => {
    const answer = errorResponse(error)
    expect(answer).toMatchObject({ status, headers: { 'cache-control': 'no-store' } })
    expect(answer?.headers?.['retry-after']).toBe(retryAfter)
  })

  it('is the same for one that was offboarded as for one that never was', () => {
    expect(errorResponse(notActive('offboarded'))).toEqual(errorResponse(new TenantryError('tenant-unknown', '')))
    expect(errorResponse(notActive('purging'))).toEqual(errorResponse(new TenantryError('tenant-unresolved', '')))
  })

  it.each([
    new Error('mine'),
    'text',
    undefined,
    notActive(),
    new TenantryError('permission-denied', ''),
    new TenantryError('tenant-conflict', ''),
    new TenantryError('invalid-tenant-id', ''),
    new TenantryError('no-tenant', ''),
  ])("to %s is the framework's business", (error) => {
    expect(errorResponse(error)).toBeUndefined()
  })
})
