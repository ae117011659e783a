import { openTenantry } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import { describe, expect, it } from 'vitest'
import { mikroOrm } from 'tenantry/mikro-orm'
import { Address, User } from '../../examples/service/models.ts'
import { serverUrl, uniqueName } from '../support/server.ts'

const able = { transactionalChanges: true, copies: true, renames: true, logins: true }

/** The error of opening an installation on a server that lacks an ability. */
async function refusal(lacking: keyof typeof able, roles: 'separate' | 'shared'): Promise<unknown> {
  const server = postgres({ url: serverUrl() })
  Object.assign(server, { capabilities: { ...able, [lacking]: false }, overTenants: () => server })
  const models = mikroOrm({ entities: [User, Address] })
  const installation = uniqueName('i')
  return openTenantry({ models, servers: [server], installation, roles, catalog: { create: false } }).catch(
    (error: unknown) => error,
  )
}

describe('a server', () => {
  it.each(['transactionalChanges', 'copies', 'renames'] as const)('without %s is refused', async (lacking) => {
    expect(await refusal(lacking, 'shared')).toMatchObject({ code: 'invalid-option' })
  })

  it('without logins is refused, unless tenants share a role', async () => {
    const error = await refusal('logins', 'separate')
    expect(error).toMatchObject({ code: 'invalid-option', hint: "Set roles: 'shared'." })
    expect(await refusal('logins', 'shared')).toMatchObject({ code: 'catalog-missing' })
  })
})
