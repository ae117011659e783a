import { createInterface } from 'node:readline'
import { openTenantry } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { Address, User } from '../../examples/service/models.ts'

// A process that always has work for all given tenants, of which there are more than connections. For every line it
// reports the work since the last: the number of successes, and the failures.

const [url = '', installation = '', maxConnections = '', tenants = ''] = process.argv.slice(2)
const tenantry = await openTenantry({
  servers: [postgres({ url, maxConnections: Number(maxConnections) })],
  models: mikroOrm({ entities: [User, Address] }),
  installation,
  mode: 'router',
  pool: {
    // Longer than the test has it stand still.
    waitMs: 120_000,
  },
})
let done = 0
let failures: string[] = []
const over = new AbortController()
const working = tenants.split(',').map((id) => work(id))
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'end') break
  report()
  done = 0
  failures = []
}
over.abort()
await Promise.all(working)
await tenantry.close()
report()
process.stdin.destroy()

function report(): void {
  process.stdout.write(`${JSON.stringify({ done, failures })}\n`)
}

async function work(id: string): Promise<void> {
  while (!over.signal.aborted) {
    try {
      await tenantry.with(id, (em) => em.execute('select pg_sleep(0.3)'))
      done++
    } catch (error) {
      failures.push(String(error))
    }
  }
}
