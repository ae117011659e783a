import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Returns the packages that a folder's package.json names; undefined if there is none. */
export function dependenciesOf(folder: string): readonly string[] | undefined {
  const file = join(folder, 'package.json')
  if (!existsSync(file)) return undefined
  const { dependencies, devDependencies } = parsePackage(readFileSync(file, 'utf8'))
  return Object.keys({ ...dependencies, ...devDependencies })
}

/** Parses a package.json. A broken one names nothing: npm reports it soon enough. */
function parsePackage(text: string): Readonly<Record<string, object | undefined>> {
  try {
    return (JSON.parse(text) ?? {}) as Readonly<Record<string, object | undefined>>
  } catch {
    return {}
  }
}
