import type { Hazard, PlannedStep, PlannedVersion, PreflightResult, RolloutPlan } from '../index.ts'
import { coloured, failureLine, shown } from './report.ts'
import { printableLines } from '../kernel/printable.ts'
import { versionText } from './version-text.ts'

/** Returns a plan as people read it. */
export function planLines({ to, from }: RolloutPlan): string[] {
  if (from.length === 0) return [`Every tenant has version ${versionText(to)}, or a newer one.`]
  return from.flatMap((version) => [
    coloured('bold', `version ${versionText(version)} to ${versionText(to)}: ${tenantsText(version)}`),
    ...(version.steps.length === 0 ? ['  nothing to change but the version'] : version.steps.flatMap(stepLines)),
    ...version.left.map((text) => `  ${coloured('red', 'left')}: ${shown(text)}`),
  ])
}

/** Returns the statements of a plan as a script for reviewers, each with its hazards as comments. */
export function planScript({ from }: RolloutPlan): string[] {
  return from.flatMap((version) => [
    `-- version ${version.number}: ${tenantsText(version)}; all in one transaction`,
    ...version.steps.flatMap(({ sql, hazards, online }) => [
      ...hazards.map((hazard) => `-- ${hazardLine(hazard)}`),
      `${printableLines(sql)};`,
      ...onlineStatements(sql, online).map((text) => `-- in a large table: ${text};`),
    ]),
  ])
}

/** Returns the result of a preflight as people read it. */
export function preflightLines({ outcome, checked, inTheWay, failures, uncounted }: PreflightResult): string[] {
  return [
    ...inTheWay.map(({ tenant, hazard, rows }) => {
      const count = `${rows} row${rows === 1 ? '' : 's'}`
      return `${shown(tenant)}: ${coloured('red', count)} in the way of ${shown(hazard)}`
    }),
    ...failures.map(({ tenant, error }) => failureLine(tenant, error)),
    ...uncounted.map((hazard) => `not counted: ${shown(hazard)}`),
    `preflight ${outcome}: ${checked} read, ${new Set(inTheWay.map(({ tenant }) => tenant)).size} with rows in the way`,
  ]
}

/** Returns the statements of a step's online form, if it is another than the step itself. */
function onlineStatements(sql: string, online: PlannedStep['online']): string[] {
  const statements = online === undefined ? [] : [...online.prepare.map((it) => it.sql), ...online.finish]
  return statements.every((text) => text === sql) ? [] : statements.map((text) => shown(text))
}

function tenantsText({ tenants }: PlannedVersion): string {
  const servers = Object.entries(tenants).map(([server, some]) => `${some} on ${shown(server)}`)
  const count = Object.values(tenants).reduce((sum, some) => sum + some, 0)
  return `${count} tenant${count === 1 ? '' : 's'} (${servers.join(', ')})`
}

function stepLines({ sql, migration, locks, rewritten, scanned, hazards, online }: PlannedStep): string[] {
  const isOnline = onlineStatements(sql, online).length > 0
  const effects = [
    ...locks.map(({ table, mode }) => `locks ${shown(table)} in ${mode} mode`),
    ...rewritten.map((table) => `rewrites ${shown(table)}`),
    ...scanned.map((table) => `scans ${shown(table)}`),
    ...(isOnline ? ['has an online form'] : []),
  ]
  return [
    `  ${printableLines(sql)};${migration === undefined ? '' : coloured('dim', `  -- ${shown(migration)}`)}`,
    ...(effects.length > 0 ? [coloured('dim', `    ${effects.join(', ')}`)] : []),
    ...hazards.map((hazard) => `    ${coloured('yellow', hazardLine(hazard))}`),
  ]
}

function hazardLine({ code, object, reason, instead }: Hazard): string {
  return `${code}:${shown(object)}: ${shown(reason)}${instead === undefined ? '' : ` ${shown(instead)}`}`
}
