import { chmodSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterwards, disposableName, serverUrl } from '../support/server.ts'

const root = join(import.meta.dirname, '..', '..')

/** A folder as a user's project would be, with an installation of its own. */
export interface UserProject {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  /** The values that differ from run to run, with the word to print for each. */
  readonly words: Readonly<Record<string, string>>
}

/**
 * Makes a project with the configurations of `project/`, the packages that they need, and `tenantry` and the programs of
 * `programs/` on the PATH; removed afterwards.
 */
export function makeProject(name: string): UserProject {
  const cwd = realpathSync(mkdtempSync(join(tmpdir(), `tenantry-cli-${name}-`)))
  afterwards(async () => rmSync(cwd, { recursive: true, force: true }))
  cpSync(join(import.meta.dirname, 'project'), cwd, { recursive: true })
  writeFileSync(join(cwd, 'package.json'), `{ "name": "project", "private": true, "type": "module" }\n`)
  mkdirSync(join(cwd, 'node_modules'))
  symlinkSync(root, join(cwd, 'node_modules', 'tenantry'))
  symlinkSync(join(root, 'node_modules', '@mikro-orm'), join(cwd, 'node_modules', '@mikro-orm'))
  putOnPath(join(cwd, 'bin'))
  const installation = disposableName('i')
  const url = new URL(serverUrl())
  const env = {
    ...process.env,
    PATH: `${join(cwd, 'bin')}:${process.env['PATH']}`,
    DATABASE_URL: url.href,
    SUPERUSER_URL: url.href,
    SERVER: `${url.hostname}:${url.port}`,
    INSTALLATION: installation,
    NO_COLOR: '1',
    FORCE_COLOR: undefined,
    CI: undefined,
    TENANTRY_LOADER: undefined,
    // These tests spend their time on starts.
    NODE_COMPILE_CACHE: join(tmpdir(), 'tenantry-test-cache'),
    NODE_ENV: 'test',
    COLUMNS: '100',
  }
  const words = {
    [url.href]: '<url>',
    [installation]: '<installation>',
    [`${url.hostname}:${url.port}`]: '<server>',
    [cwd]: '<project>',
    [`${process.platform}-${process.arch}`]: '<platform>',
  }
  return { cwd, env, words }
}

function putOnPath(bin: string): void {
  const programs = {
    tenantry: join(root, 'dist', 'cli', 'main.js'),
    sql: join(import.meta.dirname, 'programs', 'sql.ts'),
    interrupt: join(import.meta.dirname, 'programs', 'interrupt.ts'),
  }
  mkdirSync(bin)
  for (const [name, file] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\nexec '${process.execPath}' '${file}' "$@"\n`)
    chmodSync(join(bin, name), 0o755)
  }
}
