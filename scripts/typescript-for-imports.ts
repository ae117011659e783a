/**
 * Lends dependency-cruiser a TypeScript that it can parse with, by `node --import`.
 *
 * TypeScript 7 has no JavaScript API, and without one dependency-cruiser skips every .ts file and finds nothing wrong.
 * `@arethetypeswrong/cli` brings a TypeScript that has it, for itself. Remove this once dependency-cruiser supports 7.
 */
import { createRequire, registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(import.meta.url)
const requireAsAttw = createRequire(
  createRequire(require.resolve('@arethetypeswrong/cli/package.json')).resolve('@arethetypeswrong/core'),
)

const { version } = requireAsAttw('typescript/package.json') as { version: string }
if (Number.parseInt(version) >= 7) throw new Error(`TypeScript ${version} cannot parse for dependency-cruiser.`)

registerHooks({
  resolve(specifier, context, nextResolve) {
    const asked = specifier === 'typescript' || specifier === 'typescript/package.json'
    if (!asked || context.parentURL?.includes('/dependency-cruiser/') !== true) return nextResolve(specifier, context)
    return { url: pathToFileURL(requireAsAttw.resolve(specifier)).href, shortCircuit: true }
  },
})
