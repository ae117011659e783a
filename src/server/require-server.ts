import { TenantryError } from '../kernel/errors.ts'

/**
 * Returns a tenant's server, or the value kept for it, by its name.
 *
 * @throws `no-open-server` if this process was not configured with it
 */
export function requireServer<T>(servers: ReadonlyMap<string, T>, name: string, tenant: string): T {
  const server = servers.get(name)
  if (server !== undefined) return server
  throw new TenantryError('no-open-server', `The tenant ${tenant} is on the server ${name}, unknown to this process.`, {
    tenant,
    hint: `Add postgres({ name: ${JSON.stringify(name)}, url }) to its servers.`,
  })
}
