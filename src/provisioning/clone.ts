import { randomUUID } from 'node:crypto'
import { untilAborted } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { type Identifier, parseTenantId, physicalNames } from '../kernel/names.ts'
import { stateError } from '../catalog/states.ts'
import { publicTenant, type Tenant, type TenantRow, unknownTenant } from '../catalog/tenant.ts'
import type { Login, Server, Session } from '../server/port.ts'
import { requireServer } from '../server/require-server.ts'
import { announce, type MakingContext, type ProvisioningContext, type Separation, type TenantHook } from './context.ts'
import { runHook } from './hooks.ts'
import { makeTenant, type Recipe } from './make-tenant.ts'
import { underLock } from './locked-work.ts'
import { createPrivate, ensureGroups, newLogin, withHelper } from './separation.ts'
import { missingError, newName } from './tenant-names.ts'
import type { NewTenantOptions } from './tenant-options.ts'

/** Options of `clone`. */
export interface CloneOptions<Handle> extends NewTenantOptions {
  /**
   * Removes from the copy what must not be in it, before the tenant is active. It runs again when the clone is repeated
   * after a failure, on a new copy. Default: that of the configuration; `false` for none.
   */
  readonly anonymise?: TenantHook<Handle> | false
  /** How long queries and transactions under way on the source may take, in milliseconds. */
  readonly drainMs?: number
  /** Whether an id that exists is an outcome or the error `tenant-exists`. Default `accept`. */
  readonly existing?: 'accept' | 'refuse'
}

/** What came of cloning a tenant. */
export interface Cloned {
  readonly outcome: 'cloned' | 'already-exists'
  readonly tenant: Tenant
}

/**
 * Makes a new tenant with a copy of another one's database, on the same server.
 *
 * PostgreSQL copies a database that nobody is connected to. Every process gives up its idle connections to the source;
 * whoever wants a new one waits until the copy is made. If somebody stays connected until the deadline, nothing is
 * made but the new tenant's row, and nobody is disturbed.
 *
 * @throws `tenant-unknown`, `tenant-state`, `tenant-exists`, `template-in-use`, `database-missing`, `hook-failed`,
 *   `foreign-database`, `lock-timeout`, `permission-denied`
 */
export async function clone<Handle>(
  context: MakingContext<Handle>,
  sourceId: string,
  id: string,
  options: CloneOptions<Handle>,
): Promise<Cloned> {
  const [from, tenantId] = [parseTenantId(sourceId), parseTenantId(id)]
  const { displayName, metadata = {}, drainMs = context.drainMs } = options
  const source = await untilAborted(context.catalog.find(from), options.signal)
  if (source === undefined) throw unknownTenant(from)
  requireServer(context.servers, source.server, from)

  return underLock(context, tenantId, options, async (locked) => {
    const rowId = randomUUID()
    const database = newName(context, tenantId, rowId)
    const placed = { servers: [source.server], origin: 'clone', source: source.rowId } as const
    const known = await locked.catalog.find(tenantId)
    // Looked at before anything is written: a source that cannot be copied leaves no trace of the attempt.
    if (known === undefined && !isCopyable(source)) throw stateError('clone', from, source.state)
    const { row, isNew } = await locked.catalog.intend(
      { rowId, id: tenantId, database, displayName, metadata, ...placed },
      options,
    )
    if (isNew) announce(context, 'clone', row, { from: undefined, to: 'onboarding', since: locked.since })
    if (row.origin !== 'clone' || row.source !== source.rowId) throw existsError(row, `It is no clone of ${from}.`)
    if (row.state === 'active' || row.state === 'suspended') return alreadyThere(row, options)
    if (row.state !== 'onboarding') throw stateError('clone', tenantId, row.state)
    if (!isCopyable(source)) throw stateError('clone', from, source.state)
    const made = await makeTenant(context, locked, row, copyOf(context, source, row, { ...options, drainMs }), options)
    return { outcome: 'cloned', tenant: publicTenant(made) }
  })
}

function isCopyable({ state }: TenantRow): boolean {
  return state === 'active' || state === 'suspended'
}

function alreadyThere(row: TenantRow, { existing }: CloneOptions<never>): Cloned {
  if (existing === 'refuse') throw existsError(row, 'Leave out the option `existing` to accept that.')
  return { outcome: 'already-exists', tenant: publicTenant(row) }
}

/** The error of a new tenant whose id another one has. */
export function existsError({ id, state }: TenantRow, hint: string): TenantryError {
  return new TenantryError('tenant-exists', `The tenant ${id} exists already and is ${state}.`, { tenant: id, hint })
}

