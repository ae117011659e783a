import type { Reconciled } from 'tenantry'
import type { Evidence } from './evidence.ts'
import { markOf, marksIn } from './ledger.ts'
import type { PhysicalDatabase, TenantRecord } from './records.ts'
import { rolesFit } from './role-invariants.ts'
import type { World } from './world.ts'

type Invariant = (evidence: Evidence) => string[] | Promise<string[]>

/** The invariants after every fault, once `reconcile` has run and no process is working. */
const invariants: readonly Invariant[] = [
  oneDatabaseEach,
  everyDatabaseIsAccountedFor,
  inventoryIsSealed,
  acknowledgedIsThere,
  noneTwice,
  rolesFit,
]

/** Returns all violations, each in a sentence. */
export async function violationsIn(world: World, findings: readonly Reconciled[]): Promise<string[]> {
  const [tenants, inventory, databases] = [await world.tenants(), await world.inventory(), await world.databases()]
  const evidence = { world, tenants, inventory, databases, findings }
  const found: string[] = []
  for (const invariant of invariants) found.push(...(await invariant(evidence)))
  return found
}

const stampPattern = /^\{"tenantry":1,.*"kind":"(?<kind>\w+)","row":"(?<row>[0-9a-f-]{36})"/

/** Reads a stamp as the server has it. */
function stampOn({ comment }: PhysicalDatabase): { kind: string; row: string } | undefined {
  const groups = stampPattern.exec(comment ?? '')?.groups
  return groups && { kind: groups['kind'] as string, row: groups['row'] as string }
}

function isReported({ findings }: Evidence, what: { readonly tenant?: string; readonly database?: string }): boolean {
  return findings.some(
    ({ tenant, database }) =>
      (what.tenant !== undefined && tenant === what.tenant) ||
      (what.database !== undefined && database === what.database),
  )
}

/** A settled tenant has one database, open, with its name or archived, and stamped as its own. */
function oneDatabaseEach(evidence: Evidence): string[] {
  const { tenants, databases, world } = evidence
  return tenants.flatMap((tenant) => {
    const { id, rowId, state } = tenant
    if (isReported(evidence, { tenant: id })) return []
    if (state === 'onboarding' || state === 'purging') return [`${id} is still ${state}`]
    const own = databases.filter((database) => stampOn(database)?.row === rowId)
    const [only] = own
    if (only === undefined || own.length > 1) return [`${id} is ${state} and has ${own.length} databases`]
    const name = state === 'offboarded' ? `${world.installation}_off_${rowId.replaceAll('-', '')}` : tenant.database
    const wrong: string[] = []
    if (only.name !== name) wrong.push(`the database of ${id}, which is ${state}, is called ${only.name}`)
    if (stampOn(only)?.kind !== 'tenant') wrong.push(`the database of ${id} is stamped as ${stampOn(only)?.kind}`)
    if (!only.isOpen || only.isTemplate) wrong.push(`the database of ${id} is closed or a template`)
    return wrong
  })
}

/** Every database with one of our names is a row's, or reported. */
function everyDatabaseIsAccountedFor(evidence: Evidence): string[] {
  const rows = new Set([...evidence.tenants, ...evidence.inventory].map(({ rowId }) => rowId))
  return evidence.databases
    .filter((database) => !rows.has(stampOn(database)?.row ?? ''))
    .filter(({ name }) => !isReported(evidence, { database: name }))
    .map(({ name }) => `${name} is nobody's, and not reported`)
}

/** Templates and spares are ready and closed; no unfinished one is left. */
function inventoryIsSealed(evidence: Evidence): string[] {
  const { inventory, databases } = evidence
  return inventory.flatMap(({ kind, rowId, state }) => {
    const own = databases.filter((database) => stampOn(database)?.row === rowId)
    const [only] = own
    if (only !== undefined && isReported(evidence, { database: only.name })) return []
    if (state !== 'ready') return [`a ${kind} is still ${state}`]
    if (only === undefined || own.length > 1) return [`a ${kind} has ${own.length} databases`]
    const isSealed = !only.isOpen && only.isTemplate === (kind === 'template') && stampOn(only)?.kind === kind
    return isSealed ? [] : [`the ${kind} ${only.name} is not sealed`]
  })
}

/** An acknowledged tenant is unchanged, in the same database, with its data; a refused one left nothing. */
async function acknowledgedIsThere({ world, tenants, databases }: Evidence): Promise<string[]> {
  const wrong = world.ledger.takeViolations()
  for (const { id } of tenants) if (!world.ledger.all.has(id)) wrong.push(`nobody asked for ${id}`)
  for (const [id, expected] of world.ledger.all) {
    const row = tenants.find((it) => it.id === id)
    const standing = row?.state ?? 'none'
    if (!expected.standings.includes(standing)) {
      wrong.push(`${id} is ${standing}, not ${expected.standings.join(' or ')}`)
    }
    if (row === undefined || expected.oid === undefined || row.rowId !== expected.rowId) continue
    const database = databases.find(({ oid }) => oid === expected.oid)
    if (database === undefined) {
      wrong.push(`the database of ${id} was lost`)
      continue
    }
    if (!database.isInvalid) wrong.push(...marksAmiss(row, expected.marks, await marksIn(world, database.name)))
  }
  return wrong
}

/** The last row may be there without having been acknowledged. */
function marksAmiss(row: TenantRecord, expected: readonly string[], found: readonly string[]): string[] {
  const lost = expected.filter((mark) => !found.includes(mark))
  const strange = found.filter((mark) => !expected.includes(mark) && mark !== markOf(row))
  return [
    ...lost.map((mark) => `${row.id} has lost the row "${mark}"`),
    ...strange.map((mark) => `${row.id} has the row "${mark}" of another`),
  ]
}

/** No two rows point to one database. */
function noneTwice({ tenants, databases }: Evidence): string[] {
  const names = tenants.map(({ database }) => database)
  const doubles = names.filter((name, place) => names.indexOf(name) !== place)
  const rows = databases.map((database) => stampOn(database)?.row).filter((row) => row !== undefined)
  const shared = rows.filter((row, place) => rows.indexOf(row) !== place)
  return [
    ...doubles.map((name) => `two tenants have the database ${name}`),
    ...shared.map((row) => `two databases bear the stamp of ${row}`),
  ]
}
