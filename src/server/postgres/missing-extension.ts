import { messageOf, TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { Session } from '../port.ts'
import { quoteIdentifier } from './quoting.ts'

/** Extensions by the names of what they bring along, where no extension has that name. */
const contents: Readonly<Record<string, readonly string[]>> = {
  btree_gin: ['gin'],
  btree_gist: ['gist'],
  earthdistance: ['earth', 'll_to_earth', 'earth_distance'],
  fuzzystrmatch: ['soundex', 'levenshtein', 'metaphone', 'dmetaphone', 'daitch_mokotoff'],
  h3: ['h3index'],
  intarray: ['query_int', 'gin__int_ops', 'gist__int_ops', 'gist__intbig_ops'],
  isn: ['ean13', 'isbn', 'isbn13', 'ismn', 'ismn13', 'issn', 'issn13', 'upc'],
  ltree: ['lquery', 'ltxtquery'],
  pg_trgm: ['gin_trgm_ops', 'gist_trgm_ops', 'similarity', 'word_similarity', 'strict_word_similarity'],
  pgcrypto: ['digest', 'hmac', 'crypt', 'gen_salt', 'gen_random_bytes', 'pgp_sym_encrypt', 'pgp_sym_decrypt'],
  postgis: ['geometry', 'geography', 'box2d', 'box3d', 'st_setsrid', 'st_makepoint'],
  postgis_raster: ['raster'],
  tablefunc: ['crosstab'],
  'uuid-ossp': ['uuid_generate_v1', 'uuid_generate_v1mc', 'uuid_generate_v3', 'uuid_generate_v4', 'uuid_generate_v5'],
  vector: ['halfvec', 'sparsevec', 'hnsw', 'ivfflat', 'vector_cosine_ops', 'vector_ip_ops', 'vector_l2_ops'],
}

const extensionOf = new Map(Object.entries(contents).flatMap(([name, brought]) => brought.map((it) => [it, name])))

/** SQLSTATEs of a missing type, operator class, access method or language, and of a missing function. */
const undefinedStates: ReadonlySet<string | undefined> = new Set(['42704', '42883'])

/** An extension that the server has. */
interface Available {
  readonly name: Identifier
  /** The schema where it is installed in this database; null if it is not. */
  readonly schema: string | null
}

/**
 * Names in an error's hint the extension that a missing type, function or other object belongs to, and what to do. It
 * asks the server which extensions it has, and returns any other error unchanged.
 */
export async function withExtension(session: Session, error: TenantryError): Promise<TenantryError> {
  const missing = undefinedStates.has(error.sqlState) ? missingName(messageOf(error.cause)) : undefined
  if (missing === undefined) return error
  const name = extensionOf.get(missing) ?? missing
  try {
    const { rows } = await session.query<Available>(availableSql, [name])
    const hint = extensionHint(name, missing, rows[0])
    if (hint === undefined) return error
    const { code, message, cause, sqlState, retryable } = error
    return new TenantryError(code, message, { cause, sqlState, retryable, hint })
  } catch {
    return error
  }
}

const availableSql = `
  select a.name, e.extnamespace::pg_catalog.regnamespace::text as schema
  from pg_catalog.pg_available_extensions a left join pg_catalog.pg_extension e on e.extname = a.name
  where a.name = $1`

/** The name that the server's message quotes first, or calls as a function; without its schema. */
function missingName(message: string): string | undefined {
  const [, quoted, called] = /["«„“]([^"»“”]+)["»“”]|([\w.]+)\(/.exec(message) ?? []
  return (quoted ?? called)?.split('.').at(-1)?.replaceAll('[]', '').toLowerCase()
}

function extensionHint(name: string, missing: string, found: Available | undefined): string | undefined {
  if (found === undefined) {
    if (!extensionOf.has(missing)) return undefined
    return `It belongs to the extension ${name}, which this server does not have: install its package there first.`
  }
  const create = `CREATE EXTENSION ${quoteIdentifier(found.name)};`
  if (found.schema === null) {
    return `It belongs to the extension ${name}: add that to the option \`extensions\`, or run ${create}`
  }
  return `It belongs to the extension ${name}, which is installed in the schema ${found.schema}: write that schema before the name.`
}
