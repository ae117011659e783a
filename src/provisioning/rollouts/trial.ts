import { hasCode, TenantryError } from '../../kernel/errors.ts'
import type { Cancellable } from '../../kernel/abort.ts'
import type { Server, Session } from '../../server/port.ts'
import { compareStructures, type StructureDifference } from '../../structure/compare.ts'
import { differencesIn } from '../../structure/comparison.ts'
import { onlineForm } from '../../structure/online.ts'
import { renameStatements } from '../../structure/rename.ts'
import { repairStatements } from '../../structure/repair.ts'
import type { Structure } from '../../structure/structure-object.ts'
import type { MakingContext } from '../context.ts'
import { lookWith, reported } from '../tables/compare-database.ts'
import { comparedWith, knownOrBuilt, unknownStructureError } from '../tables/compare-tenant.ts'
import { ensureTemplate } from '../templates/template.ts'
import { ensureExtensions, runSteps, stepOptions } from './apply-steps.ts'
import { hazardsOf, perhapsRenamed } from './hazards.ts'
import { hazardKey, type PlannedStep, type PlannedVersion, type PlanOptions } from './plan.ts'

/** A scratch copy of the old version's template. */
export interface ScratchSite {
  readonly server: Server
  readonly session: Session
}

/** Finds the steps that lead from an older version to the desired one, by running them on a scratch copy. */
export async function trySteps<Handle>(
  context: MakingContext<Handle>,
  site: ScratchSite,
  options: PlanOptions,
): Promise<Pick<PlannedVersion, 'planner' | 'steps' | 'left'>> {
  const { before, desired } = await structures(context, site, options)
  const trial = new Trial(context, site, before)
  const planner = await trial.run(options, desired)
  const renames = perhapsRenamed(before, trial.structure, context.models.schema.defaultSchema)
  const steps = trial.steps.map((step) => {
    const own = renames.filter(({ object }) =>
      step.hazards.some((hazard) => hazardKey(hazard) === `drop-column:${object.split('=')[0]}`),
    )
    return { ...step, hazards: [...step.hazards, ...own] }
  })
  return { planner, steps, left: [...trial.failed, ...(await leftOf(context, site, desired))] }
}

/** Runs planned steps in one transaction on a scratch copy. @returns what they leave different, and their error */
export async function proveSteps<Handle>(
  context: MakingContext<Handle>,
  site: ScratchSite,
  steps: readonly Pick<PlannedStep, 'sql'>[],
  options: Cancellable,
): Promise<readonly string[]> {
  const { desired } = await structures(context, site, options)
  try {
    await site.session.transaction(async () => {
      await ensureExtensions(context, site.server, site.session)
      await runSteps(context, site.session, steps)
    }, stepOptions(context))
  } catch (error) {
    if (!(error instanceof TenantryError) || error.code === 'aborted') throw error
    return [`in one transaction: ${error.message}`]
  }
  return leftOf(context, site, desired)
}

async function structures<Handle>(
  context: MakingContext<Handle>,
  { server, session }: ScratchSite,
  options: Cancellable,
): Promise<{ readonly before: Structure; readonly desired: Structure }> {
  const live = await server.structures.read(session)
  const desired = await knownOrBuilt(context, live, () => ensureTemplate(context, server, options))
  if (desired === undefined) throw unknownStructureError(session.database)
  return { before: live.structure, desired }
}

/** Returns the differences between a scratch copy and the desired version, each in a few words. */
async function leftOf<Handle>(
  context: MakingContext<Handle>,
  { server, session }: ScratchSite,
  desired: Structure,
): Promise<readonly string[]> {
  const live = await server.structures.read(session)
  const look = await lookWith(live, desired, comparedWith(context, server))
  const comparison = reported(look, context.models.schema, true)
  return differencesIn(comparison)
}

/** The number of times that differences are looked for: a statement may have to wait for another one. */
const passes = 4

/** Statements that run one by one on a scratch copy, where their effects are observed. */
class Trial<Handle> {
  readonly steps: PlannedStep[] = []
  readonly failed: string[] = []
  readonly #context: MakingContext<Handle>
  readonly #site: ScratchSite
  /** The tables that the plan creates, and the history of migrations: no tenant works with them. */
  readonly #created = new Set<string>()
  readonly #history: string | undefined
  /** True after a step that has no online form: no later one has, since it would come before. */
  #hasOrder = false
  #structure: Structure

