import { userInfo } from 'node:os'
import { parse as parseConnectionString } from 'pg-connection-string'
import { TenantryError } from '../../kernel/errors.ts'
import { type Identifier, parseIdentifier } from '../../kernel/names.ts'
import { Secret } from '../../kernel/secret.ts'

/** A connection URL parsed once, so that every connection interprets it alike. */
export interface ConnectionFields {
  readonly host: string
  readonly port: number
  readonly user: Identifier
  readonly password: Secret | undefined
  /** The database that the URL names, if any. */
  readonly database: Identifier | undefined
  /** The TLS options of `pg`, from `sslmode` and its relatives. */
  readonly ssl: boolean | object | undefined
  /** The TLS parameters of the URL itself, for other programs. */
  readonly tlsParameters: Readonly<Record<string, string>>
  /** PostgreSQL's command-line options for the session, from the parameter of that name. */
  readonly options: string | undefined
  readonly applicationName: string | undefined
}

const shape = 'postgresql://user:password@host:5432/database'

/**
 * Parses a connection URL; every part may be percent-encoded. A socket directory is given as `?host=/directory`. The
 * parameters `host`, `port`, `user` and `password` override the same parts before the database, as they do for `pg`.
 * Other parameters than these, `options`, `application_name` and those of TLS are refused, since they would have no effect.
 * Absent parts come from PGHOST, PGPORT, PGUSER, PGPASSWORD and PGOPTIONS, then from libpq's defaults.
 *
 * @throws `invalid-url`, `invalid-name`; the URL itself is never part of the error, since it may hold a password
 */
export function parseConnectionUrl(input: string | URL): ConnectionFields {
  const url = parseUrl(input)
  const parameter = (name: string) => url.searchParams.get(name) ?? ''
  refuseUnknownParameters(url)
  const [, path = '', ...rest] = url.pathname.split('/')
  if (rest.length > 0) throw invalidUrl('The connection URL has more than the name of a database after its host.')
  const database = decode(path, 'database')
  const tlsParameters = Object.fromEntries([...url.searchParams].filter(([name]) => tlsNames.has(name)))
  return {
    host: parseHost(parameter('host') || hostOf(url) || process.env['PGHOST'] || 'localhost'),
    port: parsePort(parameter('port') || url.port || process.env['PGPORT'] || '5432'),
    user: parseIdentifier(
      parameter('user') || decode(url.username, 'user name') || process.env['PGUSER'] || userInfo().username,
      'connecting role',
    ),
    password: parsePassword(parameter('password') || decode(url.password, 'password') || process.env['PGPASSWORD']),
    database: database === '' ? undefined : parseIdentifier(database, 'database'),
    ssl: parseTls(tlsParameters),
    tlsParameters,
    options: parameter('options') || process.env['PGOPTIONS'] || undefined,
    applicationName: parameter('application_name') || undefined,
  }
}

/** Returns the database that a URL names. @throws `invalid-url` if it names none */
export function requireDatabase(fields: ConnectionFields): Identifier {
  if (fields.database !== undefined) return fields.database
  throw invalidUrl('The connection URL names no database.')
}

/** Checks a URL, and returns it as text. @throws `invalid-url` */
export function urlText(url: string | URL): string {
  if (typeof url === 'string') return url
  try {
    // The class's own getter refuses an object that only looks like one.
    return Reflect.get(URL.prototype, 'href', url)
  } catch {
    throw invalidUrl('A connection URL must be a string or a URL.')
  }
}

