import { Client } from 'pg'
import type { AuditView } from './calls.ts'
import { type TenantModel, tenantsOf, type World } from './world.ts'

/** The server's record of a database: its tenant by its stamp, and the comment before. */
export interface DatabaseView {
  readonly kind: string | null
  readonly of: string | null
  readonly comment: string | null
}

/** The state of the server, in the model's words. */
export interface PhysicalState {
  /** By name without the installation's; an id stands for the row id in the names made from it. */
  readonly databases: Readonly<Record<string, DatabaseView>>
  readonly audit: World['audit']
}

/** The texts of the rows in each database, by its readable name. */
export type Rows = Readonly<Record<string, readonly string[]>>

/** The comment on a database without a tenant. */
const strangersComment = 'Kept by hand.'

/** The model's expectation of the server. */
export function expectedState(world: World): PhysicalState {
  const databases = Object.fromEntries([
    ['_catalog', { kind: null, of: null, comment: null }],
    ...Object.keys(world.strangers).map((name) => [name, { kind: null, of: null, comment: strangersComment }] as const),
    ...tenantsOf(world).flatMap((tenant) => {
      const name = nameOf(tenant)
      return name === undefined ? [] : [[name, stampOf(tenant)] as const]
    }),
  ])
  return { databases, audit: world.audit }
}

/** The model's expectation of the rows in complete databases. */
export function expectedRows(world: World): Rows {
  const tenants = tenantsOf(world).filter(({ activated }) => activated)
  const rows = [...tenants.map((it) => [nameOf(it) ?? '', it.rows] as const), ...Object.entries(world.strangers)]
  return Object.fromEntries(rows.map(([name, texts]) => [name, texts.toSorted()]))
}

/** The name of a tenant's database, if it has one of its own. */
function nameOf({ id, place, database }: TenantModel): string | undefined {
  const names = {
    nowhere: undefined,
    building: `_building_<${id}>`,
    'in service': database,
    archived: `_off_<${id}>`,
    'pending drop': `_drop_<${id}>`,
  }
  return names[place]
}

function stampOf({ id, place, origin }: TenantModel): DatabaseView {
  const comment = origin === 'adopt' ? strangersComment : null
  // Until it is complete, its name identifies its tenant.
  return place === 'building' ? { kind: null, of: null, comment: null } : { kind: 'tenant', of: id, comment }
}

/** A look at the server itself, past Tenantry, from the catalog's database. */
export class ServerView {
  readonly #client: Client
  readonly #url: string
  readonly #installation: string
  /** By life, the row id that it was first seen under. */
  readonly #rowIds = new Map<number, string>()

  constructor(url: string, installation: string) {
    this.#url = url
    this.#installation = installation
    this.#client = new Client({ connectionString: this.#urlOf(`${installation}_catalog`) })
  }

  open(): Promise<unknown> {
    return this.#client.connect()
  }

  close(): Promise<void> {
    return this.#client.end()
  }

