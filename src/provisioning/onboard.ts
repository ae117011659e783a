import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { type Identifier, type Installation, parseTenantId, physicalNames, type TenantId } from '../kernel/names.ts'
import { refuseUnknownOptions } from '../kernel/options.ts'
import { Catalog, publicTenant, type Tenant, type TenantRow } from '../catalog/catalog.ts'
import type { Models } from '../models/port.ts'
import type { Server, Session } from '../server/port.ts'
import { readStamp, type Stamp, writeStamp } from '../server/stamp.ts'
import { makeTables } from './create-tables.ts'

/** Options of `onboard`. */
export interface OnboardOptions extends Cancellable {
  /** For people; any text. */
  readonly displayName?: string
  /** The service's own notes on the tenant, as JSON; at most 64 KB. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** The name of the server to place it on. Default: the open one with the fewest tenants. */
  readonly server?: string
}

/** What came of onboarding a tenant. */
export interface Onboarded {
  /** `onboarded` by this very call, or there already; then display name, metadata and server are as they were. */
  readonly outcome: 'onboarded' | 'already-exists'
  readonly tenant: Tenant
}

/** What onboarding works with. */
export interface OnboardingContext {
  readonly installation: Installation
  readonly installationId: string
  readonly catalog: Catalog
  /** The server that the catalog is on. */
  readonly home: Server
  readonly servers: ReadonlyMap<string, Server>
  readonly models: Models<unknown>
  readonly fingerprint: string
  /** How long another process may take to onboard the same tenant, in milliseconds. */
  readonly lockTimeoutMs: number
}

/**
 * Makes a tenant: a row in the catalog and a database that matches the models.
 *
 * The database is made under a name of its own and gets the tenant's name only when it is whole, together with the row
 * where both are on one server. Whoever comes later finishes what an interrupted call began.
 *
 * @throws `invalid-tenant-id`, `invalid-option`, `no-open-server`, `tenant-not-active`, `foreign-database`,
 *   `verification-failed`, `lock-timeout`, `permission-denied` and what may be wrong with a connection
 */
export async function onboard(context: OnboardingContext, id: string, options: OnboardOptions): Promise<Onboarded> {
  const tenantId = parseTenantId(id)
  const wanted = checkOptions(context, options)
  const known = await context.catalog.find(tenantId)
  if (known !== undefined && known.state !== 'onboarding') return alreadyThere(known)

  const session = await context.home.connect(physicalNames.catalog(context.installation), options)
  try {
    await session.lock(`tenant:${tenantId}`, 'session', context.lockTimeoutMs)
    const catalog = new Catalog(session.asPool())
    const database = physicalNames.tenant(context.installation, tenantId)
    const row = await catalog.intend({ id: tenantId, database, ...wanted })
    if (row.state !== 'onboarding') return alreadyThere(row)
    return { outcome: 'onboarded', tenant: await finish(context, session, catalog, row, options) }
  } catch (error) {
    throw error instanceof TenantryError ? error.forTenant(tenantId) : error
  } finally {
    await session.close()
  }
}

function alreadyThere(row: TenantRow): Onboarded {
  const tenant = publicTenant(row)
  if (tenant.state === 'active') return { outcome: 'already-exists', tenant }
  throw new TenantryError('tenant-not-active', `The tenant ${tenant.id} exists and is ${tenant.state}.`, {
    tenant: tenant.id,
    hint: 'Its id stays reserved.',
  })
}

async function finish(
  context: OnboardingContext,
  session: Session,
  catalog: Catalog,
  row: TenantRow,
  { signal }: Cancellable,
): Promise<Tenant> {
  const server = serverOf(context, row)
  const isHome = server === context.home
  const admin = isHome ? session : await server.connect(server.maintenanceDatabase, { signal })
  try {
    const make = new DatabaseMaking(context, server, admin, row)
    const named = await make.findNamed(catalog)
    if (named !== undefined) {
      // What it was made with, which need not be what this process has.
      await catalog.activate(row.rowId, named.fingerprint)
    } else {
      await make.build(signal)
      const activate = () => catalog.activate(row.rowId, context.fingerprint)
      // On the catalog's own server the name, the stamp and the row come about in one transaction.
      await admin.transaction(async () => {
        await make.name()
        if (isHome) await activate()
      })
      if (!isHome) await activate()
    }
    return await activeTenant(catalog, row.id)
  } finally {
    if (!isHome) await admin.close()
  }
}

async function activeTenant(catalog: Catalog, id: TenantId): Promise<Tenant> {
  const row = await catalog.find(id)
  if (row === undefined) throw new TenantryError('tenant-unknown', `The tenant ${id} was removed meanwhile.`)
  return publicTenant(row)
}

