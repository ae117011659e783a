import type { MigrationsOptions } from '@mikro-orm/core'
import { Migrator } from '@mikro-orm/migrations'
import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql'
import { mikroOrm } from 'tenantry/mikro-orm'
import { serverUrl } from '../../support/server.ts'

/** The only entity: the tables come from migrations. */
export const Person = defineEntity({
  name: 'Person',
  properties: { id: p.integer().primary(), name: p.string() },
})

/** Returns the models of migrations. */
export function migratedBy(migrations: MigrationsOptions) {
  return mikroOrm({ entities: [Person], migrations })
}

/** Runs MikroORM's own Migrator on a database, and returns the names of the migrations that it applied. */
export async function migrateByMikroOrm(database: string, migrations: MigrationsOptions): Promise<readonly string[]> {
  const orm = await MikroORM.init({
    entities: [Person],
    clientUrl: serverUrl({ database }),
    extensions: [Migrator],
    migrations: { ...migrations, snapshot: false, silent: true },
  })
  try {
    return (await orm.migrator.up()).map(({ name }) => name)
  } finally {
    await orm.close()
  }
}
