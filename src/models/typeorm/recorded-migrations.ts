import { type Migration, MigrationExecutor, type QueryRunner, type Table } from 'typeorm'
import { TenantryError, messageOf } from '../../kernel/errors.ts'
import { onConnections, type ReadEntities } from './entities.ts'
import { answerOfSchema, emptyDatabase, Recorder } from './recorder.ts'

/** The statements that a migration sends. */
export interface RecordedMigration {
  readonly name: string
  readonly timestamp: number
  readonly statements: readonly string[]
}

/**
 * Runs all migrations without a database, in TypeORM's order, and returns what they send. They run twice: a fingerprint
 * must be the same in every process.
 *
 * @throws `models-invalid` if one reads rows
 */
export async function recordTypeOrmMigrations(entities: ReadEntities): Promise<readonly RecordedMigration[]> {
  const migrations = await loadMigrations(entities)
  const [first, again] = [await recordRun(entities, migrations), await recordRun(entities, migrations)]
  const changing = first.find(({ statements }, i) => statements.join('\n') !== again[i]?.statements.join('\n'))
  if (changing === undefined) return first
  throw new TenantryError('models-invalid', `The migration ${changing.name} sends other statements each time.`, {
    hint: 'Let PostgreSQL make random values and times, as by gen_random_uuid() and now().',
  })
}

async function loadMigrations({ dataSource, silent }: ReadEntities): Promise<readonly Migration[]> {
  const nothing = new Recorder(emptyDatabase)
  const hint = "Give typeorm() the classes of the migrations, or their files: migrations: ['dist/migrations/*.js']."
  try {
    const empty = onConnections(dataSource, async () => nothing, { logger: silent })
    const migrations = await new MigrationExecutor(empty).getPendingMigrations()
    if (migrations.length > 0) return migrations
  } catch (error) {
    const message = `The migrations cannot be used: ${messageOf(error)}`
    throw new TenantryError('models-invalid', message, { cause: error, hint })
  }
  throw new TenantryError('models-invalid', 'There are no migrations.', { hint })
}

/** Runs all migrations, on one runner. */
async function recordRun(
  { dataSource, silent }: ReadEntities,
  migrations: readonly Migration[],
): Promise<readonly RecordedMigration[]> {
  const recorded: RecordedMigration[] = []
  let recording = recordingOf('')
  const connection = {
    query: (query: unknown, values: unknown) => recording.recorder.query(query, values),
    release: () => undefined,
  }
  const copy = onConnections(dataSource, async () => connection, { logger: silent, subscribers: [] })
  const runner = remembering(copy.createQueryRunner())
  for (const { name, timestamp, instance } of migrations) {
    recording = recordingOf(name)
    const { recorder, refused } = recording
    try {
      // As TypeORM does, but for one that is to run without.
      if (instance?.transaction !== false && !runner.isTransactionActive) await runner.startTransaction()
      await instance?.up(runner)
    } catch (error) {
      throw refused[0] ?? failedToRecord(name, error)
    }
    // Also one that the migration has caught: it would go on without rows.
    if (refused[0] !== undefined) throw refused[0]
    recorded.push({ name, timestamp, statements: await recorder.statements() })
  }
  return recorded
}

/** Returns a recorder whose rows cannot be read, and the refusals to do so. */
function recordingOf(name: string) {
  const refused: TenantryError[] = []
  const refuse = (what: string, hint: string): never => {
    const error = new TenantryError('models-invalid', `The migration ${name} ${what}.`, { hint })
    refused.push(error)
    throw error
  }
  const refuseRows = () =>
    refuse(
      'reads rows',
      'Let SQL do the work, as by INSERT ... SELECT: the statements of migrations must be known without a database.',
    )
  const answer = (text: string) => {
    if (/^\s*ROLLBACK\b/i.test(text)) refuse('rolls back', 'Leave it to Tenantry, which rolls back what fails.')
    return answerOfSchema(text)
  }
  // `await` looks for `then`.
  const get = (_: unknown, key: string | symbol) => (key === 'then' ? undefined : refuseRows())
  return { recorder: new Recorder(answer, new Proxy([], { get, ownKeys: refuseRows })), refused }
}

/**
 * Lets a runner remember the tables that migrations create by its methods, so that later ones can change them: TypeORM
 * reads a table to do so. Other tables are not known, and refused.
 */
function remembering(runner: QueryRunner): QueryRunner {
  const known: Table[] = []
  const own = runner as QueryRunner & {
    loadTables(names?: readonly string[]): Promise<Table[]>
    getTablePath(target: Table | string): string
  }
  const [createTable, loadTables] = [own.createTable.bind(own), own.loadTables.bind(own)]
  return Object.assign(own, {
    // Without a look for a table of that name: PostgreSQL refuses a second one.
    createTable: async (table: Table, _ifNotExists?: boolean, ...rest: boolean[]) => {
      await createTable(table, false, ...rest)
      known.push(table.clone())
    },
    loadTables: async (names: readonly string[] = ['']) => {
      const paths = names.map((name) => own.getTablePath(name))
      const found = known.filter((table) => paths.includes(own.getTablePath(table)))
      return found.length === paths.length ? found : loadTables(names)
    },
  })
}

function failedToRecord(name: string, error: unknown): TenantryError {
  return new TenantryError('models-invalid', `The migration ${name} failed: ${messageOf(error)}`, {
    cause: error,
    hint: 'It runs without a database, to record its statements: let it do nothing but send them.',
  })
}
