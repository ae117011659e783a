import { defineCommand } from '../define-command.ts'
import { ensureCatalog } from '../ensure-catalog.ts'
import { coloured, type Report, shown } from '../report.ts'
import { type CommonOptions, library, type Tools } from '../tools.ts'

interface Options extends CommonOptions {
  readonly url?: string
}

/** `tenantry ensure` */
export const ensure = defineCommand<Options>(
  {
    usage: 'ensure',
    summary: 'Create the catalog, or a database with the tables of the models',
    examples: {
      ensure: 'the catalog, brought up to date',
      'ensure --url postgresql://app@localhost/app': 'that database, with the tables of the models',
    },
  },
  (command) => command.option('--url <url>', 'a single database instead of the catalog'),
  (tools, _, { url }) => (url === undefined ? ensureCatalog(tools) : ensureOne(tools, url)),
)

async function ensureOne(tools: Tools, url: string): Promise<Report> {
  const { models } = await tools.config()
  const { ensureDatabase, ensureTables } = await library()
  const { signal } = tools
  const database = await ensureDatabase(url, { signal })
  const tables = await ensureTables(url, models, { signal })
  return {
    result: { database, tables },
    lines: [
      `database ${shown(database.database)}: ${database.outcome}`,
      ...tables.created.map(({ kind, name }) => `${kind} ${shown(name)}: ${coloured('green', 'created')}`),
      ...tables.existing.map(({ kind, name }) => `${kind} ${shown(name)}: exists`),
      ...tables.differing.map(
        ({ kind, name }) => `${kind} ${shown(name)}: ${coloured('yellow', 'differs')}; not touched`,
      ),
    ],
  }
}
