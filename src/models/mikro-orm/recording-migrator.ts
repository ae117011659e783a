import type { IMigrationRunner } from '@mikro-orm/core'
import { Migrator, type Query } from '@mikro-orm/migrations'
import type { MikroORM } from '@mikro-orm/postgresql'
import { TenantryError } from '../../kernel/errors.ts'
import { type RecordedMigration, recordingError } from '../migrations/recorded.ts'
import { MigrationRecording } from './migration-recording.ts'
import { sharedWithTenant } from './tenant-entity-manager.ts'

type Migration = Parameters<IMigrationRunner['run']>[0]

/** Runs all migrations without a database, as MikroORM's Migrator finds and orders them. @throws `models-invalid` */
export async function recordMigrations(orm: MikroORM): Promise<readonly RecordedMigration[]> {
  const recording = new MigrationRecording()
  const em = sharedWithTenant(orm, recording.asPool(), { id: 'migrations', rowId: 'migrations' })
  const recorded = await new RecordingMigrator(em).record(recording)
  const twice = recorded.find(({ name }, i) => recorded.findIndex((it) => it.name === name) < i)
  if (twice !== undefined) throw listError(`Two migrations have the name ${twice.name}.`)
  if (recorded.length === 0) throw listError('There are no migrations.')
  return recorded
}

/** MikroORM's Migrator, with a runner that records. It is never told to migrate. */
class RecordingMigrator extends Migrator {
  async record(recording: MigrationRecording): Promise<readonly RecordedMigration[]> {
    let isOutside = false
    this.runner = {
      run: async (migration) => {
        isOutside = this.options.transactional === false || !migration.isTransactional()
        await this.#run(migration, recording, isOutside)
      },
      setMasterMigration: () => undefined,
      unsetMasterMigration: () => undefined,
    }
    await this.resolvePaths()
    const recorded: RecordedMigration[] = []
    for (const { name, up } of await this.discoverMigrations()) {
      recording.begin(name)
      try {
        await up()
        recorded.push({ name, statements: recording.end(), isOutside })
      } catch (error) {
        throw recordingError(name, error)
      }
    }
    return recorded
  }

  /** Does what MikroORM's runner does, without the statements that set up the session. */
  async #run(migration: Migration, recording: MigrationRecording, isOutside: boolean): Promise<void> {
    if (isOutside) await migration.up()
    else
      await this.driver.getConnection().transactional(async (transaction) => {
        migration.setTransactionContext(transaction)
        await migration.up()
      })
    recording.beginAdded()
    const queries: readonly Query[] = migration.getQueries?.() ?? []
    for (const query of queries) if (typeof query !== 'string' || query.trim() !== '') await this.driver.execute(query)
  }
}

function listError(message: string): TenantryError {
  return new TenantryError('models-invalid', message, {
    hint: "Name the folder or the classes: mikroOrm({ entities, migrations: { path: './migrations' } }).",
  })
}
