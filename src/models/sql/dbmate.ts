import { quoteText } from '../../kernel/quoting.ts'
import { qualifiedTable } from '../migrations/history-table.ts'
import { type AppliedFile, fileError, historyRows, type Layout, lineAt, onItsLines } from './layout.ts'

const named = /^(\d+).*\.sql$/
const up = /^--\s*migrate:up(?:\s*$|\s+\S)/gm
const down = /^--\s*migrate:down(?:\s*$|\s+\S)/m

/** The files of dbmate: https://github.com/amacneil/dbmate#creating-migrations */
export const dbmate: Layout = {
  table: 'schema_migrations',
  isMigration: (file) => named.test(file),
  read: (file, text) => {
    const [start, second] = [...text.matchAll(up)].map(({ index }) => index)
    const end = down.exec(text)?.index
    if (start === undefined) throw fileError(file, 1, 'dbmate needs a line "-- migrate:up"')
    if (second !== undefined) throw fileError(file, lineAt(text, second), 'only one "-- migrate:up" can be recorded')
    if (end === undefined) throw fileError(file, lineAt(text, text.length), 'dbmate needs a line "-- migrate:down"')
    if (end < start) throw fileError(file, lineAt(text, end), '"-- migrate:down" precedes "-- migrate:up"')
    const early = text
      .slice(0, start)
      .split('\n')
      .findIndex((line) => !/^\s*(?:--.*)?$/.test(line))
    if (early !== -1) throw fileError(file, early + 1, 'dbmate allows no statement before "-- migrate:up"')
    const isOutside = /^.*\btransaction:false\b/.test(text.slice(start, end))
    return { file, name: named.exec(file)?.[1] ?? file, text: onItsLines(text, start, end), isOutside }
  },
  compare: ({ file: one }, { file: other }) => (one < other ? -1 : 1),
  create: (at) => [`create table if not exists ${qualifiedTable(at)} (version varchar primary key)`],
  record: (at, added) =>
    added.map(({ name }) => `insert into ${qualifiedTable(at)} (version) values (${quoteText(name)})`),
  applied: (session, at) => historyRows<AppliedFile>(session, at, 'version as name', 'order by version collate "C"'),
}
