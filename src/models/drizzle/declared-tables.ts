import type { DrizzleConfig } from 'drizzle-orm'
import { TenantryError, messageOf } from '../../kernel/errors.ts'
import { sha256 } from '../../kernel/hash.ts'
import type { SchemaSource } from '../port.ts'
import { describeDeclared } from './describe-declared.ts'

type Casing = DrizzleConfig['casing']

/** Reads the tables that a schema declares. drizzle-kit is loaded when they are created, not for the fingerprint. */
export function declaredTables(schema: Record<string, unknown>, casing: Casing): SchemaSource {
  return {
    // Drizzle writes `public` into references to tables that name no schema.
    defaultSchema: 'public',
    fingerprint: async () => sha256(declarationOf(schema, casing)),
    create: async (session) => session.script(await statementsOfKit(schema, casing)),
  }
}

function declarationOf(schema: Record<string, unknown>, casing: Casing): string {
  try {
    return describeDeclared(schema, casing)
  } catch (error) {
    throw error instanceof TenantryError ? error : schemaError(messageOf(error), error)
  }
}

async function statementsOfKit(schema: Record<string, unknown>, casing: Casing): Promise<readonly string[]> {
  const { generateDrizzleJson, generateMigration } = await loadKit()
  try {
    const declared = withoutExit(() => generateDrizzleJson(schema, undefined, undefined, casing))
    return await generateMigration(generateDrizzleJson({}), declared)
  } catch (error) {
    throw schemaError(messageOf(error), error)
  }
}

/** The part of `drizzle-kit/api` that is used. Its own types need packages for other databases. */
interface Kit {
  readonly generateDrizzleJson: (
    imports: Record<string, unknown>,
    previous?: string,
    schemas?: string[],
    casing?: Casing,
  ) => Snapshot
  readonly generateMigration: (previous: Snapshot, current: Snapshot) => Promise<string[]>
}

type Snapshot = object

/** Loads drizzle-kit, which takes 100 MB: only where tables are created or compared. @throws `models-invalid` */
async function loadKit(): Promise<Kit> {
  try {
    return await import('drizzle-kit/api')
  } catch (error) {
    throw new TenantryError('models-invalid', `drizzle-kit cannot be loaded: ${messageOf(error)}`, {
      cause: error,
      hint: "npm install drizzle-kit@^0.31, also for production; or give the generated folder: drizzle({ schema, migrations: './drizzle' }).",
    })
  }
}

/** Runs drizzle-kit, which prints why it refuses a schema, and ends the process. */
function withoutExit<Value>(work: () => Value): Value {
  // oxlint-disable-next-line typescript/unbound-method -- it is put back where it was
  const { exit } = process
  process.exit = () => {
    throw new Error('drizzle-kit refuses it, and has printed why.')
  }
  try {
    return work()
  } finally {
    process.exit = exit
  }
}

function schemaError(message: string, cause: unknown): TenantryError {
  return new TenantryError('models-invalid', `The Drizzle schema cannot be used: ${message}`, {
    cause,
    hint: 'Check what is given to drizzle() as schema: "npx drizzle-kit generate" has to accept it.',
  })
}
