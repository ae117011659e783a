import { TenantryError } from '../../kernel/errors.ts'
import type { Version } from '../../catalog/versions.ts'
import type { MakingContext, ProvisioningContext } from '../context.ts'
import { onScratchCopy } from '../templates/scratch-copy.ts'
import { isReadOnline, proveOnline, withoutForms } from './prove-online.ts'
import { proveSteps, trySteps } from './trial.ts'
import type { PlannedStep, PlannedVersion, PlanOptions, RolloutPlan } from './plan.ts'

/** Plans the way from each older version that tenants have to the desired one. */
export async function planRollout<Handle>(context: MakingContext<Handle>, options: PlanOptions): Promise<RolloutPlan> {
  const to = await desiredHere(context)
  const older = await olderVersions(context, options)
  if (options.steps !== undefined && older.length > 1) {
    throw new TenantryError('invalid-option', 'steps is for one older version, and tenants have several.', {
      hint: `Give one by from: ${older.map(({ number }) => number).join(', ')}.`,
    })
  }
  const from: PlannedVersion[] = []
  for (const version of older) from.push(await planVersion(context, version, options))
  return { format: 1, installation: context.installationId, to, from }
}

/** Returns this process's version. @throws `not-desired` if another one is the desired version */
export async function desiredHere({ catalog, fingerprint }: ProvisioningContext): Promise<Version> {
  const { desired } = await catalog.heads()
  if (desired?.fingerprint === fingerprint) return desired
  const number = desired === undefined ? 'none' : `version ${desired.number}`
  throw new TenantryError(
    'not-desired',
    `The models of this process are not the desired version, which is ${number}.`,
    {
      hint: 'Plan and start rollouts with the code of the desired version, or make this one desired first: "tenantry set-desired".',
    },
  )
}

type OlderVersion = Version & Pick<PlannedVersion, 'tenants'>

/** Returns the versions before the desired one that tenants in service have, the oldest first. */
async function olderVersions(
  { catalog }: ProvisioningContext,
  { from }: PlanOptions,
): Promise<readonly OlderVersion[]> {
  const versions = new Map<string, Version & { tenants: Record<string, number>; rank: number }>()
  for (const { server, state, isBehind, version, fingerprint, rank, tenants } of await catalog.count()) {
    const isConcerned = isBehind && (state === 'active' || state === 'suspended')
    if (!isConcerned || fingerprint === undefined || version === undefined || rank === undefined) continue
    if (from !== undefined && version !== from) continue
    const known = versions.get(fingerprint) ?? { number: version, fingerprint, tenants: {}, rank }
    known.tenants[server] = (known.tenants[server] ?? 0) + tenants
    versions.set(fingerprint, known)
  }
  return [...versions.values()].toSorted((a, b) => a.rank - b.rank).map(({ rank: _, ...version }) => version)
}

async function planVersion<Handle>(
  context: MakingContext<Handle>,
  version: OlderVersion,
  options: PlanOptions,
): Promise<PlannedVersion> {
  const { fingerprint, number } = version
  const found = await onScratchCopy(context, fingerprint, options, (server, session) =>
    trySteps(context, { server, session }, options),
  )
  if (found === undefined) throw templateGoneError(number)
  const isWhole = found.left.length === 0
  const left = isWhole ? await proveAgain(context, version, found.steps, options) : found.left
  const steps = left.length === 0 ? await proveForms(context, version, found.steps, options) : withoutForms(found.steps)
  return { ...version, ...found, left, steps }
}

/**
 * Runs the steps of a plan on another scratch copy as they will run in the tenants' databases: in one transaction. Each ran
 * in one of its own while they were planned.
 */
async function proveAgain<Handle>(
  context: MakingContext<Handle>,
  { fingerprint, number }: Version,
  steps: readonly PlannedStep[],
  options: PlanOptions,
): Promise<readonly string[]> {
  const left = await onScratchCopy(context, fingerprint, options, (server, session) =>
    proveSteps(context, { server, session }, steps, options),
  )
  if (left === undefined) throw templateGoneError(number)
  return left
}

/** Tries the online forms on a further scratch copy, if one of them is of use. */
async function proveForms<Handle>(
  context: MakingContext<Handle>,
  { fingerprint, number }: Version,
  steps: readonly PlannedStep[],
  options: PlanOptions,
): Promise<readonly PlannedStep[]> {
  if (!steps.some(isReadOnline)) return withoutForms(steps)
  const proved = await onScratchCopy(context, fingerprint, options, (server, session) =>
    proveOnline(context, { server, session }, steps, options),
  )
  if (proved === undefined) throw templateGoneError(number)
  return proved
}

function templateGoneError(number: number): TenantryError {
  return new TenantryError('version-unknown', `No server has the template of version ${number} any more.`, {
    hint: 'A process of that version makes it anew when it onboards a tenant, or keeps spares.',
  })
}
