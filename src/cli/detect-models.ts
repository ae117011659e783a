import { existsSync, readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import { dirname, join, posix, relative } from 'node:path'

/** A file with the entities that it exports. */
export interface EntityFile {
  readonly file: string
  readonly names: readonly string[]
}

/** The models of a project, for its starting configuration. */
export interface DetectedModels {
  /** The adapter that reads the tables. */
  readonly adapter: 'mikro-orm' | 'drizzle' | 'prisma' | 'typeorm' | 'kysely' | 'sql'
  /** The lines that import what `expression` uses. */
  readonly imports: readonly string[]
  readonly expression: string
  /** The packages that it takes. */
  readonly packages: readonly string[]
  /** The findings, in a few words each. */
  readonly found: readonly string[]
}

/** A project's folder, the packages that it depends on, and its entities of MikroORM or TypeORM. */
export interface Searched {
  readonly folder: string
  readonly dependencies: readonly string[]
  readonly entities: readonly EntityFile[]
}

/** Finds out which library a project's tables belong to, by its files and package.json; MikroORM if none is found. */
export async function detectModels(searched: Searched): Promise<DetectedModels> {
  const { folder, dependencies, entities } = searched
  const first = await firstMigration(folder)
  const ofMikroOrm = first !== undefined && isOfMikroOrm(join(folder, first)) ? dirname(first) : undefined
  const isTypeOrm = dependencies.includes('typeorm') && !dependencies.includes('@mikro-orm/core')
  if (entities.length > 0 && isTypeOrm) return typeOrmModels(folder, entities, first)
  if (entities.length > 0 || ofMikroOrm !== undefined) return mikroOrmModels(folder, entities, ofMikroOrm)
  return prismaModels(folder) ?? drizzleModels(folder) ?? migrationsIn(searched, first) ?? mikroOrmModels(folder, [])
}

/** Finds the first file of a folder of migrations, in the places where the tools have it. */
async function firstMigration(folder: string): Promise<string | undefined> {
  const files: string[] = []
  const options = { cwd: folder, exclude: (name: string) => name === 'node_modules' }
  for await (const file of glob('{,db/,src/,sql/,src/db/,database/}migrations/*.{sql,ts,js}', options)) files.push(file)
  return files.map((file) => file.replaceAll('\\', '/')).toSorted()[0]
}

function isOfMikroOrm(file: string): boolean {
  return !file.endsWith('.sql') && readFileSync(file, 'utf8').includes('@mikro-orm/migrations')
}

function mikroOrmModels(folder: string, entities: readonly EntityFile[], migrations?: string): DetectedModels {
  const { imports, list, found } = entityImports(folder, entities)
  const more = migrations === undefined ? '' : `, migrations: { path: \`\${import.meta.dirname}/${migrations}\` }`
  return {
    adapter: 'mikro-orm',
    imports: [`import { mikroOrm } from 'tenantry/mikro-orm'`, ...imports],
    expression: `mikroOrm({ entities: ${list}${more} })`,
    packages: ['@mikro-orm/core', '@mikro-orm/postgresql', ...(migrations ? ['@mikro-orm/migrations'] : [])],
    found: [...found, ...(migrations ? [`migrations in ${relativePath(migrations)}`] : [])],
  }
}

function typeOrmModels(folder: string, entities: readonly EntityFile[], first: string | undefined): DetectedModels {
  const { imports, list, found } = entityImports(folder, entities)
  const isCode = first !== undefined && !first.endsWith('.sql')
  const migrations = isCode ? `${posix.dirname(first)}/*${posix.extname(first)}` : undefined
  const more = migrations === undefined ? '' : `, migrations: [\`\${import.meta.dirname}/${migrations}\`]`
  return {
    adapter: 'typeorm',
    imports: [`import { typeorm } from 'tenantry/typeorm'`, ...imports],
    expression: `typeorm({ entities: ${list}${more} })`,
    packages: ['typeorm'],
    found: [...found, ...(migrations === undefined ? [] : [`migrations in ./${posix.dirname(migrations)}`])],
  }
}

function entityImports(folder: string, entities: readonly EntityFile[]) {
  const paths = entities.map(({ file }) => relative(folder, file).replaceAll('\\', '/'))
  return {
    imports: entities.map(({ names }, i) => `import { ${names.join(', ')} } from './${paths[i]}'`),
    list: `[${entities.flatMap(({ names }) => names).join(', ')}]`,
    found: entities.map(({ names }, i) => `entities of ${paths[i]}: ${names.join(', ')}`),
  }
}

function prismaModels(folder: string): DetectedModels | undefined {
  const schema = ['prisma/schema.prisma', 'schema.prisma'].find((file) => existsSync(join(folder, file)))
  if (schema === undefined) return undefined
  const migrations = `./${posix.join(dirname(schema), 'migrations')}`
  const text = readFileSync(join(folder, schema), 'utf8')
  const [, output] = /^\s*output\s*=\s*"([^"]+)"/m.exec(text) ?? []
  const client =
    output === undefined
      ? '@prisma/client'
      : `./${posix.join(dirname(schema), output, 'client.ts')}`.replace('./../', '../')
  return {
    adapter: 'prisma',
    imports: [`import { prisma } from 'tenantry/prisma'`, `import { PrismaClient } from '${client}'`],
    expression: `prisma({ migrations: ${folderUrl(migrations)}, client: (adapter) => new PrismaClient({ adapter }) })`,
    packages: ['@prisma/client', '@prisma/adapter-pg'],
    found: [`Prisma's migrations in ${migrations}`],
  }
}

