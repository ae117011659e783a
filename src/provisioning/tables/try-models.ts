import { TenantryError } from '../../kernel/errors.ts'
import type { SchemaSource } from '../../models/port.ts'
import type { Server, Session } from '../../server/port.ts'
import { mismatches } from '../../structure/comparison.ts'
import { lookWith, reported, scriptOf, wordedLike } from './compare-database.ts'
import { makeTables } from './create-tables.ts'

/**
 * Creates the tables of the models in an empty scratch database, and compares it with the models.
 *
 * @throws `models-invalid`, `verification-failed` if it does not match them, and the error of a statement
 */
export async function tryModels(server: Server, schema: SchemaSource, session: Session): Promise<void> {
  const fingerprint = await schema.fingerprint()
  const compared = { server, schema, fingerprint }
  await makeTables(session, schema)
  const live = await server.structures.read(session)
  // Not remembered: the name of the database is never used again.
  const built = await server.structures.build(session, await scriptOf(compared), schema.defaultSchema)
  const desired = built && wordedLike(live.structure, built, schema.defaultSchema)
  const found = mismatches(reported(await lookWith(live, desired, compared), schema))
  if (found.length > 0) throw new TenantryError('verification-failed', `once created, ${found.join(', ')}`)
}
