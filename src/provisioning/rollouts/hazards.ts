import type { Observation } from '../../server/observation.ts'
import { named } from '../../structure/comparison.ts'
import { rowCountQuery } from '../../structure/row-counts.ts'
import { columnClauses, enumLabels } from '../../structure/repair.ts'
import { keyOf, type Structure, type StructureKind, type StructureObject } from '../../structure/structure-object.ts'

/** The kinds of hazards: each is described in docs/guides/changing-the-schema.md. */
export const hazardCodes = [
  'add-check',
  'add-foreign-key',
  'add-unique',
  'change-all-rows',
  'change-rows',
  'change-type',
  'drop-column',
  'drop-default',
  'drop-enum-value',
  'drop-object',
  'drop-table',
  'perhaps-rename',
  'rename',
  'require-column',
  'set-not-null',
] as const

export type HazardCode = (typeof hazardCodes)[number]

/**
 * A danger of a step for data or for running code. A rollout does not start until each is allowed by name.
 */
export interface Hazard {
  readonly code: HazardCode
  /** The object, as in a comparison: `author`, `author.name`. */
  readonly object: string
  /** `data` destroys data, `rows` may fail on the rows of a tenant, `code` breaks code that expects the old version. */
  readonly danger: 'data' | 'rows' | 'code'
  readonly reason: string
  /** A safer way. */
  readonly instead?: string
  /** A query that counts a tenant's rows, as `rows`, on which the step fails; where that is certain. */
  readonly count?: string
}

/** A step, for the search for hazards. */
export interface ObservedStep {
  readonly before: Structure
  readonly after: Structure
  readonly observation: Observation
  /** The table of a TRUNCATE, or of a DELETE or UPDATE without WHERE. */
  readonly clears?: string | undefined
  /** The tables that an earlier step of the plan created: they are empty. */
  readonly created: ReadonlySet<string>
  /** The schema that names leave out. */
  readonly defaultSchema: string
}

/** Returns the hazards of one step. */
export function hazardsOf(step: ObservedStep): readonly Hazard[] {
  return [...ofDrops(step), ...ofRenames(step), ...ofParts(step), ...ofRows(step)]
}

function ofDrops({ observation, before, after, defaultSchema }: ObservedStep): readonly Hazard[] {
  const shortly = (name: string) => withoutSchema(name, defaultSchema)
  const relations = observation.dropped.flatMap(({ kind, name }): Hazard[] => {
    const object = shortly(name)
    if (kind === 'column' || kind === 'table' || kind === 'foreign table') {
      const code = kind === 'column' ? 'drop-column' : 'drop-table'
      return [{ code, object, danger: 'data', reason: `Every tenant loses the data of ${object}.`, instead: dropLater }]
    }
    return [{ code: 'drop-object', object, danger: 'code', reason: `The ${kind} ${object} is dropped.` }]
  })
  const present = new Set(after.map(keyOf))
  const others = before.filter((it) => codeKinds.has(it.kind) && !present.has(keyOf(it)))
  return [
    ...relations,
    ...others.map((it): Hazard => {
      const object = named(it, defaultSchema).name
      return { code: 'drop-object', object, danger: 'code', reason: `The ${it.kind} ${object} is dropped.` }
    }),
  ]
}

const dropLater = 'Drop it in a later version, once no process of the old one is running.'

/** Kinds of objects without rows that code uses by name. */
const codeKinds: ReadonlySet<StructureKind> = new Set(['function', 'procedure', 'aggregate', 'enum', 'domain'])

function ofRenames({ observation, defaultSchema }: ObservedStep): readonly Hazard[] {
  return observation.renamed.map(({ kind, from, to }) => ({
    code: 'rename' as const,
    object: withoutSchema(from, defaultSchema),
    danger: 'code' as const,
    reason: `The ${kind} is ${withoutSchema(to, defaultSchema)} afterwards: code of the old version fails.`,
    instead: 'Add the new one beside it, and drop the old one in a later version.',
  }))
}

/** The hazards of columns, keys and checks that were added or changed on tables with rows. */
function ofParts({ before, after, created, observation, defaultSchema }: ObservedStep): readonly Hazard[] {
  const old = new Map(before.map((it) => [keyOf(it), it]))
  const isOnRows = ({ schema, parent, name }: StructureObject) => {
    const table = `${schema}.${parent ?? name}`
    return !created.has(table) && before.some((it) => it.parent === undefined && `${it.schema}.${it.name}` === table)
  }
  const names = new Set(observation.renamed.map(({ to }) => to))
  return after.flatMap((now): readonly Hazard[] => {
    const was = old.get(keyOf(now))
    const isRenamed = names.has(`${now.schema}.${now.parent ?? ''}.${now.name}`)
    if (was?.definition === now.definition || isRenamed) return []
    if (now.kind === 'enum') return was === undefined ? [] : ofEnum(was, now, defaultSchema)
    if (now.parent === undefined || !isOnRows(now)) return []
    if (now.kind === 'column') return ofColumn(was, now, observation, defaultSchema)
    const added = addedParts[now.kind]
    if (added === undefined || !added.concerns(now)) return []
    const { code, reason } = added
    return [{ code, object: named(now, defaultSchema).name, danger: 'rows', reason, ...counting(now) }]
  })
}

