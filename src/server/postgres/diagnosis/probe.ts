import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { untilAborted } from '../../../kernel/abort.ts'
import { TenantryError } from '../../../kernel/errors.ts'
import type { Identifier } from '../../../kernel/names.ts'
import { Secret } from '../../../kernel/secret.ts'
import type { DiagnosisRequest } from '../../diagnosis.ts'
import { Attempts } from './attempts.ts'
import type { ProbedFacts } from './facts.ts'
import { type ProbeConnections, type ProbeContext, within } from './probe-context.ts'
import { dropScratchDatabase, probeDatabases, probeInside } from './probe-databases.ts'
import { dropScratchRoles, probeLogin, probeRoles } from './probe-roles.ts'
import { newScratch, removeScratch, type Scratch, type ScratchName } from './scratch.ts'

/** What was found, and the names that could not be removed again. */
export interface Probed {
  readonly facts: ProbedFacts
  readonly leftovers: readonly ScratchName[]
}

/** How long what was broken off may still be at work on the server, in milliseconds, before tidying up begins. */
const endingMs = 10_000

/** How long a notification may take, in milliseconds. */
const hearingMs = 5_000

/**
 * Tries what Tenantry does, in names that are never used again, and removes all of it, also where the probe fails or is
 * aborted. What it leaves when its process is killed the next one finds.
 *
 * @param mayTryOwnPassword whether to try a wrong password of the connecting role, where there is no other login
 */
export async function probe(
  connections: ProbeConnections,
  request: DiagnosisRequest,
  mayTryOwnPassword: boolean,
): Promise<Probed> {
  const scratch = newScratch(request.installation)
  const login = { user: scratch.roles.login, password: new Secret(randomBytes(24).toString('base64url')) }
  const session = await connections.connect(connections.maintenanceDatabase, request)
  let facts: ProbedFacts
  try {
    await session.tryLock(scratch.lock, 'exclusive')
    const context = { connections, session, scratch, login, attempts: new Attempts(), request }
    facts = await tryAll(context, mayTryOwnPassword)
  } catch (error) {
    await session.close()
    // Why it ended says more than what else may go wrong now; what stays, the next probe finds.
    await tidyUp(connections, scratch).catch(() => undefined)
    throw error
  }
  await session.close()
  return { facts, leftovers: await tidyUp(connections, scratch) }
}

/** On a connection of its own, which no signal cancels; once nothing of the probe is at work any more. */
async function tidyUp(connections: ProbeConnections, scratch: Scratch): Promise<readonly ScratchName[]> {
  return within(connections.connect(connections.maintenanceDatabase), async (session) => {
    await session.lock(scratch.lock, 'session', endingMs)
    return removeScratch(session, scratch)
  })
}

async function tryAll(context: ProbeContext, mayTryOwnPassword: boolean): Promise<ProbedFacts> {
  const { attempts, request } = context
  await attempts.try('advisoryLocks', () => isLockExclusive(context))
  await attempts.try('notifications', () => isNotificationHeard(context))
  if (request.roles === 'separate') await probeRoles(context)
  const hasDatabase = await probeDatabases(context)
  const refusedExtensions = hasDatabase ? await probeInside(context) : []
  const hasLogin = hasDatabase && attempts.capabilities.createLogin === true
  const isWrongPasswordAccepted =
    hasLogin || mayTryOwnPassword ? await letsInWithWrongPassword(context, hasLogin) : undefined
  if (hasLogin) await probeLogin(context)
  if (hasDatabase) await dropScratchDatabase(context)
  if (attempts.capabilities.createRole) await dropScratchRoles(context)
  const { capabilities, refusals } = attempts
  return { capabilities, refusals, refusedExtensions, isWrongPasswordAccepted }
}

/** The probe's own lock is held by its session: another one must not get it. */
async function isLockExclusive({ connections, scratch, request }: ProbeContext): Promise<boolean> {
  const { maintenanceDatabase } = connections
  return within(
    connections.connect(maintenanceDatabase, request),
    async (other) => !(await other.tryLock(scratch.lock, 'exclusive')),
  )
}

async function isNotificationHeard({ connections, session, scratch, request }: ProbeContext): Promise<boolean> {
  const channel = `tenantry_probe_${scratch.run}`
  const heard = Promise.withResolvers<boolean>()
  const listeners = { onMessage: () => heard.resolve(true), onEnd: () => heard.resolve(false) }
  return within(connections.listen(connections.maintenanceDatabase, channel, listeners), async () => {
    await session.query('select pg_notify($1, $2)', [channel, 'probe'])
    const limit = sleep(hearingMs, false, { ref: false })
    return untilAborted(Promise.race([heard.promise, limit]), request.signal)
  })
}

/** The login of the probe, or the connecting role, with a password that nobody has. */
async function letsInWithWrongPassword(
  { connections, scratch, session, request }: ProbeContext,
  hasLogin: boolean,
): Promise<boolean | undefined> {
  const user = hasLogin ? scratch.roles.login : (session.user as Identifier)
  const database = hasLogin ? scratch.databases.renamed : connections.maintenanceDatabase
  const password = new Secret(randomBytes(24).toString('base64url'))
  try {
    await within(connections.connectAs({ user, password }, database, request), async () => undefined)
    return true
  } catch (error) {
    if (!(error instanceof TenantryError) || error.code === 'aborted') throw error
    return error.code === 'authentication-failed' ? false : undefined
  }
}
