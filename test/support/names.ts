import { type Identifier, parseIdentifier, parseTenantId, type TenantId } from '../../dist/kernel/names.js'

/** Checks a name of a database or role, as the ports below the public face take it. */
export const identifier = (name: string): Identifier => parseIdentifier(name, 'name')

/** Checks a tenant's id, as the ports below the public face take it. */
export const tenantId = (id: string): TenantId => parseTenantId(id)