function drizzleModels(folder: string): DetectedModels | undefined {
  const config = ['ts', 'mts', 'js', 'mjs']
    .map((end) => `drizzle.config.${end}`)
    .find((name) => existsSync(join(folder, name)))
  if (config === undefined) return undefined
  const text = readFileSync(join(folder, config), 'utf8')
  const [schema, out = './drizzle'] = ['schema', 'out'].map((key) => stringOption(text, key))
  const hasSchema = schema !== undefined && existsSync(join(folder, schema)) && /\.[mc]?[jt]s$/.test(schema)
  const options = [...(hasSchema ? ['schema'] : []), `migrations: ${folderUrl(out)}`]
  return {
    adapter: 'drizzle',
    imports: [
      `import { drizzle } from 'tenantry/drizzle'`,
      ...(hasSchema ? [`import * as schema from '${relativePath(schema)}'`] : []),
    ],
    expression: `drizzle({ ${options.join(', ')} })`,
    packages: ['drizzle-orm', 'pg'],
    found: [`Drizzle's migrations in ${out}`],
  }
}

/** Returns the value of an option in the text of a configuration, if it is a literal. */
function stringOption(text: string, key: string): string | undefined {
  return new RegExp(`\\b${key}:\\s*['"\`]([^'"\`]+)['"\`]`).exec(text)?.[1]
}

/** The marks of each tool in its files, or their names. */
const layouts = [
  { layout: 'dbmate', isOf: (_: string, text: string) => /^-- migrate:up\b/m.test(text) },
  { layout: 'goose', isOf: (_: string, text: string) => /^-- \+goose Up\b/m.test(text) },
  { layout: 'node-pg-migrate', isOf: (_: string, text: string) => /^-- Up Migration\b/m.test(text) },
  { layout: 'flyway', isOf: (name: string) => /^V[\d._]+__/.test(name) },
] as const

function migrationsIn({ folder, dependencies }: Searched, first: string | undefined): DetectedModels | undefined {
  if (first === undefined) return undefined
  const at = relativePath(dirname(first))
  const hasKysely = dependencies.includes('kysely')
  if (!first.endsWith('.sql') && !hasKysely) return undefined
  const handles = hasKysely ? 'kysely()' : 'handlesOver(pgPool)'
  const common = { packages: [hasKysely ? 'kysely' : 'pg'], found: [`migrations in ${at}`] }
  if (!first.endsWith('.sql')) {
    return {
      ...common,
      adapter: 'kysely',
      imports: [`import { kysely, kyselyMigrations } from 'tenantry/kysely'`],
      expression: `{ schema: kyselyMigrations(${folderUrl(at)}), handles: ${handles} }`,
    }
  }
  const text = readFileSync(join(folder, first), 'utf8')
  const layout = layouts.find(({ isOf }) => isOf(posix.basename(first), text))?.layout
  const more = layout === undefined ? '' : `, { layout: '${layout}' }`
  return {
    ...common,
    adapter: 'sql',
    imports: [
      `import { sqlFiles } from 'tenantry/sql'`,
      ...(hasKysely
        ? [`import { kysely } from 'tenantry/kysely'`]
        : [`import { handlesOver } from 'tenantry'`, `import { pgPool } from 'tenantry/postgres'`]),
    ],
    expression: `{ schema: sqlFiles(${folderUrl(at)}${more}), handles: ${handles} }`,
  }
}

/** Returns a folder as code that does not depend on the working directory. */
function folderUrl(path: string): string {
  return `new URL('${relativePath(path)}/', import.meta.url)`
}

function relativePath(path: string): string {
  return path.startsWith('.') ? path.replace(/\/$/, '') : `./${path.replace(/\/$/, '')}`
}
