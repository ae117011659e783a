import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { connect, urlOf } from '../peers/maintenance.ts'
import { installation, open } from '../peers/tenantry.ts'
import { onServer } from '../server.ts'
import type { MemoryFigures } from './memory-process.ts'
import type { Scenario } from './scenario.ts'

const run = promisify(execFile)
const processFile = fileURLToPath(new URL('memory-process.ts', import.meta.url))
const megabyte = 2 ** 20

export const memory: Scenario = {
  number: 6,
  title: 'What a process holds for the tenants that it knows',
  run: async ({ known, concurrency }) => {
    const { before, after } = await onServer(async (url) => {
      await (await open(url, { spares: 0, concurrency })).close()
      await addTenants(url, known)
      const { stdout } = await run(process.execPath, ['--expose-gc', processFile, url, String(known)])
      return JSON.parse(stdout) as MemoryFigures
    })
    const held = after - before
    return {
      columns: [
        { title: 'before', unit: 'MB' },
        { title: 'after', unit: 'MB' },
        { title: 'held', unit: 'MB' },
      ],
      rows: [
        {
          name: `Tenantry, ${known.toLocaleString('en')} tenants`,
          values: [before / megabyte, after / megabyte, held / megabyte],
        },
      ],
      targets: [
        {
          what: `held for ${known.toLocaleString('en')} tenants`,
          sense: 'at most',
          wanted: 20,
          measured: held / megabyte,
          unit: 'MB',
        },
      ],
      notes: [
        'Heap and external memory after garbage collection, of a process of its own, which led work to each once.',
      ],
    }
  },
}

/** Rows as of tenants that are in service. Their databases are never connected to, so there need not be any. */
async function addTenants(url: string, count: number): Promise<void> {
  const catalog = await connect(urlOf(url, `${installation}_catalog`))
  try {
    await catalog.query(
      `insert into tenantry.tenant (id, state, server_id, database, fingerprint, activated_at)
       select 'known-' || place, 'active', server.id, '${installation}_t_known_' || place, version.fingerprint, now()
       from generate_series(1, $1::int) as place, tenantry.server, tenantry.version`,
      [count],
    )
  } finally {
    await catalog.end()
  }
}
