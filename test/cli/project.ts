import { chmodSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterwards, disposableName, serverUrl } from '../support/server.ts'

const root = join(import.meta.dirname, '..', '..')

/** A folder as a user's project would be, with an installation of its own. */
export interface UserProject {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  /** What differs from run to run, with the word to print for it. */
  readonly words: Readonly<Record<string, string>>
}

/**
 * Makes a project with the configuration of `project/`, `tenantry` on the PATH and the packages it needs; removed
 * afterwards.
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
    INSTALLATION: installation,
    NO_COLOR: '1',
    NODE_ENV: 'test',
    COLUMNS: '100',
  }
  const words = {
    [url.href]: '<url>',
    [installation]: '<installation>',
    [`${url.hostname}:${url.port}`]: '<server>',
    [cwd]: '<project>',
  }
  return { cwd, env, words }
}

function putOnPath(bin: string): void {
  mkdirSync(bin)
  const main = join(root, 'dist', 'cli', 'main.js')
  writeFileSync(join(bin, 'tenantry'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`)
  chmodSync(join(bin, 'tenantry'), 0o755)
}
