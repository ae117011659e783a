/** A process of its own that serves one tenant: it works for it once, prints `ready`, and continues at every line. */
import { createInterface } from 'node:readline'
import { openTenantry, TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { Address, User } from '../../examples/service/models.ts'

const [url = '', installation = '', tenant = ''] = process.argv.slice(2)
const models = mikroOrm({ entities: [User, Address] })
const tenantry = await openTenantry({ models, servers: [postgres({ url })], installation })

async function work(): Promise<string> {
  try {
    return String(await tenantry.with(tenant, (em) => em.count(User)))
  } catch (error) {
    return error instanceof TenantryError ? error.code : String(error)
  }
}

process.stdout.write(`${await work()}\n`)
const asked = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
while (!(await asked.next()).done) process.stdout.write(`${await work()}\n`)
await tenantry.close()
