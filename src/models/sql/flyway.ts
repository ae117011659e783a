import { crc32 } from 'node:zlib'
import { quoteName, quoteText } from '../../kernel/quoting.ts'
import { TenantryError } from '../../kernel/errors.ts'
import { qualifiedTable } from '../migrations/history-table.ts'
import { type AppliedFile, fileError, historyRows, type Layout, lineAt, type SqlFile } from './layout.ts'

const named = /^(?:.*\/)?(?:V(\d+(?:[._]\d+)*)|(R))__(.*)\.sql$/
const unsupported = /^(?:.*\/)?(?:B\d+(?:[._]\d+)*__|(?:before|after|create)[A-Z]\w*?(?:__.*)?\.sql$)/

/** A migration with the fields of its row. */
interface FlywayFile extends SqlFile {
  readonly version: string | undefined
  readonly description: string
}

/** The SQL files of Flyway: https://documentation.red-gate.com/flyway/flyway-concepts/migrations */
export const flyway: Layout = {
  table: 'flyway_schema_history',
  isNested: true,
  isMigration: (file) => named.test(file) || unsupported.test(file),
  read: (file, text, settings): FlywayFile => {
    if (unsupported.test(file)) throw fileError(file, 1, 'Tenantry runs no baselines and no callbacks of Flyway')
    const placeholder = text.indexOf('${')
    if (placeholder !== -1)
      throw fileError(file, lineAt(text, placeholder), 'Tenantry replaces no placeholders, as Flyway does')
    const [, digits, repeatable, description = ''] = named.exec(file) ?? []
    return {
      file,
      name: digits === undefined ? `R__${description}` : canonical(digits),
      text,
      checksum: checksumOf(text),
      isRepeatable: repeatable !== undefined,
      isOutside: /^\s*executeInTransaction\s*=\s*false\s*$/m.test(settings),
      version: digits?.replaceAll('_', '.'),
      description: description.replaceAll('_', ' '),
    }
  },
  compare: (one, other) =>
    Number(one.isRepeatable ?? false) - Number(other.isRepeatable ?? false) ||
    (one.isRepeatable === true ? byText(one.name, other.name) : byVersion(one.name, other.name)),
  create: (at) => [
    `create table if not exists ${qualifiedTable(at)} (
       installed_rank integer not null constraint ${quoteName(`${at.table}_pk`)} primary key,
       version varchar(50), description varchar(200) not null, type varchar(20) not null, script varchar(1000) not null,
       checksum integer, installed_by varchar(100) not null, installed_on timestamp not null default now(),
       execution_time integer not null, success boolean not null)`,
    `create index if not exists ${quoteName(`${at.table}_s_idx`)} on ${qualifiedTable(at)} (success)`,
  ],
  record: (at, added) =>
    (added as readonly FlywayFile[]).map(
      ({ version, description, file, checksum }) => `insert into ${qualifiedTable(at)}
        (installed_rank, version, description, type, script, checksum, installed_by, execution_time, success)
        select coalesce(max(installed_rank), 0) + 1, ${version === undefined ? 'null' : quoteText(version)},
               ${quoteText(description)}, 'SQL', ${quoteText(file)}, ${checksum}, current_user, 0, true
        from ${qualifiedTable(at)}`,
    ),
  applied: async (session, at, files) => {
    const rows = await historyRows<FlywayRow>(
      session,
      at,
      'version, type, script, description, checksum::text as checksum, success',
      'order by installed_rank',
    )
    return rows && appliedOf(rows, files)
  },
}

interface FlywayRow {
  readonly version: string | null
  readonly type: string
  readonly script: string
  readonly description: string
  readonly checksum: string | null
  readonly success: boolean
}

/** Returns the migrations of a history, among them those that a baseline stands for. */
function appliedOf(rows: readonly FlywayRow[], files: readonly SqlFile[]): readonly AppliedFile[] {
  const failed = rows.find(({ success }) => !success)
  if (failed !== undefined)
    throw new TenantryError(
      'schema-conflict',
      `The history of the database has a failed migration: ${failed.script}.`,
      {
        hint: 'Run "flyway repair" on it.',
      },
    )
  return rows.flatMap(({ version, type, description, checksum }): AppliedFile[] => {
    if (type === 'SCHEMA') return []
    if (version === null) return [{ name: `R__${description.replaceAll(' ', '_')}`, checksum, isRepeatable: true }]
    if (type !== 'BASELINE') return [{ name: canonical(version), checksum }]
    const versioned = files.filter(({ isRepeatable }) => isRepeatable !== true)
    return versioned.filter(({ name }) => byVersion(name, canonical(version)) <= 0).map(({ name }) => ({ name }))
  })
}

/** Returns the CRC32 of the lines without their ends, as a signed number. */
function checksumOf(text: string): string {
  return String(crc32(text.replaceAll(/[\r\n]/g, '')) | 0)
}

/** Returns a version in the one way in which Flyway takes equal ones for the same: `1.0` and `01` are `1`. */
function canonical(version: string): string {
  const parts = version.split(/[._]/).map((part) => String(BigInt(part)))
  return parts.slice(0, Math.max(parts.findLastIndex((part) => part !== '0') + 1, 1)).join('.')
}

function byVersion(one: string, other: string): number {
  const [left, right] = [one.split('.'), other.split('.')]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = BigInt(left[i] ?? 0) - BigInt(right[i] ?? 0)
    if (difference !== 0n) return Number(difference)
  }
  return 0
}

function byText(one: string, other: string): number {
  return one < other ? -1 : Number(one > other)
}
