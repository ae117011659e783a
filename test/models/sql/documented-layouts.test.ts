import { checkDatabase, ensureTables } from 'tenantry'
import { sqlFiles } from 'tenantry/sql'
import { describe, expect, it } from 'vitest'
import { existingDatabase, queryIn } from '../../start-up/support.ts'
import { errorOf } from '../../support/server.ts'
import { addFiles, type Files, folderWith } from './folders.ts'

// goose and Flyway do not run here: the tables are those that their documentation and source describe.

const note = 'create table note (id int primary key, text text);'

describe('the layout of goose', () => {
  const source = (folder: string) => sqlFiles(folder, { layout: 'goose' })
  const files = {
    '00002_touch.sql': `-- +goose NO TRANSACTION
-- +goose up
-- +goose StatementBegin
create function touch() returns int language plpgsql as $$
begin
  return 1;
end $$;
-- +goose StatementEnd
begin; create index concurrently note_text on note (text); commit;
-- +goose Down
drop index note_text;
`,
    '1_note.sql': `-- a comment\n\n-- +goose Up\n${note}\n-- +goose Down\ndrop table note;\n`,
    'notes.sql': 'not a migration',
  }

  it('records what goose records', async () => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, source(await folderWith(files)))
    const rows = await queryIn(name, 'select id, version_id, is_applied, tstamp from goose_db_version order by id')
    expect(rows).toEqual([
      { id: 1, version_id: '0', is_applied: true, tstamp: expect.any(Date) },
      { id: 2, version_id: '1', is_applied: true, tstamp: expect.any(Date) },
      { id: 3, version_id: '2', is_applied: true, tstamp: expect.any(Date) },
    ])
    expect(await queryIn(name, 'select touch()')).toEqual([{ touch: 1 }])
  })

  it('continues a history of goose, in which a migration was undone', async () => {
    const folder = await folderWith({ '1_note.sql': files['1_note.sql'] })
    const { url, name } = await existingDatabase()
    await queryIn(
      name,
      note,
      `create table goose_db_version (id serial primary key, version_id bigint not null, is_applied boolean not null,
         tstamp timestamp default now())`,
      `insert into goose_db_version (version_id, is_applied) values (0, true), (1, true), (2, true), (2, false)`,
    )
    expect((await ensureTables(url, source(folder))).created).toEqual([])
    await addFiles(folder, files)
    await ensureTables(url, source(folder))
    expect(await queryIn(name, 'select touch()')).toEqual([{ touch: 1 }])
    expect((await ensureTables(url, source(folder))).created).toEqual([])
  })

  it.each<[string, Files, string]>([
    ['has no Up', { '1_a.sql': '\nselect 1;' }, 'line 2: goose allows no statement'],
    ['has Down first', { '1_a.sql': '-- +goose Down' }, 'line 1: goose needs "-- +goose Up" before'],
    ['has Up twice', { '1_a.sql': '-- +goose Up\n-- +goose Up' }, 'line 2: goose allows only one'],
    ['is empty', { '1_a.sql': '' }, 'line 1: goose needs a line'],
    ['replaces variables', { '1_a.sql': '-- +goose Up\n-- +goose ENVSUB ON' }, 'line 2: Tenantry replaces no'],
    ['has code', { '1_a.go': '' }, '1_a.go, line 1: it is no SQL'],
    ['has a version 0', { '0_a.sql': '-- +goose Up' }, 'from 1'],
    ['has a version twice', { '01_a.sql': '-- +goose Up', '1_b.sql': '-- +goose Up' }, 'has the same number'],
  ])('is refused where a file %s', async (_, made, message) => {
    const error = await errorOf(source(await folderWith(made)).fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringContaining(message) })
  })
})

