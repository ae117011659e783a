import type { Diagnosis } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { diagnosisLines } from '../diagnosis-text.ts'
import { type ExitCode, exitCodeOf, exitCodes } from '../exit-codes.ts'
import { asValue, logger } from '../report.ts'
import { type CommonOptions, library } from '../tools.ts'

interface Options extends CommonOptions {
  readonly probe?: boolean
}

/** `tenantry doctor` */
export const doctor = defineCommand<Options>(
  {
    usage: 'doctor',
    summary: 'Examine what the servers and the role can do, with SQL for what is missing',
    examples: {
      doctor: 'tries it in scratch names, and removes them',
      'doctor --no-probe': 'only reads',
    },
  },
  (command) => command.option('--no-probe', 'only read, and try nothing'),
  async (tools, _, { probe = true }) => {
    const config = await tools.config()
    const { doctor: examine } = await library()
    const diagnosis = await tools.progress('examining the servers', () =>
      examine({ logger, ...config }, { probe, signal: tools.signal }),
    )
    return { result: asResult(diagnosis), lines: diagnosisLines(diagnosis), exitCode: exitCodeFor(diagnosis) }
  },
)

function asResult({ servers, ...rest }: Diagnosis): object {
  return { ...rest, servers: servers.map((it) => (it.reachable ? it : { ...it, error: asValue(it.error) })) }
}

/** Returns the exit code. A missing privilege outranks an unreachable server, which may only be down for a moment. */
function exitCodeFor({ servers }: Diagnosis): ExitCode {
  if (servers.some(({ missing }) => missing.length > 0)) return exitCodes.denied
  const failed = servers.find((it) => !it.reachable)
  return failed === undefined ? exitCodes.done : exitCodeOf(failed.error)
}
