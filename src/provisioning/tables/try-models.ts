import { TenantryError } from '../../kernel/errors.ts'
import type { SchemaSource } from '../../models/port.ts'
import type { Server, Session } from '../../server/port.ts'
import { mismatches } from '../../structure/comparison.ts'
import { lookAt, reported } from './compare-database.ts'
import { makeTables } from './create-tables.ts'

/**
 * Creates the tables of the models in an empty scratch database, and compares it with the models.
 *
 * @throws `models-invalid`, `verification-failed` if it does not match them, and the error of a statement
 */
export async function tryModels(server: Server, schema: SchemaSource, session: Session): Promise<void> {
  const fingerprint = await schema.fingerprint()
  await makeTables(session, schema)
  const found = mismatches(reported(await lookAt(session, { server, schema, fingerprint }), schema))
  if (found.length > 0) throw new TenantryError('verification-failed', `once created, ${found.join(', ')}`)
}
