/** A process that works on rollouts until its input ends. It writes `ready`, and a line for each tenant that it has changed. */
import { openTenantry } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import { modelsOf } from '../../support/statements.ts'

const [url = '', installation = '', ...statements] = process.argv.slice(2)
const tenantry = await openTenantry({ models: modelsOf(...statements), servers: [postgres({ url })], installation })
const end = new AbortController()
process.stdin.resume().on('end', () => end.abort())
tenantry.on((event) => {
  if (event.event === 'tenant-changed') process.stdout.write(`${event.tenant}\n`)
})
process.stdout.write('ready\n')
await tenantry.rollouts.work({ signal: end.signal })
await tenantry.close()
