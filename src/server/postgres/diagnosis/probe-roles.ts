import { withSession } from '../../with-session.ts'
import { poll } from '../../../kernel/abort.ts'
import { TenantryError } from '../../../kernel/errors.ts'
import type { Session } from '../../port.ts'
import { quoteIdentifier as quote, quoteLiteral } from '../quoting.ts'
import { dependentObjects } from '../drop-role.ts'
import { scramVerifier } from '../scram.ts'
import { inRole, rolledBack } from '../sessions.ts'
import { holds, type ProbeContext } from './probe-context.ts'
import { dropProbeRole } from './scratch.ts'

/** The time that a session has to end, in milliseconds. */
const endingMs = 5_000

/** Makes the roles of an installation, and a login like a tenant's. */
export async function probeRoles(context: ProbeContext): Promise<void> {
  const { attempts, session, scratch, login } = context
  const { owner, objects, app } = scratch.roles
  const isCreated = await attempts.try('createRole', () =>
    session.script([
      `create role ${quote(owner)}`,
      `comment on role ${quote(owner)} is ${quoteLiteral(scratch.stamp)}`,
      `create role ${quote(objects)}`,
      `create role ${quote(app)}`,
    ]),
  )
  if (!isCreated) return
  await attempts.try('joinRoles', () => join(context))
  await attempts.try('createLogin', async () => {
    const verifier = quoteLiteral(await scramVerifier(login.password))
    await session.query(`create role ${quote(login.user)} login password ${verifier} in role ${quote(app)}`)
    const sql = `select pg_has_role($1::name, $2::name, 'member') as holds`
    return holds(session, sql, [login.user, app])
  })
}

/**
 * Joins the roles. A membership may exist without its privileges, and from version 16 on without the right to act as
 * the role.
 */
async function join({ session, scratch }: ProbeContext): Promise<boolean> {
  const { owner, objects } = scratch.roles
  await session.query(`grant ${quote(owner)}, ${quote(objects)} to current_user`)
  await rolledBack(session, () => session.query(`set local role ${quote(objects)}`))
  const sql = `select pg_has_role($1::name, 'usage') and pg_has_role($2::name, 'usage') as holds`
  return holds(session, sql, [owner, objects])
}

/** Logs in as a tenant would, and has that session ended. */
export async function probeLogin({ attempts, connections, session, scratch, login, request }: ProbeContext) {
  const connecting = connections.connectAs(login, scratch.databases.renamed, request)
  const mayLogIn = await attempts.try('logIn', () => connecting)
  if (mayLogIn) {
    await withSession(connecting, async (tenant) => {
      const { rows } = await tenant.query<{ pid: number }>('select pg_backend_pid() as pid')
      const { pid } = rows[0] as { pid: number }
      if (await attempts.try('endSessions', () => end(session, pid))) return
      await attempts.try('endSessionsAsMember', async () => {
        await inRole(session, login.user, () => session.query('select pg_terminate_backend($1)', [pid]))
        return isGone(session, pid)
      })
    })
  }
  await attempts.try('disableLogin', async () => {
    await session.query(`alter role ${quote(login.user)} nologin`)
    const sql = 'select not rolcanlogin as holds from pg_catalog.pg_roles where rolname = $1'
    return holds(session, sql, [login.user])
  })
}

async function end(session: Session, pid: number): Promise<boolean> {
  await session.query('select pg_terminate_backend($1)', [pid])
  return isGone(session, pid)
}

async function isGone(session: Session, pid: number): Promise<boolean> {
  const sql = 'select count(*) = 0 as holds from pg_catalog.pg_stat_activity where pid = $1'
  const gone = await poll(async () => (await holds(session, sql, [pid])) || undefined, endingMs, undefined)
  return gone === true
}

/** Drops the roles, after their databases. One that a tenant grants privileges again and again counts as dropped. */
export async function dropScratchRoles({ attempts, connections, session, scratch }: ProbeContext): Promise<void> {
  const { login, objects, app, owner } = scratch.roles
  const names = [...(attempts.capabilities.createLogin ? [login] : []), objects, app, owner]
  await attempts.try('dropRole', async () => {
    for (const name of names) {
      await dropProbeRole(session, scratch.installation, name, connections).catch((error: unknown) => {
        if (!(error instanceof TenantryError) || error.sqlState !== dependentObjects) throw error
      })
    }
  })
}