const addedParts: Partial<
  Record<
    StructureKind,
    { readonly code: HazardCode; readonly reason: string; readonly concerns: (part: StructureObject) => boolean }
  >
> = {
  'primary key': unique(),
  unique: unique(),
  exclusion: unique(),
  index: unique((index) => index.definition.startsWith('CREATE UNIQUE')),
  check: {
    code: 'add-check',
    reason: 'It fails for a tenant with a row that the check refuses.',
    concerns: ({ definition }) => !definition.endsWith('NOT VALID'),
  },
  'foreign key': {
    code: 'add-foreign-key',
    reason: 'It fails for a tenant with a row that refers to no other.',
    concerns: ({ definition }) => !definition.endsWith('NOT VALID'),
  },
}

function unique(concerns: (part: StructureObject) => boolean = () => true) {
  const reason = 'It fails for a tenant with two rows that are equal in it.'
  return { code: 'add-unique' as const, reason, concerns }
}

function ofColumn(
  was: StructureObject | undefined,
  now: StructureObject,
  { rewritten, scanned }: Observation,
  defaultSchema: string,
): readonly Hazard[] {
  const object = named(now, defaultSchema).name
  const [old, clauses] = [was && columnClauses(was), columnClauses(now)]
  if (old === undefined) {
    const isFilled =
      clauses.fallback !== undefined || clauses.rest.includes('generated ') || clauses.type.endsWith('serial')
    if (!clauses.isRequired || isFilled) return []
    const reason = 'It fails for a tenant with a row in the table: there is no value for the new column.'
    return [{ code: 'require-column', object, danger: 'rows', reason, instead: 'Give it a default.', ...counting(now) }]
  }
  const hazards: Hazard[] = []
  const table = `${now.schema}.${now.parent}`
  if (old.type !== clauses.type && (rewritten.includes(table) || scanned.includes(table))) {
    const reason = `Its values are converted from ${old.type} to ${clauses.type}: that may fail, or change them.`
    hazards.push({ code: 'change-type', object, danger: 'rows', reason })
  }
  if (clauses.isRequired && !old.isRequired) {
    const reason = 'It fails for a tenant with a null in it.'
    hazards.push({ code: 'set-not-null', object, danger: 'rows', reason, ...counting(now, was) })
  }
  if (old.fallback !== undefined && clauses.fallback === undefined && clauses.isRequired) {
    const reason = 'Code of the old version that relies on the default fails.'
    hazards.push({ code: 'drop-default', object, danger: 'code', reason })
  }
  return hazards
}

function counting(object: StructureObject, was?: StructureObject): Pick<Hazard, 'count'> {
  const count = rowCountQuery(object, was)
  return count === undefined ? {} : { count }
}

function ofEnum(was: StructureObject, now: StructureObject, defaultSchema: string): readonly Hazard[] {
  const kept = new Set(enumLabels(now))
  const gone = enumLabels(was).filter((label) => !kept.has(label))
  return gone.map((label) => ({
    code: 'drop-enum-value',
    object: `${named(now, defaultSchema).name}.${label.slice(1, -1)}`,
    danger: 'data',
    reason: `The value ${label} does not exist afterwards.`,
  }))
}

function ofRows({ observation, clears, created, defaultSchema }: ObservedStep): readonly Hazard[] {
  if (clears !== undefined) {
    const object = withoutSchema(clears, defaultSchema)
    return [{ code: 'change-all-rows', object, danger: 'data', reason: 'It changes or deletes every row.' }]
  }
  return observation.written
    .filter((table) => !created.has(table))
    .map((table) => ({
      code: 'change-rows',
      object: withoutSchema(table, defaultSchema),
      danger: 'rows',
      reason: 'It changes rows, which was tried without any.',
    }))
}

/**
 * Returns a hazard for each column that a plan drops while it adds another one of the same type to the table, which may
 * be meant as a rename.
 */
export function perhapsRenamed(before: Structure, after: Structure, defaultSchema: string): readonly Hazard[] {
  const [old, now] = [before, after].map((it) => new Set(it.filter(isColumn).map(keyOf))) as [Set<string>, Set<string>]
  const dropped = before.filter((it) => isColumn(it) && !now.has(keyOf(it)))
  const added = after.filter((it) => isColumn(it) && !old.has(keyOf(it)))
  return dropped.flatMap((one) => {
    const other = added.find(
      (it) =>
        it.schema === one.schema && it.parent === one.parent && columnClauses(it).type === columnClauses(one).type,
    )
    if (other === undefined) return []
    const [from, to] = [named(one, defaultSchema).name, named(other, defaultSchema).name]
    return [
      {
        code: 'perhaps-rename' as const,
        object: `${from}=${to}`,
        danger: 'data' as const,
        reason: `${from} is dropped and ${to} is added: its values are not kept.`,
        instead: `If it is a rename, plan with --rename ${from}=${to}.`,
      },
    ]
  })
}

function isColumn({ kind }: StructureObject): boolean {
  return kind === 'column'
}

function withoutSchema(name: string, defaultSchema: string): string {
  return name.startsWith(`${defaultSchema}.`) ? name.slice(defaultSchema.length + 1) : name
}
