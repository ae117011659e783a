import { createPostgreSqlTypeParsers } from '@mikro-orm/sql'
import type {
  PostgresClientConstructor,
  PostgresCursor,
  PostgresCursorConstructor,
  PostgresPool,
  PostgresPoolClient,
  PostgresQueryResult,
} from 'kysely'
import Cursor from 'pg-cursor'
import type { ConnectionPool, PooledConnection, QueryClient } from '../../server/port.ts'

/** PostgreSQL's type `text[]`: any array of which the elements stay text is parsed alike. */
const textArrayOid = 1009

/** Our connections as Kysely, below MikroORM, wants them. Ending the pool does nothing: it is not MikroORM's to end. */
export function asKyselyPool(pool: ConnectionPool): PostgresPool {
  return {
    options: pool.options,
    Client: controlClient(pool),
    connect: async () => asKyselyClient(await pool.connect()),
    end: async () => undefined,
  }
}

/** Returns the constructor with which Kysely makes a connection to cancel a query, by the one statement that it sends. */
function controlClient(pool: ConnectionPool): PostgresClientConstructor {
  return class ControlClient {
    connect = async () => this
    end = () => undefined
    query = async (sql: string) => {
      const [, what, processID] = /^select pg_(cancel|terminate)_backend\((\d+)\)$/.exec(sql) ?? []
      if (processID === undefined) throw new Error(`Kysely cancels a query otherwise than expected: ${sql}`)
      await pool.cancel(Number(processID), what === 'cancel' ? 'statement' : 'connection')
    }
  } as unknown as PostgresClientConstructor
}

/**
 * One client for each connection: Kysely caches some values by the client, and recognises it when it is leased again.
 */
const clients = new WeakMap<object, MikroOrmClient>()

function asKyselyClient(lease: PooledConnection): PostgresPoolClient {
  const origin = lease.origin ?? lease
  let client = clients.get(origin)
  if (client === undefined) clients.set(origin, (client = new MikroOrmClient(lease)))
  client.use(lease)
  return client
}

/** A client whose results are parsed as MikroORM expects them; the service's own use of `pg` keeps its parsers. */
class MikroOrmClient implements PostgresPoolClient {
  #lease: PooledConnection
  /** Undefined if the connection knows them itself, so that no query has to pass them. */
  readonly #types: TypeParsers | undefined

  constructor(lease: PooledConnection) {
    this.#lease = lease
    const parsers = parsersFor(lease)
    if (lease.setTypeParser === undefined) this.#types = typesBeside(lease, parsers)
    else for (const [oid, parse] of Object.entries(parsers)) lease.setTypeParser(Number(oid), parse)
  }

  /** Sets the lease that uses the client until its release. */
  use(lease: PooledConnection): void {
    this.#lease = lease
  }

  get processID(): number {
    return this.#lease.processID ?? 0
  }

  query<R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>
  query(query: string | PostgresCursor<unknown>, parameters: readonly unknown[] = []): unknown {
    if (typeof query === 'string') {
      if (this.#types === undefined) return this.#lease.query(query, parameters)
      return this.#lease.query({ text: query, values: parameters, types: this.#types })
    }
    return this.#lease.query(query instanceof PendingCursor ? query.start(this.#types) : query)
  }

  release(): void {
    this.#lease.release()
  }
}

interface TypeParsers {
  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown
}

/** Cached by the parser of arrays: making them again for each connection would take much of the time of opening one. */
const parsersBy = new WeakMap<ParseArray, Parsers>()

type Parsers = ReturnType<typeof createPostgreSqlTypeParsers>
type ParseArray = (value: string) => string[]

/** MikroORM wants dates and intervals as text. */
function parsersFor(client: QueryClient): Parsers {
  const parseArray = client.getTypeParser(textArrayOid) as ParseArray
  let parsers = parsersBy.get(parseArray)
  if (parsers === undefined) parsersBy.set(parseArray, (parsers = createPostgreSqlTypeParsers(parseArray)))
  return parsers
}

/** All else is parsed as the connection does. */
function typesBeside(client: QueryClient, parsers: Parsers): TypeParsers {
  return {
    getTypeParser: (oid, format) =>
      (format === 'binary' ? undefined : parsers[oid]) ?? client.getTypeParser(oid, format),
  }
}

/** A cursor that learns how to parse when it reaches its connection: Kysely makes it before, without a word on types. */
class PendingCursor {
  readonly #sql: string
  readonly #parameters: unknown[]

  constructor(sql: string, parameters: unknown[]) {
    this.#sql = sql
    this.#parameters = parameters
  }

  start(types: TypeParsers | undefined): Cursor {
    return new Cursor(this.#sql, this.#parameters, types && { types })
  }
}

/** The constructor of Kysely's cursors. Kysely passes each to the client, and reads from the result. */
export const cursor = PendingCursor as unknown as PostgresCursorConstructor
