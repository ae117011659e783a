/** A feature of a database's structure: what makes it, and changes by hand that a comparison must see. */
export interface Feature {
  readonly name: string
  readonly statements: readonly string[]
  readonly changes: readonly Change[]
}

/** A change by hand, and what takes it back. */
export interface Change {
  readonly change: string
  readonly undo: string
  /** The name of the object that the comparison must name. */
  readonly names: string
}

const change = (names: string, did: string, undo: string): Change => ({ names, change: did, undo })

/** A feature of one table, called as the feature is. */
function table(name: string, columns: string, changes: readonly Change[], ...statements: string[]): Feature {
  return { name, statements: [`create table ${name} (${columns})`, ...statements], changes }
}

/** Features that are independent of each other. */
export const features: readonly Feature[] = [
  table(
    'types',
    'a varchar(20), b timestamptz, c numeric(10, 2)[], d time(3) with time zone, e interval day to second',
    [
      change('types.a', 'alter table types alter a type varchar(21)', 'alter table types alter a type varchar(20)'),
      change('types.b', 'alter table types alter b type timestamp', 'alter table types alter b type timestamptz'),
      change('types.c', 'alter table types drop c', 'alter table types add c numeric(10, 2)[]'),
    ],
  ),
  table(
    'defaults',
    `a int default -1, b text default 'it''s', c timestamptz default now() + interval '1 year', d date default '2020-02-01'`,
    [
      change('defaults.a', 'alter table defaults alter a drop default', 'alter table defaults alter a set default -1'),
      change(
        'defaults.d',
        `alter table defaults alter d set default '2020-02-02'`,
        `alter table defaults alter d set default '2020-02-01'`,
      ),
    ],
  ),
  table('required', 'a int not null, b int', [
    change('required.a', 'alter table required alter a drop not null', 'alter table required alter a set not null'),
    change('required.b', 'alter table required alter b set not null', 'alter table required alter b drop not null'),
  ]),
  table('keyed', 'a int primary key, b int unique, c int, constraint keyed_c unique (c) deferrable', [
    change(
      'keyed.keyed_pkey',
      'alter table keyed drop constraint keyed_pkey',
      'alter table keyed add primary key (a), alter a set not null',
    ),
    change(
      'keyed.keyed_c',
      'alter table keyed drop constraint keyed_c, add constraint keyed_c unique (c)',
      'alter table keyed drop constraint keyed_c, add constraint keyed_c unique (c) deferrable',
    ),
  ]),
  table(
    'referring',
    'a int, b int',
    [
      change(
        'referring.referring_key',
        'alter table referring drop constraint referring_key, add constraint referring_key foreign key (a) references referred (id) not valid',
        'alter table referring validate constraint referring_key',
      ),
      change(
        'referring.referring_key',
        'alter table referring disable trigger all',
        'alter table referring enable trigger all',
      ),
    ],
    'create table referred (id int primary key)',
    'alter table referring add constraint referring_key foreign key (a) references referred (id)',
  ),
  table(
    'checked',
    `a text, b text, constraint checked_a check (a not in ('x', 'y')), constraint checked_b check (b like 'a%')`,
    [
      change(
        'checked.checked_a',
        'alter table checked drop constraint checked_a',
        `alter table checked add constraint checked_a check (a not in ('x', 'y'))`,
      ),
      change(
        'checked.checked_b',
        `alter table checked drop constraint checked_b, add constraint checked_b check (b like 'a%') not valid`,
        'alter table checked validate constraint checked_b',
      ),
    ],
  ),
  table(
    'indexed',
    'a text, b int, "eMail" text',
    [
      change(
        'indexed.indexed_lower',
        'drop index indexed_lower; create index indexed_lower on indexed (upper(a))',
        'drop index indexed_lower; create index indexed_lower on indexed (lower(a))',
      ),
      change(
        'indexed.indexed_mail',
        'drop index indexed_mail; create index indexed_mail on indexed ("eMail")',
        'drop index indexed_mail; create unique index indexed_mail on indexed ("eMail")',
      ),
      change(
        'indexed.indexed_order',
        'drop index indexed_order; create index indexed_order on indexed (b, a)',
        'drop index indexed_order; create index indexed_order on indexed (b desc nulls last, a)',
      ),
      change(
        'indexed.indexed_partial',
        'alter index indexed_partial rename to other_name',
        'alter index other_name rename to indexed_partial',
      ),
    ],
    'create index indexed_lower on indexed (lower(a))',
    'create unique index indexed_mail on indexed ("eMail")',
    'create index indexed_order on indexed (b desc nulls last, a)',
    `create index indexed_partial on indexed (b) include (a) where a like 'x%'`,
  ),
  table(
    'generated',
    'a int, b int generated always as (a * 2) stored, c int generated by default as identity (start 7), d serial',
    [
      change(
        'generated.b',
        'alter table generated alter b drop expression',
        'alter table generated drop b, add b int generated always as (a * 2) stored',
      ),
      change(
        'generated.c',
        'alter table generated alter c set generated always',
        'alter table generated alter c set generated by default',
      ),
      change(
        'generated.d',
        'alter table generated alter d drop default',
        `alter table generated alter d set default nextval('generated_d_seq')`,
      ),
      change('generated.d', 'alter sequence generated_d_seq increment 2', 'alter sequence generated_d_seq increment 1'),
    ],
  ),
  table('"Mixed Case"', '"Some Id" int, "select" text', [
    change(
      'Mixed Case.select',
      'alter table "Mixed Case" rename "select" to "Select"',
      'alter table "Mixed Case" rename "Select" to "select"',
    ),
  ]),
  {
    name: 'enum',
    statements: [`create type mood as enum ('good', 'bad')`, "create table moody (a mood default 'good')"],
    changes: [
      change('mood', `alter type mood rename value 'bad' to 'worse'`, `alter type mood rename value 'worse' to 'bad'`),
    ],
  },
  {
    name: 'domain',
    statements: [
      `create domain code as varchar(7) default 'a' constraint code_check check (value <> '')`,
      'create table coded (a code)',
    ],
    changes: [
      change('code', `alter domain code set default 'b'`, `alter domain code set default 'a'`),
      change(
        'code.code_check',
        'alter domain code drop constraint code_check',
        `alter domain code add constraint code_check check (value <> '')`,
      ),
    ],
  },
  table(
    'viewed',
    'a int, b text',
    [
      change(
        'view_of',
        'create or replace view view_of as select a, b from viewed',
        `create or replace view view_of as select a, b from viewed where b like 'x%'`,
      ),
      change('kept.kept_a', 'drop index kept_a', 'create unique index kept_a on kept (a)'),
    ],
    `create view view_of as select a, b from viewed where b like 'x%'`,
    'create materialized view kept as select a from viewed',
    'create unique index kept_a on kept (a)',
  ),
  {
    name: 'trigger',
    statements: [
      'create table triggered (a int)',
      'create function triggered_fn() returns trigger language plpgsql as $$ begin return new; end $$',
      'create trigger stamp before update on triggered for each row when (new.a > 1) execute function triggered_fn()',
    ],
    changes: [
      change(
        'triggered.stamp',
        'alter table triggered disable trigger stamp',
        'alter table triggered enable trigger stamp',
      ),
      change(
        'triggered_fn',
        'create or replace function triggered_fn() returns trigger language plpgsql as $$ begin return old; end $$',
        'create or replace function triggered_fn() returns trigger language plpgsql as $$ begin return new; end $$',
      ),
    ],
  },
  table(
    'guarded',
    'a int, b text',
    [
      change(
        'guarded.guard',
        `alter policy guard on guarded using (b like 'b%')`,
        `alter policy guard on guarded using (b like 'a%')`,
      ),
      change(
        'guarded.row security',
        'alter table guarded disable row level security',
        'alter table guarded enable row level security',
      ),
    ],
    'alter table guarded enable row level security',
    `create policy guard on guarded using (b like 'a%')`,
  ),
  {
    name: 'partitions',
    statements: [
      'create table parted (id int, at date, primary key (id, at)) partition by range (at)',
      `create table parted_1 partition of parted for values from ('2020-01-01') to ('2021-01-01')`,
    ],
    changes: [
      change(
        'parted_1',
        'alter table parted detach partition parted_1',
        `alter table parted attach partition parted_1 for values from ('2020-01-01') to ('2021-01-01')`,
      ),
    ],
  },
  {
    name: 'inheritance',
    statements: ['create table forebear (a int)', 'create table heir (b int) inherits (forebear)'],
    changes: [change('heir', 'alter table heir no inherit forebear', 'alter table heir inherit forebear')],
  },
  table(
    'commented',
    'a int',
    [
      change('commented.comment', `comment on table commented is 'other'`, `comment on table commented is 'said''s'`),
      change('commented.column a', 'comment on column commented.a is null', `comment on column commented.a is 'of a'`),
    ],
    `comment on table commented is 'said''s'`,
    `comment on column commented.a is 'of a'`,
  ),
  {
    name: 'another schema',
    statements: [
      'create schema if not exists "The archive"',
      'create table "The archive"."Old" (id int primary key, a int)',
      'create table archived (id int references "The archive"."Old" (id))',
      'create view "The archive".old_view as select o.a from "The archive"."Old" o',
    ],
    changes: [
      change(
        'The archive.Old.a',
        'drop view "The archive".old_view; alter table "The archive"."Old" alter a type bigint',
        'alter table "The archive"."Old" alter a type int; create view "The archive".old_view as select o.a from "The archive"."Old" o',
      ),
    ],
  },
  table('collated', 'a text collate "C", b text', [
    change(
      'collated.b',
      'alter table collated alter b type text collate "C"',
      'alter table collated alter b type text collate "default"',
    ),
  ]),
  {
    name: 'operators',
    statements: [
      'create function follows(int, int) returns boolean language sql immutable return $1 = $2 + 1',
      'create operator +> (leftarg = int, rightarg = int, function = follows)',
      'create operator class by_hash for type int using hash as operator 1 =, function 1 hashint4(int4)',
    ],
    changes: [
      change(
        '+>(integer, integer)',
        'alter operator +> (int, int) set (restrict = eqsel)',
        'alter operator +> (int, int) set (restrict = none)',
      ),
      change(
        'by_hash using hash',
        'alter operator class by_hash using hash rename to other',
        'alter operator class other using hash rename to by_hash',
      ),
    ],
  },
  {
    name: 'collations and conversions',
    statements: [
      `create collation german (provider = icu, locale = 'de-DE')`,
      'create table german_words (a text collate german)',
      `create conversion from_latin for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8`,
    ],
    changes: [
      change('german', 'alter collation german rename to austrian', 'alter collation austrian rename to german'),
      change(
        'from_latin',
        'alter conversion from_latin rename to other',
        'alter conversion other rename to from_latin',
      ),
    ],
  },
  {
    name: 'text search',
    statements: [
      `create text search dictionary stopped (template = simple, stopwords = english)`,
      'create text search configuration plain (parser = default)',
      'alter text search configuration plain add mapping for word with simple',
    ],
    changes: [
      change(
        'plain',
        'alter text search configuration plain drop mapping for word',
        'alter text search configuration plain add mapping for word with simple',
      ),
      change(
        'stopped',
        'alter text search dictionary stopped (stopwords)',
        'alter text search dictionary stopped (stopwords = english)',
      ),
    ],
  },
  table(
    'published',
    'a int primary key, b text',
    [
      change(
        'shared',
        `alter publication shared set (publish = 'insert')`,
        `alter publication shared set (publish = 'insert, update')`,
      ),
      change(
        'shared',
        'alter publication shared drop table published',
        'alter publication shared add table published (a)',
      ),
      change('shared', 'alter publication shared rename to other', 'alter publication other rename to shared'),
    ],
    `create publication shared for table public.published (a) with (publish = 'insert, update')`,
  ),
  {
    name: 'event triggers',
    statements: [
      `create function on_ddl() returns event_trigger language plpgsql as 'begin end'`,
      `create event trigger watching on ddl_command_start when tag in ('CREATE TABLE') execute function on_ddl()`,
      'alter event trigger watching enable always',
    ],
    changes: [
      change('watching', 'alter event trigger watching disable', 'alter event trigger watching enable always'),
      change(
        'watching',
        'drop event trigger watching',
        `create event trigger watching on ddl_command_start when tag in ('CREATE TABLE') execute function on_ddl();
         alter event trigger watching enable always`,
      ),
    ],
  },
  {
    name: 'foreign servers',
    statements: [
      'create foreign data wrapper abroad',
      `create server if not exists elsewhere foreign data wrapper abroad options (place 'far')`,
      'create foreign table distant (a int) server elsewhere',
    ],
    changes: [
      change(
        'elsewhere',
        `alter server elsewhere options (set place 'near')`,
        `alter server elsewhere options (set place 'far')`,
      ),
      change(
        'abroad',
        `alter foreign data wrapper abroad options (add a 'b')`,
        `alter foreign data wrapper abroad options (drop a)`,
      ),
    ],
  },
  table('excluded', 'a int4range, constraint apart exclude using gist (a with &&)', [
    change(
      'excluded.apart',
      'alter table excluded drop constraint apart',
      'alter table excluded add constraint apart exclude using gist (a with &&)',
    ),
  ]),
]
