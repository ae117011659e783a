import { type Identifier, parseIdentifier, parseTenantId, type TenantId } from '../../dist/kernel/names.js'
import { Secret } from '../../dist/kernel/secret.js'
import type { Login } from '../../dist/server/port.js'

/** Checks a name of a database or role, as the ports below the public face take it. */
export const identifier = (name: string): Identifier => parseIdentifier(name, 'name')

/** Checks a tenant's id, as the ports below the public face take it. */
export const tenantId = (id: string): TenantId => parseTenantId(id)

/** Returns the login of a role, as the ports below the public face take it. */
export const loginOf = ({ user, password }: { readonly user: string; readonly password: string }): Login => ({
  user: identifier(user),
  password: new Secret(password),
})
