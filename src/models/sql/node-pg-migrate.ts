import { quoteText } from '../../kernel/quoting.ts'
import { qualifiedTable } from '../migrations/history-table.ts'
import { type AppliedFile, fileError, historyRows, type Layout, lineAt, onItsLines } from './layout.ts'

const up = /^\s*--[\s-]*up\s+migration/im
const down = /^\s*--[\s-]*down\s+migration/im

/** The SQL files of node-pg-migrate: https://salsita.github.io/node-pg-migrate/migrations/ */
export const nodePgMigrate: Layout = {
  table: 'pgmigrations',
  // It runs every file but the hidden ones.
  isMigration: (file) => !file.startsWith('.'),
  read: (file, text) => {
    if (!file.endsWith('.sql')) throw fileError(file, 1, 'it is no SQL, and node-pg-migrate would run it')
    if (file.endsWith('.down.sql')) throw fileError(file, 1, 'node-pg-migrate would run it as a migration')
    if (Number.isNaN(numberOf(file)))
      throw fileError(file, 1, 'node-pg-migrate needs a number at the start of its name')
    return { file, name: file.slice(0, -'.sql'.length), text: upPart(file, text) }
  },
  compare: ({ file: one }, { file: other }) =>
    numberOf(one) - numberOf(other) ||
    one.localeCompare(other, undefined, { numeric: true, sensitivity: 'variant', ignorePunctuation: true }),
  create: (at) => [
    `create table if not exists ${qualifiedTable(at)}
     (id serial primary key, name varchar(255) not null, run_on timestamp not null)`,
  ],
  record: (at, added) =>
    added.map(({ name }) => `insert into ${qualifiedTable(at)} (name, run_on) values (${quoteText(name)}, now())`),
  applied: (session, at) => historyRows<AppliedFile>(session, at, 'name', 'order by run_on, id'),
}

/** Returns the part that goes up; without marks, that is all. */
function upPart(file: string, text: string): string {
  const [start, end] = [text.search(up), text.search(down)]
  if (start === -1 && end === -1) return text
  // It would run all of the file.
  if (start === -1) throw fileError(file, lineAt(text, end), '"-- Down Migration" needs a line "-- Up Migration"')
  return onItsLines(text, start, end > start ? end : undefined)
}

/** Returns the number by which files are sorted: 17 digits are a date. */
function numberOf(file: string): number {
  const [digits = 'none'] = /^\d+/.exec(file) ?? []
  const [, date, hours, minutes, rest, ms] = /^(\d{8})(\d\d)(\d\d)(\d\d)(\d{3})$/.exec(digits) ?? []
  if (date === undefined) return Number(digits)
  return Date.parse(`${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}T${hours}:${minutes}:${rest}.${ms}Z`)
}
