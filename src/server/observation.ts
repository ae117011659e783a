/** A table, index or view, or a column of one, by its qualified name: `public.author` or `public.author.name`. */
export type RelationName = string

/** The effects of one statement, as the server showed them while it ran. */
export interface Observation {
  /** The strongest lock on each table that existed before, by the server's name of the mode. */
  readonly locks: readonly { readonly table: RelationName; readonly mode: string }[]
  /** The tables whose files were written anew. */
  readonly rewritten: readonly RelationName[]
  /** The tables that were read from the first row to the last. */
  readonly scanned: readonly RelationName[]
  /** The tables whose rows it inserts, updates or deletes, whether they have any or not. */
  readonly written: readonly RelationName[]
  /** The tables, views and columns that do not exist afterwards. Those of a dropped table are not listed besides. */
  readonly dropped: readonly { readonly kind: ObservedKind; readonly name: RelationName }[]
  /** The tables, views and columns that have another name or schema afterwards. */
  readonly renamed: readonly {
    readonly kind: ObservedKind
    readonly from: RelationName
    readonly to: RelationName
  }[]
}

/** The kind of an observed object. */
export type ObservedKind = 'table' | 'view' | 'materialized view' | 'sequence' | 'foreign table' | 'column'
