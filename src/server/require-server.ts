import { TenantryError } from '../kernel/errors.ts'

/**
 * Returns a server, or the value kept for it, by its name.
 *
 * @param tenant the tenant whose server it is, if it is one's
 *
 * @throws `server-unknown` if this process was not configured with it
 */
export function requireServer<T>(servers: ReadonlyMap<string, T>, name: string, tenant?: string): T {
  const server = servers.get(name)
  if (server !== undefined) return server
  const whose = tenant === undefined ? `The server ${name} is` : `The tenant ${tenant} is on the server ${name},`
  throw new TenantryError('server-unknown', `${whose} unknown to this process.`, {
    tenant,
    hint: `Add postgres({ name: ${JSON.stringify(name)}, url }) to its servers.`,
  })
}
