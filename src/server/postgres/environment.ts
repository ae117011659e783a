import type { Identifier } from '../../kernel/names.ts'
import type { SessionOptions } from '../port.ts'
import { escapeOption } from './client.ts'
import type { ConnectionFields } from './connection-fields.ts'

/** Returns the variables that libpq reads (PostgreSQL's documentation, "Environment Variables"), and DATABASE_URL. */
export function connectionEnvironment(
  connection: ConnectionFields,
  database: Identifier,
  { login, role }: Pick<SessionOptions, 'login' | 'role'> = {},
): Readonly<Record<string, string>> {
  const fields = { ...connection, ...login, options: withRole(connection.options, role) }
  const { host, port, user, password, applicationName = 'tenantry' } = fields
  return {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database,
    PGAPPNAME: applicationName,
    ...(password !== undefined && { PGPASSWORD: password.reveal() }),
    ...(fields.options !== undefined && { PGOPTIONS: fields.options }),
    ...tlsEnvironment(fields),
    DATABASE_URL: urlOf(login === undefined ? fields : withoutTlsPassword(fields), database),
  }
}

/** Removes the password of the TLS key, which is the administrator's and must not be passed to another login. */
function withoutTlsPassword(fields: ConnectionFields): ConnectionFields {
  const { sslpassword: _, ...tlsParameters } = fields.tlsParameters
  return { ...fields, tlsParameters }
}

/** Adds the role to options: a session with them begins as the role, as after SET ROLE. */
function withRole(options: string | undefined, role: Identifier | undefined): string | undefined {
  return role === undefined ? options : [options, `-c role=${escapeOption(role)}`].filter(Boolean).join(' ')
}

const tlsVariables = ['sslmode', 'sslcert', 'sslkey', 'sslrootcert', 'sslcrl', 'sslnegotiation']

function tlsEnvironment({ tlsParameters }: ConnectionFields): Record<string, string> {
  const known = Object.entries(tlsParameters).filter(([name]) => tlsVariables.includes(name))
  return Object.fromEntries(known.map(([name, value]) => [`PG${name.toUpperCase()}`, value]))
}

function urlOf(fields: ConnectionFields, database: Identifier): string {
  const { host, port, user, password } = fields
  // A socket's directory cannot take the place of a host, and an IPv6 address needs brackets.
  const isDirectory = host.startsWith('/')
  const shown = isDirectory ? 'localhost' : host.includes(':') ? `[${host}]` : host
  const url = new URL(`postgresql://${shown}:${port}`)
  url.username = encodeURIComponent(user)
  if (password !== undefined) url.password = encodeURIComponent(password.reveal())
  url.pathname = `/${encodeURIComponent(database)}`
  url.search = new URLSearchParams(fields.tlsParameters).toString()
  if (isDirectory) url.searchParams.set('host', host)
  if (fields.options !== undefined) url.searchParams.set('options', fields.options)
  // libpq takes a "+" for itself, while other programs take it for a space.
  url.search = url.search.replaceAll('+', '%20')
  return url.href
}
