import { relative } from 'node:path'
import type { Project } from './project.ts'

/** Returns the text of a starting configuration. */
export function startingConfig({ folder, entities }: Project): string {
  const imports = entities.map(({ file, names }) => {
    const path = relative(folder, file).replaceAll('\\', '/')
    return `import { ${names.join(', ')} } from './${path}'`
  })
  const names = entities.flatMap((file) => file.names)
  return `${[
    `import { defineConfig } from 'tenantry'`,
    `import { mikroOrm } from 'tenantry/mikro-orm'`,
    `import { postgres } from 'tenantry/postgres'`,
    ...imports,
    ``,
    `// Without DATABASE_URL an embedded PostgreSQL is used, in .tenantry/, for development only.`,
    `const url = process.env.DATABASE_URL`,
    ``,
    `export default defineConfig({`,
    `  // The entities that every tenant's database has.`,
    `  models: mikroOrm({ entities: [${names.join(', ')}] }),`,
    `  ...(url && { servers: [postgres({ url, maxConnections: 10 })] }),`,
    `  hooks: {`,
    `    // Runs for every new tenant before it is active. It may run again, so what it does elsewhere must bear that.`,
    `    // initialise: async (em, tenant) => {},`,
    `    // Runs on every copy that "tenantry clone" makes.`,
    `    // anonymise: async (em, tenant) => {},`,
    `  },`,
    `})`,
  ].join('\n')}\n`
}