  async state(): Promise<PhysicalState> {
    const idOf = await this.#tenants()
    const [installation] = await this.#rows<{ id: string }>('select id from tenantry.installation')
    // A discarded database waits to be dropped, under a name that is never used again.
    const found = await this.#rows<{ name: string; comment: string | null }>(
      `select datname as name, shobj_description(oid, 'pg_database') as comment from pg_database
       where starts_with(datname, $1) and datname !~ '_(template_[0-9a-f]{32}|admin)$'
         and not exists (select from tenantry.spare s where s.state = 'dropping'
                         and datname = $1 || '_spare_' || replace(s.row_id::text, '-', ''))
       order by datname`,
      [this.#installation],
    )
    const databases = found.map(({ name, comment }) => {
      const short = name.slice(this.#installation.length)
      const hex = /^(_(?:building|off|drop)_)(.*)$/.exec(short)
      const readable = hex === null ? short : `${hex[1]}<${idOf.get(hex[2] as string) ?? hex[2]}>`
      return [readable, viewOf(comment, installation?.id, idOf)] as const
    })
    return { databases: Object.fromEntries(databases), audit: await this.#audit() }
  }

  /** Sessions in the databases of tenants that are not in service; the catalog knows which these are. */
  async sessionsOutOfService(): Promise<readonly string[]> {
    const found = await this.#rows<{ name: string }>(
      `select s.datname as name from pg_stat_activity s join tenantry.tenant t
         on s.datname in (t.database, $1 || '_off_' || replace(t.row_id::text, '-', ''))
       where t.state in ('suspended', 'offboarded', 'purging') and s.backend_type = 'client backend'
         and not exists (select from tenantry.tenant o where o.database = s.datname and o.state = 'active')`,
      [this.#installation],
    )
    return found.map(({ name }) => name)
  }

  /** The rows in every complete database: in service, archived or foreign. */
  async rows(): Promise<Rows> {
    const idOf = await this.#tenants()
    const { databases } = await this.state()
    const rows: Record<string, readonly string[]> = {}
    for (const [readable, { kind, comment }] of Object.entries(databases)) {
      if (kind !== 'tenant' && comment !== strangersComment) continue
      const hexOf = (id: string) => [...idOf].find(([, it]) => it === id)?.[0] ?? id
      rows[readable] = await this.#notesIn(readable.replace(/<(.*)>/, (_, id: string) => hexOf(id)))
    }
    return rows
  }

  /** True if each tenant still has its row id, and no two have had the same. */
  async keepsRowIds(world: World): Promise<boolean> {
    const hexOf = new Map([...(await this.#tenants())].map(([hex, id]) => [id, hex]))
    for (const { id, life } of tenantsOf(world)) {
      const rowId = hexOf.get(id) as string
      if (!this.#rowIds.has(life)) this.#rowIds.set(life, rowId)
      if (this.#rowIds.get(life) !== rowId) return false
    }
    return new Set(this.#rowIds.values()).size === this.#rowIds.size
  }

  /** Makes, past Tenantry, a database that has the models' tables, a row and a comment. */
  async appear(name: string, template: string): Promise<void> {
    const database = `${this.#installation}${name}`
    await this.#client.query(`create database "${database}" template "${template}"`)
    await this.#client.query(`comment on database "${database}" is '${strangersComment}'`)
  }

  async vanish(name: string): Promise<void> {
    await this.#client.query(`drop database "${this.#installation}${name}" with (force)`)
  }

  async #notesIn(name: string): Promise<readonly string[]> {
    const client = new Client({ connectionString: this.#urlOf(`${this.#installation}${name}`) })
    await client.connect()
    try {
      const { rows } = await client.query<{ text: string }>('select text from note')
      return rows.map(({ text }) => text).toSorted()
    } finally {
      await client.end()
    }
  }

  /** By row id in hexadecimal, the tenants' ids. */
  async #tenants(): Promise<ReadonlyMap<string, string>> {
    const rows = await this.#rows<{ id: string; row_id: string }>('select id, row_id from tenantry.tenant')
    return new Map(rows.map((row) => [row.row_id.replaceAll('-', ''), row.id]))
  }

  async #audit(): Promise<World['audit']> {
    const rows = await this.#rows<AuditView & { tenant: string }>(
      `select tenant, verb, from_state as "from", to_state as "to", actor from tenantry.audit
       where outcome = 'done' order by number`,
    )
    const audit: Record<string, AuditView[]> = {}
    for (const { tenant, ...line } of rows) (audit[tenant] ??= []).push(line)
    return audit
  }

  async #rows<Row extends object>(statement: string, params: unknown[] = []): Promise<Row[]> {
    const { rows } = await this.#client.query<Row>(statement, params)
    return rows
  }

  #urlOf(database: string): string {
    const url = new URL(this.#url)
    url.pathname = `/${database}`
    return url.href
  }
}

function viewOf(
  comment: string | null,
  installation: string | undefined,
  idOf: ReadonlyMap<string, string>,
): DatabaseView {
  if (comment?.startsWith('{') !== true) return { kind: null, of: null, comment }
  const stamp = JSON.parse(comment) as Record<'installation' | 'kind' | 'row', string> & { readonly comment?: string }
  const kind = stamp.installation === installation ? stamp.kind : `${stamp.kind} of another installation`
  return { kind, of: idOf.get(stamp.row.replaceAll('-', '')) ?? stamp.row, comment: stamp.comment ?? null }
}