describe('the layout of Flyway', () => {
  const source = (folder: string) => sqlFiles(folder, { layout: 'flyway' })
  const files = {
    'V1__note.sql': note,
    'V1_2__a_second.sql': 'alter table note add body text;',
    'later/V1.10__tag.sql': 'create table tag (id int);\r\ncreate index tag_id on tag (id);\n',
    'R__shown_notes.sql': 'create or replace view shown as select id from note;',
    'U1__note.sql': 'drop table note;',
  }
  const columns = 'installed_rank, version, description, type, script, checksum, execution_time, success'
  const history = (database: string) =>
    queryIn(database, `select ${columns} from flyway_schema_history order by installed_rank`)

  it('records what Flyway records', async () => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, source(await folderWith(files)))
    const row = { type: 'SQL', execution_time: 0, success: true }
    expect(await history(name)).toEqual([
      { installed_rank: 1, version: '1', description: 'note', script: 'V1__note.sql', checksum: -1372385156, ...row },
      {
        installed_rank: 2,
        version: '1.2',
        description: 'a second',
        script: 'V1_2__a_second.sql',
        checksum: -1264861171,
        ...row,
      },
      {
        installed_rank: 3,
        version: '1.10',
        description: 'tag',
        script: 'later/V1.10__tag.sql',
        checksum: 1599556747,
        ...row,
      },
      {
        installed_rank: 4,
        version: null,
        description: 'shown notes',
        script: 'R__shown_notes.sql',
        checksum: 663703858,
        ...row,
      },
    ])
    expect(await queryIn(name, 'select distinct installed_by from flyway_schema_history')).toEqual([
      { installed_by: 'postgres' },
    ])
  })

  it('continues a history of Flyway, which has a baseline', async () => {
    const { url, name } = await existingDatabase()
    await queryIn(
      name,
      note,
      `create table flyway_schema_history (installed_rank int not null, version varchar(50), description varchar(200) not null,
         type varchar(20) not null, script varchar(1000) not null, checksum int, installed_by varchar(100) not null,
         installed_on timestamp not null default now(), execution_time int not null, success boolean not null)`,
      'alter table flyway_schema_history add constraint flyway_schema_history_pk primary key (installed_rank)',
      'create index flyway_schema_history_s_idx on flyway_schema_history (success)',
      `insert into flyway_schema_history values
         (0, null, '<< Flyway Schema Creation >>', 'SCHEMA', '"public"', null, 'postgres', now(), 0, true),
         (1, '1.0', '<< Flyway Baseline >>', 'BASELINE', '<< Flyway Baseline >>', null, 'postgres', now(), 0, true)`,
    )
    const folder = await folderWith(files)
    expect((await ensureTables(url, source(folder))).created).toContainEqual({ kind: 'table', name: 'tag' })
    expect((await history(name)).slice(2)).toMatchObject([
      { installed_rank: 2, version: '1.2' },
      { installed_rank: 3, version: '1.10' },
      { installed_rank: 4, version: null },
    ])
    expect(await checkDatabase(url, source(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('applies a repeatable file again when it was changed, after the others', async () => {
    const folder = await folderWith(files)
    const { url, name } = await existingDatabase()
    await ensureTables(url, source(folder))
    await addFiles(folder, {
      'V2__more.sql': 'alter table note add more int;',
      'R__shown_notes.sql': 'create or replace view shown as select id, more from note;',
    })
    await ensureTables(url, source(folder))
    expect(await queryIn(name, 'select more from shown')).toEqual([])
    expect((await history(name)).slice(4)).toMatchObject([
      { version: '2' },
      { version: null, description: 'shown notes', checksum: expect.any(Number) },
    ])
    await ensureTables(url, source(folder))
    expect(await history(name)).toHaveLength(6)
  })

  it('runs a file that has a transaction of its own where its settings say so', async () => {
    const folder = await folderWith({ 'V1__own.sql': `begin;\n${note}\ncommit;` })
    const { url } = await existingDatabase()
    const refusal = {
      code: 'models-invalid',
      message: expect.stringContaining('V1__own.sql, line 1: a migration cannot'),
    }
    expect(await errorOf(ensureTables(url, source(folder)))).toMatchObject(refusal)
    await addFiles(folder, { 'V1__own.sql.conf': 'encoding=UTF-8\r\nexecuteInTransaction=false\r\n' })
    expect((await ensureTables(url, source(folder))).created).toContainEqual({ kind: 'table', name: 'note' })
  })

  it('refuses a file that was changed, and a history with a failure', async () => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, source(await folderWith(files)))
    const edited = await folderWith({ ...files, 'V1__note.sql': `${note} ` })
    const changed = { code: 'schema-conflict', message: expect.stringContaining('V1__note.sql was changed') }
    expect(await errorOf(ensureTables(url, source(edited)))).toMatchObject(changed)
    await queryIn(name, 'update flyway_schema_history set success = false where installed_rank = 2')
    const failed = { code: 'schema-conflict', message: expect.stringContaining('V1_2__a_second.sql') }
    expect(await errorOf(ensureTables(url, source(await folderWith(files))))).toMatchObject(failed)
  })

  it.each<[string, Files, string]>([
    ['has placeholders', { 'V1__a.sql': 'select 1;\nselect ${x};' }, 'V1__a.sql, line 2: Tenantry replaces no'],
    ['has a baseline', { 'B1__a.sql': '' }, 'no baselines'],
    ['has a callback', { 'V1__a.sql': '', 'afterMigrate__grants.sql': '' }, 'no callbacks'],
    ['has a version twice', { 'V1__a.sql': '', 'V1.0__b.sql': '' }, 'has the same number'],
  ])('is refused where it %s', async (_, made, message) => {
    const error = await errorOf(source(await folderWith(made)).fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringContaining(message) })
  })
})
