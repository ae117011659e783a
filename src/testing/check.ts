import { randomBytes } from 'node:crypto'
import { type Identifier, parseIdentifier, parseInstallation } from '../kernel/names.ts'
import type { Models } from '../models/port.ts'
import { postgres } from '../server/postgres/postgres.ts'
import { quoteIdentifier } from '../server/postgres/quoting.ts'
import type { Session } from '../server/port.ts'
import type { Tenantry } from '../api.ts'
import { openTenantry } from '../tenantry.ts'

/** One check of an adapter, for any test runner: `it(name, run)`. It fails by an AssertionError. */
export interface Check {
  readonly name: string
  readonly run: () => Promise<void>
}

/** Runs `work` with an installation of its own that has the tenants `a` and `b`, and removes all of it. */
export async function withTenants<Handle>(
  url: string,
  models: Models<Handle>,
  work: (tenantry: Tenantry<Handle>) => Promise<void>,
): Promise<void> {
  const installation = parseInstallation(uniqueName())
  try {
    // Two for each tenant: connections that are not released keep the next request from having one.
    const server = postgres({ url, maxConnections: 4 })
    const credentials = { key: randomBytes(32).toString('base64') }
    await using tenantry = await openTenantry({
      models,
      servers: [server],
      installation,
      credentials,
      pool: { waitMs: 5_000 },
    })
    for (const id of ['a', 'b']) await tenantry.onboard(id)
    await work(tenantry)
  } finally {
    await removeAll(url, installation)
  }
}

/** Runs `work` with the URL of an empty database of its own, and drops that. */
export async function withDatabase(url: string, work: (url: string) => Promise<void>): Promise<void> {
  const name = uniqueName()
  try {
    await administer(url, (session) => session.query(`create database ${quotedName(name)}`))
    await work(Object.assign(new URL(url), { pathname: `/${name}` }).href)
  } finally {
    await removeAll(url, name)
  }
}

/** Drops the databases whose names begin with a name, and then such roles. */
async function removeAll(url: string, name: string): Promise<void> {
  await administer(url, async (session) => {
    const { rows: databases } = await session.query<{ name: string; isTemplate: boolean }>(
      `select datname as name, datistemplate as "isTemplate" from pg_catalog.pg_database
       where pg_catalog.starts_with(datname, $1)`,
      [name],
    )
    for (const { name: database, isTemplate } of databases) {
      if (isTemplate) await session.query(`alter database ${quotedName(database)} is_template false`)
      await session.query(`drop database ${quotedName(database)} with (force)`)
    }
    const { rows: roles } = await session.query<{ name: string }>(
      'select rolname as name from pg_catalog.pg_roles where pg_catalog.starts_with(rolname, $1)',
      [`${name}_`],
    )
    for (const role of roles) await session.query(`drop role ${quotedName(role.name)}`)
  })
}

async function administer(url: string, work: (session: Session) => Promise<unknown>): Promise<void> {
  const session = await postgres({ url }).connect('postgres' as Identifier)
  try {
    await work(session)
  } finally {
    await session.close()
  }
}

function uniqueName(): string {
  return `check${randomBytes(4).toString('hex')}`
}

function quotedName(name: string): string {
  return quoteIdentifier(parseIdentifier(name, 'name'))
}
