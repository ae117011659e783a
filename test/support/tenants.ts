import { openTenantry, type Models, type Tenantry, type TenantryConfig } from 'tenantry'
import { postgres, type PostgresOptions } from 'tenantry/postgres'
import { afterwards, disposableName, serverUrl } from './server.ts'

type Overrides<Handle> = Partial<Omit<TenantryConfig<Handle>, 'models'>> & {
  readonly postgres?: Partial<PostgresOptions>
}

/** Opens a Tenantry on the test server as an installation of its own; closed and dropped afterwards. */
export async function openTestTenantry<Handle>(
  models: Models<Handle>,
  { postgres: options, ...overrides }: Overrides<Handle> = {},
): Promise<Tenantry<Handle> & { readonly installation: string }> {
  const installation = overrides.installation ?? disposableName('i')
  const server = overrides.servers === undefined ? { server: postgres({ url: serverUrl(), ...options }) } : {}
  const tenantry = await openTenantry({ models, ...server, ...overrides, installation })
  afterwards(() => tenantry.close())
  return Object.assign(tenantry, { installation })
}
