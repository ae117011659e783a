import type { Diagnosis, ExaminedServer, Missing, ServerDiagnosis, UnreachableServer, Warning } from '../index.ts'
import { coloured, shown } from './report.ts'

const width = 80

/** Returns a diagnosis for people, server by server. */
export function diagnosisLines({ servers }: Diagnosis): string[] {
  return servers.flatMap((server, index) => [...(index > 0 ? [''] : []), ...serverLines(server)])
}

function serverLines(server: ServerDiagnosis): string[] {
  return server.reachable ? examinedLines(server) : unreachableLines(server)
}

function unreachableLines({ server, address, error, missing }: UnreachableServer): string[] {
  return [
    `${coloured('bold', shown(server))} at ${shown(address)}: ${coloured('red', 'not examined')}`,
    ...wrapped(error.message, '  '),
    // Missing privileges are listed below, in statements to copy.
    ...(missing.length > 0 ? [] : wrapped(error.hint ?? '', '  ')),
    `  (${error.code})`,
    ...section('Missing:', missing.flatMap(missingLines)),
  ]
}

/** The names that providers give to their services. */
const services: Readonly<Record<ExaminedServer['service'], string>> = {
  plain: '',
  rds: ' (Amazon RDS or Aurora)',
  'cloud-sql': ' (Cloud SQL)',
  azure: ' (Azure)',
  supabase: ' (Supabase)',
  neon: ' (Neon)',
}

function examinedLines(server: ExaminedServer): string[] {
  const { version, service, address, role, tried, missing, warnings, unseen } = server
  const name = coloured('bold', shown(server.server))
  return [
    `${name}: PostgreSQL ${shown(version)}${services[service]} at ${shown(address)}, as ${shown(role.name)}`,
    ...section('Tried, in names that are gone again:', tried.flatMap(trialLines)),
    ...section('Missing:', missing.flatMap(missingLines)),
    ...section('Warnings:', warnings.flatMap(warningLines)),
    ...section(
      'Not visible to this role:',
      unseen.flatMap(({ what }) => wrapped(what, '  ')),
    ),
    '',
    summary(server),
  ]
}

function section(heading: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', coloured('dim', heading), ...lines]
}

function trialLines({ what, worked, message }: ExaminedServer['tried'][number]): string[] {
  if (worked) return [`  ${coloured('green', 'yes')}  ${what}`]
  const [first = '', ...others] = wrapped(`${what}: ${message ?? ''}`, '       ')
  return [`  ${coloured('red', 'no')}   ${first.trimStart()}`, ...others]
}

function missingLines({ code, what, sql, runAs }: Missing): string[] {
  return [
    `  ${coloured('red', code)}`,
    ...wrapped(what, '    '),
    ...(runAs === undefined ? [] : wrapped(`Run as ${runAs}:`, '    ')),
    ...statements(sql),
  ]
}

function warningLines({ code, found, why, fix, sql }: Warning): string[] {
  return [
    `  ${coloured('yellow', code)}`,
    ...wrapped(found, '    '),
    ...wrapped(why, '    '),
    ...wrapped(fix, '    '),
    ...statements(sql),
  ]
}

/** Returns statements, not wrapped, so that they can be copied. */
function statements(sql: readonly string[]): string[] {
  return sql.map((statement) => `      ${shown(statement)}`)
}

function summary({ missing, warnings }: ExaminedServer): string {
  const first =
    missing.length === 0
      ? coloured('green', 'Nothing is missing')
      : coloured('red', missing.length === 1 ? 'One thing is missing' : `${missing.length} things are missing`)
  const second = ['no warnings', 'one warning'][warnings.length] ?? `${warnings.length} warnings`
  return `${first}; ${second}.`
}

/** Returns text in lines of at most 80 columns, each beginning with `indent`; a longer word stands alone. */
function wrapped(text: string, indent: string): string[] {
  const lines: string[] = []
  for (const word of shown(text).split(' ').filter(Boolean)) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(indent + word)
  }
  return lines
}
