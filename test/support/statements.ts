import { handlesOver, type Models, type SchemaSource } from 'tenantry'
import { pgPool } from 'tenantry/postgres'

/** A schema that is nothing but statements. */
export function schemaOf(...statements: readonly string[]): SchemaSource {
  return {
    defaultSchema: 'public',
    fingerprint: async () => JSON.stringify(statements),
    create: (session) => session.script(statements),
  }
}

/** Models of statements, used through a pool like that of `pg`. */
export function modelsOf(...statements: readonly string[]): Models<ReturnType<typeof pgPool>> {
  return { schema: schemaOf(...statements), handles: handlesOver(pgPool) }
}
