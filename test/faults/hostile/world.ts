import { Client } from 'pg'
import { expect } from 'vitest'
import { afterwards, disposableName, quote, serverUrl, sql } from '../../support/server.ts'
import { snapshot } from '../../support/tenants.ts'

/** The catalog's record of a tenant, as text. */
interface Stored {
  readonly display_name: string | null
  readonly metadata: string
  readonly database: string
}

/** An installation seen from outside, with another database beside it. */
export interface World {
  /** A database of another owner, with a table in it. */
  readonly canary: string
  /** Returns the catalog's record of a tenant. */
  readonly stored: (id: string) => Promise<Stored>
  /** Removes display name and metadata, unnoticed. */
  readonly forget: (id: string) => Promise<void>
  /**
   * Runs `work`, and expects all rows, the audit trail, databases and stamps to be as before, except those of these
   * tenants.
   */
  readonly unchanged: (work: () => Promise<void>, ...but: string[]) => Promise<void>
}

/** Watches an installation with a catalog, until all tests of the file are over. */
export async function watch(installation: string): Promise<World> {
  const canary = disposableName('canary')
  await sql(`create database ${quote(canary)}`)
  await sql('create table canary as select n, md5(n::text) from generate_series(1, 100) as n', [], canary)
  const client = new Client({ connectionString: serverUrl({ database: `${installation}_catalog` }) })
  await client.connect()
  // Before the catalog is dropped, which would end it.
  afterwards(() => client.end())
  const look = async (but: readonly string[]) => {
    const { records, databases } = await snapshot({ installation })
    const { tenants, audit } = (records[0] ?? {}) as { tenants?: { id: string }[]; audit?: { tenant: string }[] }
    return {
      tenants: tenants?.filter(({ id }) => !but.includes(id)),
      audit: audit?.filter(({ tenant }) => !but.includes(tenant)),
      databases,
      canary: await sql(`select count(*), md5(string_agg(canary::text, ',' order by n)) from canary`, [], canary),
      canaryDatabase: await sql('select oid, datdba, datconnlimit, datacl from pg_database where datname = $1', [
        canary,
      ]),
    }
  }
  return {
    canary,
    stored: async (id) => {
      const { rows } = await client.query<Stored>(
        'select display_name, metadata::text, database from tenantry.tenant where id = $1',
        [id],
      )
      return rows[0]!
    },
    forget: async (id) => {
      await client.query(`update tenantry.tenant set display_name = null, metadata = '{}' where id = $1`, [id])
    },
    unchanged: async (work, ...but) => {
      const before = await look(but)
      await work()
      expect(await look(but)).toEqual(before)
    },
  }
}
