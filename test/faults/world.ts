import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { answerTo, type Call, open, type Opened, type Opening } from './calls.ts'
import { Ledger } from './ledger.ts'
import type { Look, PhysicalDatabase, InventoryRecord, TenantRecord } from './records.ts'

/** The time for sessions without a client to end, in milliseconds: one may still be running CREATE DATABASE. */
const endingMs = 30_000

/** One installation, and a look past Tenantry at the server. */
export class World implements Look {
  readonly url: string
  readonly installation: string
  readonly servers: readonly string[]
  readonly ledger = new Ledger()
  readonly #opening: Partial<Opening>
  #observer: Client | undefined

  constructor(url: string, servers: readonly string[] = ['main'], opening: Partial<Opening> = {}) {
    this.url = url
    this.servers = servers
    this.installation = `f${randomBytes(7).toString('hex')}`
    this.#opening = opening
  }

  get catalog(): string {
    return `${this.installation}_catalog`
  }

  opening(overrides: Partial<Opening> = {}): Opening {
    return {
      url: this.url,
      installation: this.installation,
      servers: this.servers,
      ...this.#opening,
      ...overrides,
    }
  }

  open(overrides: Partial<Opening> = {}): Promise<Opened> {
    return open(this.opening(overrides))
  }

  /** Opens a Tenantry for as long as `work` takes. */
  async within<T>(work: (tenantry: Opened) => Promise<T>, overrides: Partial<Opening> = {}): Promise<T> {
    const tenantry = await this.open(overrides)
    try {
      return await work(tenantry)
    } finally {
      await tenantry.close()
    }
  }

  /** Carries out a call that must succeed, and takes its outcome for acknowledged. */
  async do(tenantry: Opened, call: Call): Promise<string> {
    const { outcome, code, message } = await answerTo(tenantry, call)
    if (outcome === undefined) throw new Error(`${describeCall(call)} failed with ${code}: ${message}`)
    if ('id' in call) await this.acknowledged(call.id)
    return outcome
  }

  /** Records that a tenant's current row in the catalog was acknowledged. */
  async acknowledged(id: string): Promise<void> {
    await this.ledger.acknowledge(this, id)
  }

