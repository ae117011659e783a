import { randomUUID } from 'node:crypto'
import { untilAborted } from '../../kernel/abort.ts'
import { explained, TenantryError } from '../../kernel/errors.ts'
import { type Identifier, parseTenantId, physicalNames } from '../../kernel/names.ts'
import { isInService, stateError } from '../../catalog/states.ts'
import { publicTenant, type Tenant, type TenantRow, unknownTenant } from '../../catalog/tenant.ts'
import type { Login } from '../../server/port.ts'
import { requireServer } from '../../server/require-server.ts'
import {
  emitChange,
  type MakingContext,
  type ProvisioningContext,
  type Separation,
  type TenantHook,
} from '../context.ts'
import { runHook } from '../hooks.ts'
import { existsError, refusedHint, refuseAnother } from './existing-tenant.ts'
import { makeTenant, type Recipe } from './make-tenant.ts'
import { underLock, type ServerSite } from '../locks/locked-work.ts'
import { withHelper } from '../roles/helper-login.ts'
import { createPrivate, ensureGroups, newLogin } from '../roles/separation.ts'
import { missingError, newName } from './tenant-names.ts'
import type { NewTenantOptions } from './tenant-options.ts'

/** Options of `clone`. */
export interface CloneOptions<Handle> extends NewTenantOptions {
  /**
   * Removes data from the copy that must not be in it, before the tenant is active. It runs again when the clone is
   * repeated after a failure, on a new copy. Default: that of the configuration; `false` for none.
   */
  readonly anonymise?: TenantHook<Handle> | false
  /** The time that queries and transactions under way on the source have, in milliseconds. */
  readonly drainMs?: number
  /** Treats an existing id as an outcome, or as the error `tenant-exists`. Default `allow`. */
  readonly existing?: 'allow' | 'refuse'
}

/** The result of cloning a tenant. */
export interface Cloned {
  readonly outcome: 'cloned' | 'already-exists'
  readonly tenant: Tenant
}

/**
 * Makes a new tenant with a copy of another one's database, on the same server. PostgreSQL copies a database only
 * without sessions in it. Every process closes its idle connections to the source; requests for new ones wait until the
 * copy is made. If a session stays until the deadline, only the new tenant's row is made, and no session is ended.
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
    // Checked before anything is written: a source that cannot be copied leaves no trace of the attempt.
    if (known === undefined && !isInService(source.state)) throw stateError('clone', from, source.state)
    const { row, isNew } = await locked.catalog.intend(
      { rowId, id: tenantId, database, displayName, metadata, ...placed },
      options,
    )
    if (isNew) emitChange(context, 'clone', row, { from: undefined, to: 'onboarding', since: locked.since })
    const isSame = row.origin === 'clone' && row.source === source.rowId
    refuseAnother('clone', row, { isSame, hint: `It is no clone of ${from}.` })
    if (isInService(row.state)) return existingClone(row, options)
    if (!isInService(source.state)) throw stateError('clone', from, source.state)
    const made = await makeTenant(context, locked, row, copyOf(context, source, row, { ...options, drainMs }), options)
    return { outcome: 'cloned', tenant: publicTenant(made) }
  })
}

function existingClone(row: TenantRow, { existing }: CloneOptions<never>): Cloned {
  if (existing === 'refuse') throw existsError(row, refusedHint)
  return { outcome: 'already-exists', tenant: publicTenant(row) }
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
      const isMade = await copySource(context, source, { server, admin, building }, options)
      if (!isMade) return false
      try {
        // A database of that name may be another tenant's by now.
        await refuseUnlessSame(context, source)
        if (separation !== undefined) await inherit(context, separation, { server, admin, building }, source, row)
      } catch (error) {
        // A refused clone leaves no copy of data.
        await server.databases.drop(admin, building)
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

/** Transfers objects of the source's role to the role of the copy: large objects, which no other role may read. */
async function inherit(
  { installation }: ProvisioningContext,
  separation: Separation,
  { server, admin, building }: CloneSite,
  source: TenantRow,
  row: TenantRow,
): Promise<void> {
  const from = physicalNames.login(installation, source.rowId)
  if (!(await server.roles.ownsAnything(admin, building, from))) return
  const login = newLogin(installation, separation, server, row.rowId)
  const { groups } = separation
  await server.apply(admin, [{ change: 'set-login', login, groups, database: building, mode: 'disabled' }])
  await server.roles.reassignOwned(building, from, login.user)
}

/**
 * Returns the separation of the copy. It has a role of its own if its source has: its objects belong to the same roles,
 * with the same grants.
 */
function separationOf({ separation }: ProvisioningContext, { credential }: TenantRow) {
  return credential === undefined ? undefined : separation
}

interface CloneSite extends ServerSite {
  readonly building: Identifier
}

/**
 * Copies the database. While CREATE DATABASE waits for the sessions of its source to end (five seconds long), new
 * connections already wait; each of our processes closes its own existing ones.
 */
async function copySource(
  context: ProvisioningContext,
  source: TenantRow,
  { server, admin, building }: CloneSite,
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

/**
 * Checks that the source's database exists. The source may have been offboarded since it was looked up; if it was
 * restored already, its database is back.
 */
async function refuseUnlessThere(
  context: ProvisioningContext,
  source: TenantRow,
  { server, admin }: ServerSite,
): Promise<void> {
  await refuseUnlessSame(context, source)
  const isThere = (await server.databases.describe(admin, [source.database])).length > 0
  if (!isThere) throw missingError(source)
}

/** Checks that the source is still the same tenant: a row's random id is never given again. */
async function refuseUnlessSame({ catalog }: ProvisioningContext, source: TenantRow): Promise<void> {
  const now = await catalog.find(source.id)
  if (now?.rowId !== source.rowId) throw unknownTenant(source.id)
  if (!isInService(now.state)) throw stateError('clone', source.id, now.state)
}

function inUseError({ id, database }: TenantRow, cause: TenantryError): TenantryError {
  return explained(cause, 'template-in-use', `The database ${database} still has sessions, so it cannot be copied.`, {
    tenant: id,
    hint: `Suspend ${id} while it is cloned, or allow more time (drainMs, --drain); pg_stat_activity shows the sessions.`,
  })
}