function copyOf<Handle>(
  context: MakingContext<Handle>,
  source: TenantRow,
  row: TenantRow,
  options: CloneOptions<Handle> & { readonly drainMs: number },
): Recipe {
  const { anonymise = context.anonymise } = options
  const hooks = { anonymise: anonymise || undefined, initialise: context.initialise }
  const separation = separationOf(context, source)
  return {
    fingerprint: source.fingerprint ?? context.fingerprint,
    isSeparate: separation !== undefined,
    create: async (server, admin, building) => {
      const isMade = await copy(context, source, { server, admin, building }, options)
      if (!isMade) return false
      try {
        // A database of that name may be another tenant's by now.
        await refuseUnlessSame(context, source)
        if (separation !== undefined) await inherit(context, separation, { server, admin, building }, source, row)
      } catch (error) {
        // What was refused leaves no copy of somebody's data.
        await server.drop(admin, building)
        throw error
      }
      return true
    },
    fill: async (server, admin, database) => {
      const run = async (login?: Login) => {
        const target = { server, database, login, tenant: publicTenant(row) }
        for (const [name, hook] of Object.entries(hooks) as [keyof typeof hooks, TenantHook<Handle> | undefined][]) {
          if (hook !== undefined) await runHook(context, name, hook, target, options)
        }
      }
      if (separation === undefined) return run()
      if (Object.values(hooks).every((hook) => hook === undefined)) return
      await withHelper(context, separation, { server, admin, database, rowId: row.rowId }, run)
    },
  }
}

/** Gives the role of the copy what the role of its source owns in it: large objects, which nobody else may read. */
async function inherit(
  { installation }: ProvisioningContext,
  separation: Separation,
  { server, admin, building }: Site,
  source: TenantRow,
  row: TenantRow,
): Promise<void> {
  const from = physicalNames.login(installation, source.rowId)
  if (!(await server.ownsAnything(admin, building, from))) return
  const login = newLogin(installation, separation, server, row.rowId)
  await admin.script(await server.roles.establish(login, separation.groups, building, 'disabled'))
  await server.reassignOwned(building, from, login.user)
}

/** A copy has a role of its own if its source has: what is in it belongs to the same roles, and is granted alike. */
function separationOf({ separation }: ProvisioningContext, { credential }: TenantRow) {
  return credential === undefined ? undefined : separation
}

interface Site {
  readonly server: Server
  readonly admin: Session
  readonly building: Identifier
}

/**
 * While CREATE DATABASE looks whether somebody is connected to what it copies (five seconds long), new connections wait
 * already: those that were there have to end, and each of our processes ends its own.
 */
async function copy(
  context: ProvisioningContext,
  source: TenantRow,
  { server, admin, building }: Site,
  { drainMs, signal }: { readonly drainMs: number; readonly signal?: AbortSignal | undefined },
): Promise<boolean> {
  const deadline = Date.now() + drainMs
  for (;;) {
    const left = Math.max(0, deadline - Date.now())
    await context.evict({ tenant: source.id, server: source.server, database: source.database }, left, { signal })
    try {
      const groups = await ensureGroups(separationOf(context, source), server, admin)
      return await createPrivate({ server, admin, database: building, template: source.database, groups })
    } catch (error) {
      if (!(error instanceof TenantryError)) throw error
      if (error.code === 'template-missing') await refuseUnlessThere(context, source, { server, admin })
      else if (error.code !== 'template-in-use') throw error
      else if (Date.now() >= deadline) throw inUseError(source, error)
    }
  }
}

/** The source may have been offboarded since it was looked up; if it was restored already, its database is there again. */
async function refuseUnlessThere(
  context: ProvisioningContext,
  source: TenantRow,
  { server, admin }: Omit<Site, 'building'>,
): Promise<void> {
  await refuseUnlessSame(context, source)
  const isThere = (await server.describe(admin, [source.database])).length > 0
  if (!isThere) throw missingError(source)
}

/** A row's random id is never given again: with it, what the catalog says is said of the same tenant. */
async function refuseUnlessSame({ catalog }: ProvisioningContext, source: TenantRow): Promise<void> {
  const now = await catalog.find(source.id)
  if (now?.rowId !== source.rowId) throw unknownTenant(source.id)
  if (!isCopyable(now)) throw stateError('clone', source.id, now.state)
}

function inUseError({ id, database }: TenantRow, cause: TenantryError): TenantryError {
  return new TenantryError('template-in-use', `Somebody stays connected to ${database}, so it cannot be copied.`, {
    cause: cause.cause,
    sqlState: cause.sqlState,
    tenant: id,
    hint: `Suspend ${id} while it is cloned, or allow more time (drainMs); pg_stat_activity shows who is connected.`,
  })
}
