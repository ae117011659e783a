import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { TenantryError, messageOf } from '../../kernel/errors.ts'

/** One of Prisma's migrations. */
export interface PrismaMigration {
  /** Its file, in the folder. */
  readonly file: string
  /** The name of its folder. */
  readonly name: string
  /** The SQL as the file has it: Prisma's checksum is that of the file. */
  readonly text: string
}

/** Reads the migrations of a `prisma/migrations` folder, in their order. @throws `models-invalid` */
export async function readMigrations(folder: string): Promise<readonly PrismaMigration[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    const names = entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).toSorted()
    if (names.length === 0) throw prismaFolderError(`${resolve(folder)} has no migrations.`)
    requirePostgres(await readFile(join(folder, 'migration_lock.toml'), 'utf8'))
    return await Promise.all(
      names.map(async (name) => {
        const file = `${name}/migration.sql`
        const text = await readFile(join(folder, file), 'utf8')
        if (text.includes('\0')) throw prismaFolderError(`${file} is not in UTF-8.`)
        return { name, file, text }
      }),
    )
  } catch (error) {
    throw error instanceof TenantryError
      ? error
      : prismaFolderError(`The migrations cannot be read: ${messageOf(error)}.`, error)
  }
}

function requirePostgres(lockFile: string): void {
  const [, provider] = /^\s*provider\s*=\s*"([^"]*)"/m.exec(lockFile) ?? []
  if (provider === 'postgresql' || provider === 'postgres') return
  throw prismaFolderError(`migration_lock.toml is not of PostgreSQL: its provider is ${provider ?? 'missing'}.`)
}

function prismaFolderError(message: string, cause?: unknown): TenantryError {
  return new TenantryError('models-invalid', message, {
    cause,
    hint: "Give prisma() the folder that npx prisma migrate dev writes: prisma({ migrations: './prisma/migrations', client }).",
  })
}