function parseUrl(input: string | URL): URL {
  // URL does not parse a user without a host, which ?host=/directory allows.
  const text = urlText(input).replace(/^(\w+:\/\/[^/?#@]*@)(?=[/?]|$)/, '$1localhost')
  if (/\p{Cc}/u.test(text)) throw invalidUrl('The connection URL has a control character that is not percent-encoded.')
  if (!URL.canParse(text)) throw invalidUrl('The connection URL cannot be parsed.')
  // URL would replace half a character, and cut the part after a "#": either is another name than the one given.
  if (!text.isWellFormed()) throw invalidUrl('The connection URL is not well-formed Unicode.')
  const url = new URL(text)
  if (dotSegment.test(text)) throw invalidUrl('The connection URL has "." or ".." for a part of its path.')
  if (url.hash !== '') throw invalidUrl('The connection URL has a "#" that is not percent-encoded (%23).')
  if (url.protocol === 'postgres:' || url.protocol === 'postgresql:') return url
  throw invalidUrl(`A connection URL begins with postgresql:// or postgres://, not with ${url.protocol}//.`)
}

/** Dot segments in the path. URL would resolve them, and name another database. */
const dotSegment = /\/(?:\.|%2e){1,2}(?=[/?#]|$)/i

function parseHost(host: string): string {
  if (!host.includes(',')) return host
  throw invalidUrl('The connection URL names several hosts; Tenantry administers one server by one URL.')
}

function hostOf(url: URL): string {
  // URL keeps the brackets of an IPv6 address; a socket must be opened without them.
  return decode(url.hostname, 'host').replace(/^\[(.*)\]$/, '$1')
}

function parsePort(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65536) return port
  throw invalidUrl('The port of the connection URL is not a number from 1 to 65535.')
}

function parsePassword(text: string | undefined): Secret | undefined {
  return text === undefined || text === '' ? undefined : new Secret(text)
}

const tlsNames = new Set(['ssl', 'sslmode', 'sslcert', 'sslkey', 'sslrootcert', 'uselibpqcompat'])
const knownNames = new Set(['host', 'port', 'user', 'password', 'options', 'application_name', ...tlsNames])

const schemaHint = 'Remove it: the models name the schema of their tables.'

/** Hints for parameters that other programs know. */
const insteadOf: Readonly<Record<string, string>> = {
  schema: schemaHint,
  search_path: schemaHint,
  currentSchema: schemaHint,
  target_session_attrs: 'Remove it, and name the host of the primary: Tenantry has to write.',
  connect_timeout: 'Remove it, and set the option connectTimeoutMs.',
  statement_timeout: 'Remove it, and set the option statementTimeoutMs.',
  channel_binding: "Remove it. sslmode=verify-full proves the server's identity.",
}

/** Refuses parameters that would have no effect. */
function refuseUnknownParameters({ search, searchParams }: URL): void {
  const name = [...searchParams.keys()].find((it) => !knownNames.has(it))
  if (name === undefined) return
  // After an "@", it may be the end of a password with a "?" in it.
  const shown = search.includes('@') ? '' : `: ${name}`
  throw new TenantryError('invalid-url', `The connection URL has a parameter that Tenantry does not use${shown}.`, {
    hint: insteadOf[name] ?? `Remove it, or write "?" as %3F. The parameters are ${[...knownNames].join(', ')}.`,
  })
}

/**
 * Parses the TLS parameters. pg-connection-string knows `sslmode` and reads certificates; the rest of its result is not
 * used.
 */
function parseTls(parameters: Readonly<Record<string, string>>): boolean | object | undefined {
  const query = new URLSearchParams(parameters)
  if (query.size === 0) return undefined
  try {
    return parseConnectionString(`postgresql://host/database?${query.toString()}`).ssl as boolean | object | undefined
  } catch (error) {
    throw new TenantryError('invalid-url', "The connection URL's TLS parameters cannot be used.", {
      cause: error,
      hint: 'Check sslmode, and that the files of sslcert, sslkey and sslrootcert can be read.',
    })
  }
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalidUrl(`The ${part} in the connection URL has a "%" that begins no valid escape.`)
  }
}

function invalidUrl(message: string): TenantryError {
  return new TenantryError('invalid-url', message, {
    hint: `It should look like ${shape}, with "%", "/", "?", "#", "@" and ":" inside a part percent-encoded ("%" as %25).`,
  })
}
