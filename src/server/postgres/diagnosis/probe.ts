import { withSession } from '../../with-session.ts'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { untilAborted } from '../../../kernel/abort.ts'
import { TenantryError } from '../../../kernel/errors.ts'
import type { Identifier } from '../../../kernel/names.ts'
import { Secret } from '../../../kernel/secret.ts'
import type { DiagnosisRequest } from '../../diagnosis.ts'
import { Attempts } from './attempts.ts'
import type { ProbedFacts } from './facts.ts'
import type { ProbeConnections, ProbeContext } from './probe-context.ts'
import { dropScratchDatabase, probeDatabases, probeInside } from './probe-databases.ts'
import { dropScratchRoles, probeLogin, probeRoles } from './probe-roles.ts'
import { newScratch, removeScratch, type Scratch, type ScratchName } from './scratch.ts'

/** The findings of a probe, and the names that could not be removed again. */
export interface Probed {
  readonly facts: ProbedFacts
  readonly leftovers: readonly ScratchName[]
}

/** The time that aborted work has to end on the server, in milliseconds, before tidying up begins. */
const endingMs = 10_000

/** The time that a notification has to arrive, in milliseconds. */
const notificationMs = 5_000

/**
 * Tries Tenantry's operations, in names that are never used again, and removes all of it, also if the probe fails or is
 * aborted. The next probe removes the remains of a killed process.
 *
 * @param mayTryOwnPassword tries a wrong password of the connecting role, if there is no other login
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
    // The reason of its end is more useful than a later error; the next probe finds the remains.
    await tidyUp(connections, scratch).catch(() => undefined)
    throw error
  }
  await session.close()
  return { facts, leftovers: await tidyUp(connections, scratch) }
}

/**
 * Removes the remains, on a connection of its own, which no signal cancels; once no part of the probe is running any
 * more.
 */
async function tidyUp(connections: ProbeConnections, scratch: Scratch): Promise<readonly ScratchName[]> {
  return withSession(connections.connect(connections.maintenanceDatabase), async (session) => {
    await session.lock(scratch.lock, 'session', endingMs)
    return removeScratch(session, scratch, connections)
  })
}

async function tryAll(context: ProbeContext, mayTryOwnPassword: boolean): Promise<ProbedFacts> {
  const { attempts, request } = context
  await attempts.try('advisoryLocks', () => isLockExclusive(context))
  await attempts.try('notifications', () => isNotificationDelivered(context))
  if (request.roles === 'separate') await probeRoles(context)
  const hasDatabase = await probeDatabases(context)
  const refusedExtensions = hasDatabase ? await probeInside(context) : []
  const hasLogin = hasDatabase && attempts.capabilities.createLogin === true
  const isWrongPasswordAccepted =
    hasLogin || mayTryOwnPassword ? await acceptsWrongPassword(context, hasLogin) : undefined
  if (hasLogin) await probeLogin(context)
  if (hasDatabase) await dropScratchDatabase(context)
  if (attempts.capabilities.createRole) await dropScratchRoles(context)
  const { capabilities, refusals } = attempts
  return { capabilities, refusals, refusedExtensions, isWrongPasswordAccepted }
}

/** True if another session is refused the probe's own lock, which its session holds. */
async function isLockExclusive({ connections, scratch, request }: ProbeContext): Promise<boolean> {
  const { maintenanceDatabase } = connections
  return withSession(
    connections.connect(maintenanceDatabase, request),
    async (other) => !(await other.tryLock(scratch.lock, 'exclusive')),
  )
}

async function isNotificationDelivered({ connections, session, scratch, request }: ProbeContext): Promise<boolean> {
  const channel = `tenantry_probe_${scratch.run}`
  const delivery = Promise.withResolvers<boolean>()
  const listeners = { onMessage: () => delivery.resolve(true), onEnd: () => delivery.resolve(false) }
  return withSession(connections.listen(connections.maintenanceDatabase, channel, listeners), async () => {
    await session.query('select pg_notify($1, $2)', [channel, 'probe'])
    const limit = sleep(notificationMs, false, { ref: false })
    return untilAborted(Promise.race([delivery.promise, limit]), request.signal)
  })
}

/** Tries a wrong password, for the login of the probe or the connecting role. */
async function acceptsWrongPassword(
  { connections, scratch, session, request }: ProbeContext,
  hasLogin: boolean,
): Promise<boolean | undefined> {
  const user = hasLogin ? scratch.roles.login : (session.user as Identifier)
  const database = hasLogin ? scratch.databases.renamed : connections.maintenanceDatabase
  const password = new Secret(randomBytes(24).toString('base64url'))
  try {
    await withSession(connections.connectAs({ user, password }, database, request), async () => undefined)
    return true
  } catch (error) {
    if (!(error instanceof TenantryError) || error.code === 'aborted') throw error
    return error.code === 'authentication-failed' ? false : undefined
  }
}
