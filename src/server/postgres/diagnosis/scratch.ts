import { randomBytes } from 'node:crypto'
import { TenantryError } from '../../../kernel/errors.ts'
import { type Identifier, type Installation, physicalNames } from '../../../kernel/names.ts'
import type { Session } from '../../port.ts'
import { dropDatabase } from '../drop-database.ts'
import { dropRole } from '../drop-role.ts'

/** The names of one probe. Each contains a random number, and is never used again. */
export interface Scratch {
  readonly installation: Installation
  readonly run: string
  /** The lock that is held while the probe is running, and the comment that marks its names as its own. */
  readonly lock: string
  readonly stamp: string
  readonly databases: Readonly<Record<'first' | 'copy' | 'renamed', Identifier>>
  readonly roles: Readonly<Record<'owner' | 'objects' | 'app' | 'login', Identifier>>
}

const runBytes = 12

/** Returns the names for another probe. */
export function newScratch(installation: Installation): Scratch {
  const run = randomBytes(runBytes).toString('hex')
  const name = (purpose: string) => physicalNames.probe(installation, run, purpose)
  return {
    installation,
    run,
    lock: `probe:${run}`,
    stamp: probeStamp(run),
    databases: { first: name('first'), copy: name('copy'), renamed: name('renamed') },
    roles: { owner: name('owner'), objects: name('objects'), app: name('app'), login: name('login') },
  }
}

function probeStamp(run: string): string {
  return JSON.stringify({ tenantry: 1, probe: run })
}

/** An object with the name of a probe. */
export interface ScratchName {
  readonly kind: 'database' | 'role'
  readonly name: Identifier
}

interface ScratchObject extends ScratchName {
  readonly run: string
  /** True if an object of the same run carries its stamp. */
  readonly isProven: boolean
}

/**
 * Finds the remains of probes that are no longer running. A running one holds an advisory lock, which every role can
 * see in every database, and which ends with its connection.
 */
async function findScratch(session: Session, installation: Installation): Promise<readonly ScratchObject[]> {
  const pattern = `^${physicalNames.probePrefix(installation)}([0-9a-f]{${2 * runBytes}})_[a-z]+$`
  const { rows } = await session.query<ScratchObject>(scratchSql, [pattern, probeStamp('*')])
  return rows
}

const scratchSql = `
  with object as (
    select 'database' as kind, d.datname::text as name, c.description as comment
    from pg_catalog.pg_database d left join pg_catalog.pg_shdescription c
      on c.objoid = d.oid and c.classoid = 'pg_catalog.pg_database'::regclass
    union all
    select 'role', r.rolname::text, c.description
    from pg_catalog.pg_roles r left join pg_catalog.pg_shdescription c
      on c.objoid = r.oid and c.classoid = 'pg_catalog.pg_authid'::regclass
  ), scratch as (
    select kind, name, comment, (regexp_match(name, $1))[1] as run from object where name ~ $1
  )
  select kind, name, run,
         bool_or(coalesce(comment = replace($2, '*', run), false)) over (partition by run) as "isProven"
  from scratch
  where not exists (
    select from pg_catalog.pg_locks l
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('tenantry:probe:' || run, 0))
  order by kind, name`

/** Returns the names that probes have left. */
export async function leftoversOf(session: Session, installation: Installation): Promise<readonly ScratchName[]> {
  return (await findScratch(session, installation)).map(({ kind, name }) => ({ kind, name }))
}

/** Removes remains that are proven to be of earlier probes. @returns the names that stay */
export async function removeProbes(
  session: Session,
  installation: Installation,
  connections: Connections,
): Promise<readonly ScratchName[]> {
  const objects = (await findScratch(session, installation)).filter(({ isProven }) => isProven)
  const named = (kind: string) => objects.filter((it) => it.kind === kind).map(({ name }) => name)
  const names = { installation, databases: named('database'), roles: named('role') }
  await dropScratch(session, names, connections)
  return leftoversOf(session, installation)
}

/** Removes everything of a probe. @returns the names that stay */
export async function removeScratch(
  session: Session,
  { installation, databases, roles }: Scratch,
  connections: Connections,
): Promise<readonly ScratchName[]> {
  const names = { installation, databases: Object.values(databases), roles: Object.values(roles) }
  await dropScratch(session, names, connections)
  const { rows } = await session.query<ScratchName>(
    `select 'database' as kind, datname::text as name from pg_catalog.pg_database where datname = any($1)
     union all select 'role', rolname from pg_catalog.pg_roles where rolname = any($1)`,
    [[...names.databases, ...names.roles]],
  )
  return rows
}

/**
 * Drops databases before the roles that own them, and last the role that carries the stamp: it proves the origin of the
 * others.
 */
async function dropScratch(
  session: Session,
  { installation, databases, roles }: ScratchNames,
  connections: Connections,
): Promise<void> {
  const isStamped = (role: Identifier) => role.endsWith('_owner')
  for (const name of databases) await dropDatabase(session, name).catch(refusedAsUndefined)
  for (const role of [...roles.filter((name) => !isStamped(name)), ...roles.filter(isStamped)]) {
    await dropProbeRole(session, installation, role, connections).catch(refusedAsUndefined)
  }
}

interface Connections {
  connect(database: Identifier): Promise<Session>
}

interface ScratchNames {
  readonly installation: Installation
  readonly databases: readonly Identifier[]
  readonly roles: readonly Identifier[]
}

/**
 * Drops a role of a probe, with privileges that tenants have granted it meanwhile.
 *
 * @returns false if it stays, since it may connect to a database
 */
export function dropProbeRole(
  session: Session,
  installation: Installation,
  role: Identifier,
  connections: Connections,
): Promise<boolean> {
  const tenants = { rolePrefix: physicalNames.loginPrefix(installation), group: physicalNames.app(installation) }
  const connect = (database: Identifier) => connections.connect(database)
  return dropRole(session, role, { heir: () => undefined }, { connect, tenants })
}

/** Ignores a refusal. The look afterwards finds the remaining names; another process may be tidying up, too. */
function refusedAsUndefined(error: unknown): undefined {
  const codes: readonly string[] = ['permission-denied', 'query-failed', 'timeout']
  if (error instanceof TenantryError && codes.includes(error.code)) return undefined
  throw error
}
