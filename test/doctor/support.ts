import { doctor, type Diagnosis, type DoctorConfig, type DoctorOptions, type ExaminedServer } from 'tenantry'
import { postgres, type PostgresOptions } from 'tenantry/postgres'
import { expect } from 'vitest'
import { serverUrl, sql } from '../support/server.ts'

/** The role of the diagnosis: a login, and further configuration of the server. */
export interface Asked extends DoctorConfig {
  readonly user?: string
  readonly password?: string
  readonly postgres?: Partial<PostgresOptions>
}

/** Returns the doctor's findings on the test server, as an installation of its own. */
export function ask(installation: string, asked: Asked = {}, options: DoctorOptions = {}): Promise<Diagnosis> {
  const { user, password, postgres: more, ...config } = asked
  const url = serverUrl({ database: 'postgres', ...(user && { user }), ...(password && { password }) })
  return doctor({ servers: [postgres({ url, ...more })], installation, ...config }, options)
}

/** The only server of a diagnosis, which was looked at. */
export function examined({ servers }: Diagnosis): ExaminedServer {
  expect(servers).toHaveLength(1)
  const [server] = servers
  if (server?.reachable !== true) throw new Error(`It was not examined: ${JSON.stringify(server)}`)
  return server
}

/**
 * Returns everything with an installation's name: databases with their owners and comments, roles with their members.
 */
export function namesOf(installation: string): Promise<Record<string, unknown>[]> {
  return sql(
    `select datname::text as name, pg_get_userbyid(datdba) as owner, shobj_description(oid, 'pg_database') as comment
     from pg_database where starts_with(datname, $1)
     union all
     select rolname, (select string_agg(member::regrole::text, ',') from pg_auth_members where roleid = r.oid), null
     from pg_roles r where starts_with(rolname, $1)
     order by name`,
    [`${installation}_`],
  )
}

/** The codes of findings, in their order. */
export function codes(findings: readonly { readonly code: string }[]): string[] {
  return findings.map(({ code }) => code)
}

/** Returns the capabilities that failed, or were not tried. */
export function without({ capabilities }: ExaminedServer): Record<string, boolean | undefined> {
  return Object.fromEntries(Object.entries(capabilities).filter(([, worked]) => worked !== true))
}
