import type { Project } from './project.ts'

/** Returns the text of a starting configuration. */
export function startingConfig({ models }: Project): string {
  const { adapter, imports, expression } = models
  const [handle, others] = words[adapter] ?? ['db', 'tables']
  return `${[
    ...together([
      `import { defineConfig } from 'tenantry'`,
      ...imports,
      `import { postgres } from 'tenantry/postgres'`,
    ]),
    ``,
    `// Without DATABASE_URL an embedded PostgreSQL is used, in .tenantry/, for development only.`,
    `const url = process.env.DATABASE_URL`,
    ``,
    `export default defineConfig({`,
    `  // The ${others} that every tenant's database has.`,
    `  models: ${expression},`,
    `  ...(url && { servers: [postgres({ url, maxConnections: 10 })] }),`,
    `  hooks: {`,
    `    // Runs for every new tenant before it is active. It may run again, so what it does elsewhere must bear that.`,
    `    // initialise: async (${handle}, tenant) => {},`,
    `    // Runs on every copy that "tenantry clone" makes.`,
    `    // anonymise: async (${handle}, tenant) => {},`,
    `  },`,
    `})`,
  ].join('\n')}\n`
}

/** The names of a handle and of what declares tables, where they are the library's own. */
const words: { readonly [Adapter in Project['models']['adapter']]?: readonly [string, string] } = {
  'mikro-orm': ['em', 'entities'],
  typeorm: ['manager', 'entities'],
}

/** Returns imports with those of the same module as one, the project's own modules last. */
function together(imports: readonly string[]): readonly string[] {
  const names = new Map<string, string[]>()
  const own: string[] = []
  for (const line of imports) {
    const [, some, module = ''] = /^import \{ (.*) \} from '(tenantry[^']*)'$/.exec(line) ?? []
    if (some === undefined) own.push(line)
    else names.set(module, [...(names.get(module) ?? []), some])
  }
  const merged = [...names].toSorted(([one], [other]) => one.localeCompare(other))
  return [...merged.map(([module, some]) => `import { ${some.join(', ')} } from '${module}'`), ...own]
}