/** The making of one tenant's database, step by step; each step finds out whether it was done before. */
class DatabaseMaking {
  readonly #context: OnboardingContext
  readonly #server: Server
  readonly #admin: Session
  readonly #row: TenantRow

  constructor(context: OnboardingContext, server: Server, admin: Session, row: TenantRow) {
    this.#context = context
    this.#server = server
    this.#admin = admin
    this.#row = row
  }

  /**
   * The stamp of the database if it has its final name already: an earlier call got that far, on a server without the
   * catalog.
   *
   * @throws `foreign-database`, after taking the intention back, when the name is somebody else's
   */
  async findNamed(catalog: Catalog): Promise<Stamp | undefined> {
    const { database, rowId, id } = this.#row
    const found = await this.#server.describe(this.#admin, database)
    if (found === undefined) return undefined
    const stamp = readStamp(found.comment)
    if (stamp?.row === rowId && stamp.installation === this.#context.installationId) return stamp
    await catalog.withdraw(rowId)
    throw new TenantryError('foreign-database', `The database ${database} is there and is not ours.`, {
      tenant: id,
      hint: `It was not touched. Rename it, or onboard the tenant under another id.`,
    })
  }

  /**
   * Makes the database under its building name, with all its tables, and verifies it. One that an interrupted call left
   * may have been made for other models: it is dropped, which its random name permits.
   */
  async build(signal: AbortSignal | undefined): Promise<void> {
    const building = this.#building
    if (!(await this.#create(building))) {
      await this.#admin.query(this.#server.dropStatement(building))
      await this.#create(building)
    }
    await this.#admin.query(this.#server.commentStatement(building, this.#stamp('building')))
    const session = await this.#server.connect(building, { signal })
    try {
      await makeTables(session, this.#context.models)
    } finally {
      await session.close()
    }
  }

  /** Gives the database its final name and stamp; to be run in a transaction. */
  async name(): Promise<void> {
    const { database } = this.#row
    await this.#admin.script([
      this.#server.renameStatement(this.#building, database),
      this.#server.commentStatement(database, this.#stamp('tenant')),
    ])
  }

  /** From template0, so that nothing is in it but what the models declare. */
  #create(building: Identifier): Promise<boolean> {
    return this.#server.create(this.#admin, building, { template: 'template0' })
  }

  get #building() {
    return physicalNames.building(this.#context.installation, this.#row.rowId)
  }

  #stamp(kind: Stamp['kind']): string {
    const { installationId, fingerprint } = this.#context
    return writeStamp({ installation: installationId, kind, row: this.#row.rowId, fingerprint })
  }
}

function serverOf(context: OnboardingContext, { server, id }: TenantRow): Server {
  const found = context.servers.get(server)
  if (found !== undefined) return found
  throw new TenantryError(
    'no-open-server',
    `The tenant ${id} is on the server ${server}, which is not configured here.`,
    {
      tenant: id,
      hint: `Add postgres({ name: ${JSON.stringify(server)}, url }) to the servers of this process.`,
    },
  )
}

const metadataBytes = 65_536

function checkOptions(context: OnboardingContext, options: OnboardOptions) {
  refuseUnknownOptions('onboard', options, ['displayName', 'metadata', 'server', 'signal'])
  const { displayName, metadata = {}, server } = options
  if (displayName !== undefined) refuseUnstorable('displayName', displayName)
  const json = isRecord(metadata) ? JSON.stringify(metadata) : undefined
  if (json === undefined || Buffer.byteLength(json) > metadataBytes) {
    throw new TenantryError('invalid-option', `metadata must be an object of at most ${metadataBytes} bytes as JSON.`)
  }
  refuseUnstorable('metadata', json)
  const names = [...context.servers.keys()]
  if (server !== undefined && !names.includes(server)) {
    throw new TenantryError('no-open-server', `There is no server ${JSON.stringify(server)} in this process.`, {
      hint: `It has ${names.join(', ')}.`,
    })
  }
  return { displayName, metadata, servers: server === undefined ? names : [server] }
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** PostgreSQL's text cannot hold NUL, nor half of a surrogate pair; in JSON both are written as escapes. */
function refuseUnstorable(option: string, text: string): void {
  // oxlint-disable-next-line no-control-regex -- NUL is what is looked for
  const bad = typeof text !== 'string' || !text.isWellFormed() || /\u0000|\\u0000|\\ud[89a-f]/i.test(text)
  if (bad) throw new TenantryError('invalid-option', `${option} must be well-formed text without NUL.`)
}