  /** Runs one statement as the superuser, past Tenantry. */
  async sql<Row extends object = Record<string, unknown>>(
    statement: string,
    params?: unknown[],
    database?: string,
  ): Promise<Row[]> {
    if (database === undefined) return (await (await this.#observing()).query<Row>(statement, params)).rows
    const client = this.client(database)
    await client.connect()
    try {
      return (await client.query<Row>(statement, params)).rows
    } finally {
      await client.end()
    }
  }

  /** Runs one statement in the catalog. */
  inCatalog<Row extends object = Record<string, unknown>>(statement: string, params?: unknown[]): Promise<Row[]> {
    return this.sql<Row>(statement, params, this.catalog)
  }

  /** Returns a connection that is not Tenantry's. */
  client(database: string, as = this.url): Client {
    const url = new URL(as)
    url.pathname = `/${encodeURIComponent(database)}`
    const client = new Client({ connectionString: url.href })
    client.on('error', () => undefined)
    return client
  }

  /** Returns all databases with a name of this installation, except its own for administration. */
  databases(): Promise<PhysicalDatabase[]> {
    return this.sql<PhysicalDatabase>(
      `select datname as name, oid, datallowconn as "isOpen", datistemplate as "isTemplate",
              datconnlimit = -2 as "isInvalid", shobj_description(oid, 'pg_database') as comment
       from pg_database where starts_with(datname, $1) and datname <> all($2) order by 1`,
      [`${this.installation}_`, [this.catalog, `${this.installation}_admin`]],
    )
  }

  /** All roles of this installation. */
  roles(): Promise<{ readonly name: string; readonly canLogIn: boolean }[]> {
    return this.sql(
      `select rolname as name, rolcanlogin as "canLogIn" from pg_roles where starts_with(rolname, $1) order by 1`,
      [`${this.installation}_`],
    )
  }

  async database(name: string): Promise<PhysicalDatabase | undefined> {
    return (await this.databases()).find((it) => it.name === name)
  }

  tenants(): Promise<TenantRecord[]> {
    return this.inCatalog(`select id, row_id as "rowId", state, database from tenantry.tenant order by id`)
  }

  async tenant(id: string): Promise<TenantRecord | undefined> {
    return (await this.tenants()).find((it) => it.id === id)
  }

  inventory(): Promise<InventoryRecord[]> {
    return this.inCatalog(
      `select 'template' as kind, row_id as "rowId", state from tenantry.template
       union all select 'spare', row_id, state from tenantry.spare`,
    )
  }

  /** All that a call may change, to be compared. */
  async snapshot(): Promise<string> {
    const records = await this.inCatalog(
      `select (select json_agg(t order by id) from tenantry.tenant t) as tenants,
              (select json_agg(t order by row_id) from tenantry.template t) as templates,
              (select json_agg(s order by row_id) from tenantry.spare s) as spares,
              (select json_agg(c order by row_id) from tenantry.credential c) as credentials,
              (select json_agg(a order by number) from tenantry.audit a) as audit`,
    )
    return JSON.stringify({ records, databases: await this.databases(), roles: await this.roles() })
  }

  /** All that a call may change of tenants, to be compared. */
  async snapshotOfTenants(): Promise<string> {
    const records = await this.inCatalog(
      `select (select json_agg(t order by id) from tenantry.tenant t) as tenants,
              (select json_agg(a order by number) from tenantry.audit a) as audit`,
    )
    const inventory = (await this.inventory()).flatMap(({ rowId }) => [rowId, rowId.replaceAll('-', '')])
    const isInventory = ({ name, comment }: PhysicalDatabase) =>
      inventory.some((rowId) => name.includes(rowId) || comment?.includes(rowId))
    return JSON.stringify({ records, databases: (await this.databases()).filter((it) => !isInventory(it)) })
  }

  /** Waits for the end of backends without a client. */
  left(backends: readonly number[]): Promise<void> {
    return this.#noneOf(backends, 'true')
  }

  /** Waits until backends have carried out their statements. */
  idle(backends: readonly number[]): Promise<void> {
    // A statement of which only the beginning came is active as well, and reads.
    return this.#noneOf(backends, `state = 'active' and wait_event is distinct from 'ClientRead'`)
  }

  async #noneOf(backends: readonly number[], condition: string): Promise<void> {
    const deadline = Date.now() + endingMs
    for (;;) {
      const [first] = await this.sql<{ pid: number; query: string }>(
        `select pid, query from pg_stat_activity where pid = any($1) and ${condition}`,
        [backends],
      )
      if (first === undefined) return
      if (Date.now() > deadline) throw new Error(`The session ${first.pid} goes on: ${first.query}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** Drops all databases, the catalog, and the roles, as the role of that URL; forgets the connection. */
  async drop(as = this.url): Promise<void> {
    await this.disconnect()
    await this.#observing(as)
    const names = [...(await this.databases()).map(({ name }) => name), `${this.installation}_admin`, this.catalog]
    for (const name of names) await this.dropDatabase(name)
    for (const { name } of await this.roles()) await this.sql(`drop role "${name}"`)
    await this.disconnect()
  }

  async dropDatabase(name: string): Promise<void> {
    // Not by ALTER DATABASE, which fails with an invalid database and ends the session; not every role may do so.
    await this.sql('update pg_database set datistemplate = false where datname = $1', [name]).catch(() =>
      this.sql(`alter database ${quoted(name)} is_template false`),
    )
    await this.sql(`drop database if exists ${quoted(name)} with (force)`)
  }

  /** Forgets the connection, for example after the end of the server. */
  async disconnect(): Promise<void> {
    const observer = this.#observer
    this.#observer = undefined
    await observer?.end().catch(() => undefined)
  }

  async #observing(as = this.url): Promise<Client> {
    if (this.#observer !== undefined) return this.#observer
    const client = this.client('postgres', as)
    await client.connect()
    this.#observer = client
    return client
  }
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A call in a few words. */
export function describeCall(call: Call): string {
  return 'id' in call ? `${call.verb} ${call.id}` : call.verb
}
