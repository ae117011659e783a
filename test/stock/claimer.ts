/** A process of its own that onboards the ids it is sent, all at once, and answers with how each was made. */
import { openTenantry, TenantryError } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import { models } from './models.ts'

const [url = '', installation = '', spares = '0'] = process.argv.slice(2)
const tenantry = await openTenantry({
  models,
  servers: [postgres({ url })],
  installation,
  templates: { spares: Number(spares) },
  limits: { concurrency: 8 },
})

async function onboard(id: string): Promise<string> {
  try {
    const { outcome, path } = await tenantry.onboard(id)
    return path ?? outcome
  } catch (error) {
    return error instanceof TenantryError ? `${error.code}: ${error.message}` : String(error)
  }
}

process.on('message', (ids: readonly string[]) => {
  void Promise.all(ids.map(onboard)).then((answers) => process.send?.(answers))
})
process.on('disconnect', () => void tenantry.close())
process.send?.('ready')
