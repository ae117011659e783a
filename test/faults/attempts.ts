import type { Reconciled } from 'tenantry'
import { answerTo, type Opened } from './calls.ts'
import { violationsIn } from './invariants.ts'
import type { Arranged, VerbCase } from './verb-cases.ts'
import type { World } from './world.ts'

// The steps after a fault: another process reconciles, and the result is compared with the acknowledged calls.

/**
 * The time limit of every step, in milliseconds. A process that is stopped while one of its connections logs in delays
 * every DROP DATABASE until PostgreSQL's authentication_timeout, a minute, and keeps its locks for that long.
 */
const patienceMs = 120_000

/** Fails after so long that the work must have got stuck. */
export async function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`${what}: nothing for ${patienceMs} ms.`)), patienceMs)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Reconciles twice: the second time must change nothing, and find nothing left.
 *
 * @param isMeddledWith true if there is a problem that only a person can decide on
 * @returns the violations
 */
export async function settled(world: World, tenantry: Opened, isMeddledWith = false): Promise<string[]> {
  const { findings } = await tenantry.servers.reconcile()
  const wrong = findings
    .filter(({ outcome }) => outcome === 'failed' || outcome === 'busy')
    .map((finding) => `reconcile ${finding.outcome}: ${finding.what} ${finding.error?.message ?? ''}`)
  const before = await world.snapshot()
  const again = await reconciled(tenantry)
  for (const { outcome, what } of again) {
    if (outcome !== 'left') wrong.push(`reconciled twice, it was ${outcome}: ${what}`)
  }
  const unsettled = again.filter((finding) => !isMeddledWith && !isToBeAdopted(finding))
  wrong.push(...unsettled.map(({ kind, what }) => `it is not settled, but ${kind}: ${what}`))
  if ((await world.snapshot()) !== before) wrong.push('reconciling twice changed something')
  if (!isMeddledWith) wrong.push(...(await notServed(world, tenantry)))
  return [...wrong, ...(await violationsIn(world, again))]
}

/** Every active tenant can be worked on: the catalog's password is its role's, or one of the two that are tried. */
async function notServed(world: World, tenantry: Opened): Promise<string[]> {
  const wrong: string[] = []
  for (const { id, state } of await world.tenants()) {
    if (state !== 'active') continue
    const { code, message } = await answerTo(tenantry, { verb: 'work', id })
    if (code !== undefined) wrong.push(`${id} is active, and work on it failed with ${code}: ${message}`)
  }
  return wrong
}

/** True for a database that was to be adopted, and belongs to its former owner again. */
function isToBeAdopted({ kind, tenant, database }: Reconciled): boolean {
  return kind === 'foreign' && tenant === undefined && database?.includes('_was_') === true
}

export async function reconciled(tenantry: Opened): Promise<readonly Reconciled[]> {
  return (await tenantry.servers.reconcile()).findings
}

/** Repeats the interrupted call, which must succeed. @returns the violations */
export async function repeated(world: World, tenantry: Opened, arranged: Arranged): Promise<string[]> {
  const { outcome, code, message } = await answerTo(tenantry, arranged.call)
  if (outcome === undefined) return [`repeated, it failed with ${code}: ${message}`]
  const wrong = arranged.outcomes.includes(outcome) ? [] : [`repeated, it said ${outcome}`]
  for (const [tenant, standing] of Object.entries(arranged.after)) {
    await world.acknowledged(tenant)
    const now = (await world.tenant(tenant))?.state ?? 'none'
    if (now !== standing) wrong.push(`repeated, it left ${tenant} ${now}, not ${standing}`)
    if (arranged.call.verb === 'roll-out') wrong.push(...(await notAtVersion(tenantry, tenant)))
  }
  return wrong
}

/** The tenant has the version of the process, in the catalog and in its database. */
async function notAtVersion(tenantry: Opened, id: string): Promise<string[]> {
  const { outcome } = await tenantry.tenants.check(id, { exact: true })
  const { versions } = await tenantry.status()
  const current = versions.find((it) => it.current)?.number
  const version = (await tenantry.tenants.get(id))?.version
  return [
    ...(outcome === 'matches' ? [] : [`rolled out, ${id} ${outcome}`]),
    ...(version === current ? [] : [`rolled out, ${id} has version ${version}, not ${current}`]),
  ]
}

/** Removes everything that an attempt has made, so that the next begins with as much as the first. */
export async function tidied(world: World, tenantry: Opened): Promise<void> {
  for (const { id, state } of await world.tenants()) {
    if (state === 'active' || state === 'suspended') await answerTo(tenantry, { verb: 'offboard', id })
    await answerTo(tenantry, { verb: 'purge', id })
  }
  for (const { name, comment } of await world.databases()) if (comment === null) await world.dropDatabase(name)
  for (const id of world.ledger.all.keys()) world.ledger.forget(id)
}

/**
 * Makes the call once, so that objects that are made only the first time, such as a template, exist for every attempt.
 */
export async function warmed(verb: VerbCase, world: World, tenantry: Opened): Promise<void> {
  const { call, opening } = await verb.arrange(world, tenantry, 'warm')
  await world.within((first) => world.do(first, call), opening)
  await tidied(world, tenantry)
}

/** Returns the beginning of a statement, on one line. */
export function inShort(statement: string): string {
  return statement.trim().replaceAll(/\s+/g, ' ').slice(0, 80)
}
