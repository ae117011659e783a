import { randomUUID } from 'node:crypto'
import { type Cancellable, untilAborted } from '../../kernel/abort.ts'
import { explained, TenantryError } from '../../kernel/errors.ts'
import { type Identifier, parseTenantId, physicalNames, type TenantId } from '../../kernel/names.ts'
import { Stopwatch } from '../../kernel/stopwatch.ts'
import type { Claimed } from '../../catalog/claim.ts'
import { stateError } from '../../catalog/states.ts'
import { publicTenant, type Tenant, type TenantRow } from '../../catalog/tenant.ts'
import type { Server, Session } from '../../server/port.ts'
import { withSession } from '../../server/with-session.ts'
import { writeStamp } from '../../server/stamp.ts'
import { emitChange, type MakingContext, type ProvisioningContext } from '../context.ts'
import { runHook } from '../hooks.ts'
import { existsError, refusedHint, refuseAnother } from './existing-tenant.ts'
import { type LockedWork, underLock } from '../locks/locked-work.ts'
import { isNameTaken, makeTenant, type Recipe } from './make-tenant.ts'
import { useSpare } from '../templates/spare.ts'
import { copyTemplate } from '../templates/template.ts'
import { newName } from './tenant-names.ts'
import { type OnboardOptions, placeNewTenant } from './tenant-options.ts'

/** The result of onboarding a tenant. */
export interface Onboarded {
  /** `onboarded` by this very call, or existing already; then display name, metadata and server are unchanged. */
  readonly outcome: 'onboarded' | 'already-exists'
  readonly tenant: Tenant
  /**
   * The source of the tenant's database in this call: a spare, a copy of the template, or a copy of a template that had
   * to be built first. Undefined if this call made none, even if it finished an interrupted one.
   */
  readonly path: OnboardingPath | undefined
  /** The time of each part of this call, in milliseconds. The parts depend on the path. */
  readonly durations: Readonly<Record<string, number>>
}

/** The source of a new tenant's database. */
export type OnboardingPath = 'spare' | 'clone' | 'build'

type Wanted = ReturnType<typeof placeNewTenant>

/** One call of {@link onboard}. */
interface Call<Handle> {
  readonly context: MakingContext<Handle>
  readonly id: TenantId
  readonly wanted: Wanted
  readonly options: OnboardOptions
  readonly watch: Stopwatch
  /** True if the claim found no spare on the catalog's server. */
  hasNoSpare: boolean
}

/**
 * Makes a tenant: a row in the catalog and a database that matches the models. If a spare is ready on the catalog's
 * server, that is one transaction of one statement. Otherwise the slow path is taken: under the tenant's lock, a row
 * first, then the database, from a spare, a copy of the template, or a new template.
 */
export async function onboard<Handle>(
  context: MakingContext<Handle>,
  id: string,
  options: OnboardOptions,
): Promise<Onboarded> {
  const tenantId = parseTenantId(id)
  const wanted = placeNewTenant(options, [...context.servers.keys()])
  return context.onboarding.track(async () => {
    const call: Call<Handle> = { context, id: tenantId, wanted, options, watch: new Stopwatch(), hasNoSpare: false }
    return (await takeFastPath(call)) ?? (await makeWithoutSpare(call))
  })
}

/** Takes the fast path; undefined if it is not possible, and nothing was made. */
async function takeFastPath<Handle>(call: Call<Handle>): Promise<Onboarded | undefined> {
  const { context, id, watch } = call
  const since = performance.now()
  // `initialise` has to run before the tenant is active, and so before a claim.
  const claimed = context.initialise === undefined ? await claimAnySpare(call) : await lookForTenant(call)
  watch.lap('claim')
  if (claimed.outcome === 'exists' && claimed.row.state !== 'onboarding') return existingTenant(call, claimed.row)
  call.hasNoSpare = claimed.outcome === 'no-spare' && context.initialise === undefined
  if (claimed.outcome !== 'claimed') return undefined
  emitChange(context, 'onboard', claimed.row, { from: undefined, to: 'active', since })
  const { server } = claimed.row
  context.emit({ event: 'tenant-claimed', tenant: id, server, durationMs: performance.now() - since })
  return onboarded(call, claimed.row, 'spare')
}

async function claimAnySpare<Handle>({ context, id, wanted, options }: Call<Handle>): Promise<Claimed> {
  const { inventory, home, fingerprint, installation, naming } = context
  const claiming = inventory.claim(
    {
      ...wanted,
      id,
      home: home.name,
      fingerprint,
      database: naming === 'opaque' ? undefined : physicalNames.tenant(installation, id),
      opaquePrefix: physicalNames.opaquePrefix(installation),
    },
    options,
  )
  try {
    return await untilAborted(claiming, options.signal)
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error
    throw error.code === 'permission-denied'
      ? await onboardDeniedError(error, context, id, options)
      : error.forTenant(id)
  }
}