  constructor(context: MakingContext<Handle>, site: ScratchSite, structure: Structure) {
    this.#context = context
    this.#site = site
    // Every migration adds to it, and nothing else does.
    const { history } = context.models.schema
    if (history !== undefined) this.#history = `${history.schema}.${history.table}`
    if (this.#history !== undefined) this.#created.add(this.#history)
    this.#structure = structure
  }

  /** The structure of the scratch copy as it is now. */
  get structure(): Structure {
    return this.#structure
  }

  async run({ steps, renames = {} }: PlanOptions, desired: Structure): Promise<PlannedVersion['planner']> {
    await ensureExtensions(this.#context, this.#site.server, this.#site.session)
    if (steps !== undefined) {
      await this.#script(steps)
      return 'given'
    }
    if (await this.#migrate()) return 'migrations'
    const { defaultSchema } = this.#context.models.schema
    await this.#script(renameStatements(this.#structure, renames, defaultSchema))
    for (let pass = 0; pass < passes; pass++) {
      const statements = await this.#missingSteps(desired)
      if (statements.length === 0) break
      const errors: string[] = []
      let ran = 0
      for (const statement of statements) {
        try {
          await this.#step(statement)
          ran++
        } catch (error) {
          errors.push(failedText(statement, error))
        }
      }
      if (ran === statements.length) continue
      if (ran === 0 || pass === passes - 1) this.failed.push(...errors)
      if (ran === 0) break
    }
    return 'differences'
  }

  /** Runs the pending migrations. @returns false if the schema source is none of migrations */
  async #migrate(): Promise<boolean> {
    const { session } = this.#site
    const { schema } = this.#context.models
    const query = (sql: string, params?: readonly unknown[]) => session.query<object>(sql, params)
    const pending = await schema.pending?.({ query, script: (statements) => this.#script(statements) })
    if (pending === undefined) {
      if (schema.pending === undefined) return false
      this.failed.push('the older version has no history of migrations')
      return true
    }
    if (pending === 'newer') return true
    for (const change of pending) {
      await change.apply({ query: refuseQuery, script: (statements) => this.#script(statements, change.name) })
    }
    return true
  }

  /** Runs statements; the first that fails ends the trial. */
  async #script(statements: readonly string[], migration?: string): Promise<void> {
    if (this.failed.length > 0) return
    const { server } = this.#site
    const script = await server.structures.parse(statements, this.#context.models.schema.defaultSchema)
    for (const { text } of script.statements) {
      try {
        await this.#step(text, migration)
      } catch (error) {
        this.failed.push(failedText(text, error))
        return
      }
    }
  }

  async #step(sql: string, migration?: string): Promise<void> {
    const { server, session } = this.#site
    const { separation, models } = this.#context
    const { defaultSchema } = models.schema
    const role = separation?.groups.objects
    const observation = await server.structures.observe(session, sql, { schema: defaultSchema, role })
    const [{ clears } = {}] = (await server.structures.parse([sql], defaultSchema)).statements
    const before = this.#structure
    const { structure: after } = await server.structures.read(session)
    this.#structure = after
    const created = new Set(this.#created)
    const step = { before, after, observation, clears, created, defaultSchema }
    const tables = (of: Structure) =>
      of.flatMap(({ kind, schema, name }) => (kind === 'table' ? [`${schema}.${name}`] : []))
    const had = new Set(tables(before))
    for (const table of tables(after)) if (!had.has(table)) this.#created.add(table)
    const text = sql.replace(/;\s*$/, '')
    // The tables of earlier steps are new in each tenant.
    const [rewritten, scanned] = [observation.rewritten, observation.scanned].map((some) =>
      some.filter((table) => !created.has(table)),
    ) as [string[], string[]]
    const isPlain = [rewritten, observation.written, observation.dropped, observation.renamed].every(
      (some) => some.length === 0,
    )
    const online = isPlain && !this.#hasOrder ? onlineForm(text, before, after, scanned.length > 0) : undefined
    // What is prepared comes before all other steps, whose effects it must not need: rows, functions, types.
    const { written } = observation
    const isRecord = written.length > 0 && written.every((table) => table === this.#history)
    if (online === undefined && !isRecord) this.#hasOrder = true
    this.steps.push({
      ...(migration !== undefined && { migration }),
      sql: text,
      locks: observation.locks.filter(({ table }) => !created.has(table)),
      rewritten,
      scanned,
      hazards: hazardsOf(step),
      ...(online !== undefined && { online }),
    })
  }

  /** The statements that the models and PostgreSQL's words give for the differences that there still are. */
  async #missingSteps(desired: Structure): Promise<readonly string[]> {
    const { server, session } = this.#site
    const live = await server.structures.read(session)
    const look = await lookWith(live, desired, comparedWith(this.#context, server))
    const isCreated = (it: StructureDifference) => it.change === 'missing' && look.plan.isCreatable(it.expected)
    const others = compareStructures(desired, live.structure).filter((it) => !isCreated(it))
    return [...look.plan.statements.map(({ text }) => text), ...others.flatMap((it) => repairStatements(it, desired))]
  }
}

function failedText(statement: string, error: unknown): string {
  if (!hasCode(error, 'query-failed', 'permission-denied')) throw error
  return `${statement}: ${error.message}`
}

async function refuseQuery(): Promise<never> {
  throw new TenantryError('models-invalid', 'A migration cannot be planned: applying it takes a query.', {
    hint: 'Its apply() uses query(): let it use script() alone.',
  })
}
