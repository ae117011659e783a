/** One migration of a history. */
export interface HistoryStep {
  /** Digits by which tools order migrations, and a word. */
  readonly name: string
  readonly statements: readonly string[]
  /** True if it has to run outside of a transaction: it creates an index concurrently, and nothing else. */
  readonly isOutside: boolean
}

/** The table in which each step but those outside of transactions notes its name. */
export const noted = 'step'

/**
 * Returns a long history such as services have after years: enums and their later values, steps that change rows, indexes
 * created concurrently, DO blocks, functions, triggers, views, extensions, and objects that are dropped again.
 *
 * @param concurrently false for tools that run all migrations in one transaction
 */
export function generatedHistory(length: number, { concurrently }: { readonly concurrently: boolean }): HistoryStep[] {
  return Array.from({ length }, (_, i) => {
    const name = `${20260101000000 + i}_${noted}`
    const statements = statementsOf(i, concurrently)
    const isOutside = statements.some((it) => it.includes(' concurrently '))
    const first = i === 0 ? [`create table ${noted} (id int generated always as identity, name text not null)`] : []
    const note = isOutside ? [] : [`insert into ${noted} (name) values ('${name}')`]
    return { name, isOutside, statements: [...first, ...statements, ...note] }
  })
}

const extensions = ['citext', 'pg_trgm', 'hstore', 'btree_gist']

/** Returns the statements of a step, by its place in a round of ten, which is about one table. */
function statementsOf(i: number, concurrently: boolean): readonly string[] {
  const round = Math.floor(i / 10)
  const [table, mood] = [`item_${round}`, `mood_${round}`]
  switch (i % 10) {
    case 0:
      return [
        `create type ${mood} as enum ('calm', 'it''s')`,
        `create table ${table} (id int generated always as identity primary key, mood ${mood} not null default 'it''s', note text)`,
      ]
    case 1:
      return [`insert into ${table} (note) select 'n; ' || n from generate_series(1, 3) n`]
    case 2:
      return [`alter type ${mood} add value 'late' before 'calm'`]
    case 3:
      return [`create index ${concurrently ? 'concurrently ' : ''}${table}_note on ${table} (lower(note))`]
    case 4:
      return [
        `create function touch_${round}() returns trigger language plpgsql as $$
begin
  -- a comment; with a semicolon
  new.note := coalesce(new.note, 'none; yet');
  return new;
end $$`,
        `create trigger touched before insert or update on ${table} for each row execute function touch_${round}()`,
      ]
    case 5:
      return [
        `do $$
begin
  if not exists (select from ${table} where note = 'x') then
    insert into ${table} (note) values (null);
  end if;
end $$`,
      ]
    case 6:
      return round === 0
        ? [`alter table ${table} add constraint short check (length(note) < 100)`]
        : [
            `alter table ${table} add column earlier_id int references item_${round - 1} (id) on delete set null`,
            `update ${table} set earlier_id = id`,
          ]
    case 7:
      return [
        `update ${table} set note = note || '!' where id > 1`,
        `alter table ${table} alter column note set not null`,
      ]
    case 8:
      return [
        `create view shown_${round} as select id, note from ${table} where mood = 'it''s'`,
        `comment on view shown_${round} is 'it''s $1; round ${round}'`,
      ]
    default:
      return [
        `create extension if not exists ${extensions[round % extensions.length]}`,
        `create table scratch (id int)`,
        `drop table scratch`,
      ]
  }
}
