// A service without an ORM: its tables are plain SQL files, and its queries are Kysely's.

import type { Generated } from 'kysely'
import { openTenantry } from 'tenantry'
import { kysely } from 'tenantry/kysely'
import { sqlFiles } from 'tenantry/sql'

interface Tables {
  readonly person: { readonly id: Generated<number>; readonly name: string }
  readonly note: {
    readonly id: Generated<number>
    readonly person_id: number
    readonly body: string
    readonly created_at: Generated<Date>
  }
}

await using tenantry = await openTenantry({
  models: { schema: sqlFiles(new URL('migrations/', import.meta.url)), handles: kysely<Tables>() },
  installation: 'notes',
})

for (const id of ['acme', 'globex']) {
  const { outcome, tenant } = await tenantry.onboard(id)
  console.log(`${id}: ${outcome}, in ${tenant.database}`)
}

await tenantry.with('acme', (db) =>
  db.transaction().execute(async (trx) => {
    const { id } = await trx.insertInto('person').values({ name: 'Ada' }).returning('id').executeTakeFirstOrThrow()
    await trx.insertInto('note').values({ person_id: id, body: 'Hello from acme.' }).execute()
  }),
)

for (const id of ['acme', 'globex']) {
  const notes = await tenantry.with(id, (db) => db.selectFrom('note').select('body').orderBy('id').execute())
  console.log(`${id} has ${notes.length} notes`, ...notes.map(({ body }) => body))
}
