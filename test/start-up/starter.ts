/**
 * One of many instances of a service that start together. It prints `ready` once it is loaded, then ensures every
 * database whose URL it receives, one a line, and prints each result as a line of JSON.
 */
import { createInterface } from 'node:readline'
import { ensureDatabase, ensureTables, TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { entities } from '../../examples/shop/models.ts'

/** The result for one database. */
export interface Start {
  readonly database: string
  readonly created: readonly string[]
  readonly existing: readonly string[]
  readonly differing: number
}

const say = (line: string) => process.stdout.write(`${line}\n`)

say('ready')
for await (const url of createInterface({ input: process.stdin })) {
  try {
    say(JSON.stringify(await start(url)))
  } catch (error) {
    say(JSON.stringify({ failed: error instanceof TenantryError ? error.code : String(error), error: String(error) }))
    process.exitCode = 1
  }
}

async function start(url: string): Promise<Start> {
  const { outcome } = await ensureDatabase(url)
  const { created, existing, differing } = await ensureTables(url, mikroOrm({ entities }))
  const nameOf = ({ name }: { name: string }) => name
  return {
    database: outcome,
    created: created.map(nameOf),
    existing: existing.map(nameOf),
    differing: differing.length,
  }
}
