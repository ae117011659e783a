import { TenantryError, messageOf } from '../../kernel/errors.ts'
import { sha256 } from '../../kernel/hash.ts'
import type { SchemaSource } from '../port.ts'
import { onConnections, type ReadEntities, schemaStatements } from './entities.ts'
import { emptyDatabase, Recorder } from './recorder.ts'

/** Reads the tables that the entities declare: those that TypeORM's `synchronize` makes in an empty database. */
export function declaredEntities(entities: () => Promise<ReadEntities>): SchemaSource {
  let recording: Promise<readonly string[]> | undefined
  const statements = () => (recording ??= entities().then(recordSynchronize))
  return {
    defaultSchema: 'public',
    fingerprint: async () => sha256(JSON.stringify((await statements()).toSorted())),
    create: async (session) => session.script(await statements()),
  }
}

async function recordSynchronize({ dataSource, extensions, silent }: ReadEntities): Promise<readonly string[]> {
  const recorder = new Recorder(emptyDatabase)
  const schemas = dataSource.entityMetadatas.flatMap(({ schema }) => (schema === undefined ? [] : [schema]))
  try {
    await onConnections(dataSource, async () => recorder, { logger: silent, subscribers: [] }).synchronize()
  } catch (error) {
    throw new TenantryError('models-invalid', `TypeORM cannot make the tables of the entities: ${messageOf(error)}`, {
      cause: error,
      hint: 'Check the entities given to typeorm(): "typeorm schema:log" has to accept them.',
    })
  }
  return [...schemaStatements(schemas), ...extensions, ...(await recorder.statements())]
}
