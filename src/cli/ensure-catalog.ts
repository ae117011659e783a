import { type Report, shown } from './report.ts'
import type { Tools } from './tools.ts'

/** Makes sure that the catalog exists and is up to date, and reports its place. */
export function ensureCatalog(tools: Tools): Promise<Report> {
  return tools.withTenantry('create', async (tenantry) => {
    const { installation, catalog } = await tenantry.status({ signal: tools.signal })
    return {
      result: { installation, catalog },
      lines: [`The catalog ${catalog.database} is on ${shown(catalog.server)}, at migration ${catalog.migration}.`],
    }
  })
}
