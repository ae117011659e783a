import { existsSync, readFileSync } from 'node:fs'
import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type DetectedModels, detectModels, type EntityFile } from './detect-models.ts'
import { dependenciesOf } from './package-json.ts'

/** The facts about a project that a starting configuration depends on. */
export interface Project {
  readonly folder: string
  readonly hasTypeScript: boolean
  readonly models: DetectedModels
  /** The files that declare entities of MikroORM or TypeORM, with the names that they export. */
  readonly entities: readonly EntityFile[]
  /** Packages that the configuration uses and the project does not have, as arguments of `npm install`. */
  readonly missing: readonly string[]
}

/** Reads a project's package.json and source files. */
export async function describeProject(folder: string): Promise<Project> {
  const dependencies = dependenciesOf(folder) ?? []
  const files: string[] = []
  const options = { cwd: folder, exclude: (name: string) => ignored.has(name) || name.endsWith('.d.ts') }
  for await (const name of glob('**/*.{ts,mts,js,mjs}', options)) files.push(join(folder, name))
  const read = await Promise.all(files.toSorted().map(readEntities))
  const entities = read.filter(({ names }) => names.length > 0)
  const models = await detectModels({ folder, dependencies, entities })
  return {
    folder,
    hasTypeScript: existsSync(join(folder, 'tsconfig.json')) || dependencies.includes('typescript'),
    models,
    entities,
    missing: ['tenantry', ...models.packages].filter((name) => !dependencies.includes(name)).map(withVersion),
  }
}

/** Returns a package with its version, since MikroORM's packages must all be of one version. */
function withVersion(name: string): string {
  const file = new URL('../../package.json', import.meta.url)
  const { peerDependencies } = JSON.parse(readFileSync(file, 'utf8')) as { peerDependencies: Record<string, string> }
  const range = peerDependencies[name]
  return range === undefined ? name : `${name}@${range.replace('^', '')}`
}

const ignored: ReadonlySet<string> = new Set([
  'node_modules',
  'dist',
  'build',
  '.git',
  'coverage',
  'test',
  'tests',
  'temp',
])

/** `export const User = defineEntity(...)` or `new EntitySchema(...)`, and classes that a decorator makes entities. */
const declared = [
  /export\s+const\s+(\w+)\s*=\s*(?:defineEntity|new\s+EntitySchema)\b/g,
  /export\s+class\s+(\w+)\s+extends\s+\w+\.class\b/g,
  /@Entity\s*\([^)]*\)\s*(?:@\w+\s*\([^)]*\)\s*)*export\s+(?:abstract\s+)?class\s+(\w+)/g,
]

async function readEntities(file: string): Promise<EntityFile> {
  const text = await readFile(file, 'utf8')
  const names = declared.flatMap((pattern) => [...text.matchAll(pattern)].map(([, name]) => name ?? ''))
  return { file, names: [...new Set(names)].filter((name) => !isSchemaOfClass(text, name)) }
}

/**
 * True for `const UserSchema = defineEntity(...)` with `class User extends UserSchema.class`: the class is the entity.
 */
function isSchemaOfClass(text: string, name: string): boolean {
  return new RegExp(`extends\\s+${name}\\.class\\b`).test(text)
}
