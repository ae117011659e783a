import type { Rollout, RolloutResult } from '../index.ts'
import { exitCodes } from './exit-codes.ts'
import { asValue, coloured, failureLine, pairs, type Report, shown } from './report.ts'
import { versionText } from './version-text.ts'

/** Returns the report of a rollout's end in this process. */
export function rolloutReport(result: RolloutResult): Report {
  const failures = result.failures.map(({ error, ...failure }) => ({ ...failure, error: asValue(error) }))
  return { result: { ...result, failures }, lines: resultLines(result), exitCode: rolloutExitCode(result) }
}

/** The number of failures that are shown one by one. */
const mostShown = 20

function resultLines({ number, outcome, changed, failures, left }: RolloutResult): string[] {
  const counts = [`${changed} changed`, `${failures.length} failed`, ...(left > 0 ? [`${left} left`] : [])]
  const isGood = outcome === 'started' || (outcome === 'done' && failures.length === 0)
  return [
    ...failures.slice(0, mostShown).map(({ tenant, error }) => failureLine(tenant, error)),
    ...(failures.length > mostShown ? groupLines(failures) : []),
    `${coloured(isGood ? 'green' : 'red', outcome)}: ${counts.join(', ')}`,
    ...nextLines(outcome, number, failures.length),
  ]
}

/** Counts many failures by their code. */
function groupLines(failures: RolloutResult['failures']): string[] {
  const counts = new Map<string, number>()
  for (const { error } of failures) counts.set(error.code, (counts.get(error.code) ?? 0) + 1)
  const groups = [...counts].map(([code, count]) => `${count} ${code}`)
  return [`${failures.length - mostShown} more failed; in all ${groups.join(', ')}`]
}

function nextLines(outcome: RolloutResult['outcome'], number: number | undefined, failed: number): string[] {
  const commands = {
    done: failed === 0 ? undefined : `Once their cause is fixed: tenantry retry-rollout ${number}`,
    halted: `Once their cause is fixed: tenantry retry-rollout ${number}. For the others: tenantry resume-rollout ${number}`,
    paused: `To go on: tenantry resume-rollout ${number}`,
    stopped: `To go on: tenantry resume-rollout ${number}`,
    started: `To change its tenants: tenantry work. To see it: tenantry show-rollout ${number}`,
    aborted: undefined,
  }
  const next = commands[outcome]
  return next === undefined ? [] : [next]
}

function rolloutExitCode({ outcome, failures }: RolloutResult): number {
  if (outcome === 'stopped') return exitCodes.interrupted
  if (outcome === 'started') return exitCodes.done
  return outcome === 'done' && failures.length === 0 ? exitCodes.done : exitCodes.failed
}

/** Returns the lines that describe a rollout. */
export function rolloutLines({ number, state, to, tenants, actor, startedAt, endedAt }: Rollout): string[] {
  const { changed, failed, waiting, running, skipped } = tenants
  return pairs({
    rollout: String(number),
    state: coloured(state === 'done' && failed === 0 ? 'green' : state === 'running' ? 'bold' : 'yellow', state),
    'to version': versionText(to),
    tenants: [
      `${changed} changed`,
      `${failed} failed`,
      ...(running > 0 ? [`${running} running`] : []),
      ...(waiting > 0 ? [`${waiting} waiting`] : []),
      ...(skipped > 0 ? [`${skipped} skipped`] : []),
    ].join(', '),
    'started by': actor && shown(actor),
    started: startedAt.toISOString(),
    ended: endedAt?.toISOString(),
  })
}