/** Finds the missing privilege, rather than reading it from a message that may be in any language. */
async function onboardDeniedError(
  error: TenantryError,
  context: ProvisioningContext,
  tenant: TenantId,
  options: Cancellable,
): Promise<TenantryError> {
  const { home } = context
  return withSession(context.connect(home, options), async (session) => {
    const grants = await home.databases.missingToCreate(session)
    const hint =
      grants.length > 0
        ? `As a superuser, or a role that may grant it: ${grants.join(' ')}`
        : 'The spare belongs to another role: let all processes of the installation connect as one role.'
    return explained(error, 'permission-denied', error.message, { tenant, hint })
  })
}

async function lookForTenant<Handle>({ context, id, options }: Call<Handle>): Promise<Claimed> {
  const row = await untilAborted(context.catalog.find(id), options.signal)
  return row === undefined ? { outcome: 'no-spare' } : { outcome: 'exists', row }
}

/** Takes the slow path: a row first, then the database. */
function makeWithoutSpare<Handle>(call: Call<Handle>): Promise<Onboarded> {
  const { context, id, wanted, options, watch } = call
  return underLock(context, id, options, async (locked) => {
    watch.lap('lock')
    const rowId = randomUUID()
    const database = newName(context, id, rowId)
    // CREATE DATABASE on the same server waits for the disk.
    const isFollowed = context.servers.size === 1
    const tenant = { rowId, id, database, origin: 'models', ...wanted } as const
    const { row, isNew } = await locked.catalog.intend(tenant, options, { isFollowed })
    watch.lap('intend')
    if (isNew) emitChange(context, 'onboard', row, { from: undefined, to: 'onboarding', since: locked.since })
    if (row.state !== 'onboarding') return existingTenant(call, row)
    if (row.origin !== 'models') throw stateError('onboard', id, row.state)
    const recipe = new FromInventory(call, locked, row)
    const made = await makeTenant(context, locked, row, recipe, options)
    watch.lap('activate')
    return onboarded(call, made, recipe.path)
  })
}

function onboarded<Handle>({ watch }: Call<Handle>, row: TenantRow, path: OnboardingPath | undefined): Onboarded {
  return { outcome: 'onboarded', tenant: publicTenant(row), path, durations: watch.parts }
}

/** Returns the outcome for an existing id, even of a suspended tenant; an id that is only reserved is an error. */
function existingTenant<Handle>({ options, watch }: Call<Handle>, row: TenantRow): Onboarded {
  refuseAnother('onboard', row, { isSame: true, hint: refusedHint })
  if (options.existing === 'refuse') throw existsError(row, refusedHint)
  return { outcome: 'already-exists', tenant: publicTenant(row), path: undefined, durations: watch.parts }
}

/** Makes a tenant's database from the inventory: a spare, or else a copy of the template. */
class FromInventory<Handle> implements Recipe {
  readonly fingerprint: string
  readonly isSeparate: boolean
  path: OnboardingPath | undefined
  readonly #call: Call<Handle>
  readonly #locked: LockedWork
  readonly #row: TenantRow

  constructor(call: Call<Handle>, locked: LockedWork, row: TenantRow) {
    this.fingerprint = call.context.fingerprint
    this.isSeparate = call.context.separation !== undefined
    this.#call = call
    this.#locked = locked
    this.#row = row
  }

  async create(server: Server, admin: Session, building: Identifier): Promise<boolean> {
    const { context, options, watch, hasNoSpare } = this.#call
    const isKnownEmpty = hasNoSpare && server === context.home
    try {
      if (
        !isKnownEmpty &&
        (await useSpare(context, { locked: this.#locked, server, admin }, this.#row.rowId, this.#stamp()))
      ) {
        this.path = 'spare'
        watch.lap('spare')
        return true
      }
    } catch (error) {
      // An interrupted call left a database under the building name.
      if (isNameTaken(error)) return false
      throw error
    }
    const { isMade, wasBuilt } = await copyTemplate(context, { server, admin, database: building }, options)
    this.path = wasBuilt ? 'build' : 'clone'
    watch.lap(this.path)
    return isMade
  }

  /** Completes the database. Its content so far is the service's own: no code there would misuse the session. */
  async fill(server: Server, _admin: Session, database: Identifier): Promise<void> {
    const { context, options, watch } = this.#call
    const { initialise, separation } = context
    if (initialise === undefined) return
    const place = { server, database, role: separation?.groups.objects }
    await runHook(context, 'initialise', initialise, { ...place, tenant: publicTenant(this.#row) }, options)
    watch.lap('initialise')
  }

  #stamp(): string {
    const { installationId, fingerprint } = this.#call.context
    return writeStamp({ installation: installationId, kind: 'building', row: this.#row.rowId, fingerprint })
  }
}
