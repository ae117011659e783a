import { spawn } from 'node:child_process'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { describe, expect, it } from 'vitest'
import { serverUrl, sql } from '../support/server.ts'
import { tenantLockKey } from '../support/tenants.ts'
import { makeProject, type UserProject } from './project.ts'
import { closing, shell } from './shell.ts'

const modules = join(import.meta.dirname, '..', '..', 'node_modules')
const packages = {
  tsx: ['tsx', 'esbuild', '@esbuild', 'get-tsconfig', 'resolve-pkg-maps'],
  jiti: ['jiti'],
}

/** As a bundler would have it: decorators, an enum, an import without an extension. */
const files = {
  'tsconfig.json': `{ "compilerOptions": { "target": "es2022", "experimentalDecorators": true } }`,
  'decorated.ts': `
    import 'reflect-metadata'
    import { Entity, Enum, PrimaryKey, Property } from '@mikro-orm/decorators/legacy'

    export enum Kind {
      Paper = 'paper',
      Audio = 'audio',
    }

    @Entity()
    export class Book {
      @PrimaryKey({ type: 'integer' })
      id: number

      @Property({ type: 'string' })
      title: string

      @Enum({ items: () => Kind })
      kind: Kind
    }
  `,
  'tenantry.config.ts': `
    import { defineConfig } from 'tenantry'
    import { mikroOrm } from 'tenantry/mikro-orm'
    import { postgres } from 'tenantry/postgres'
    import { Book } from './decorated'

    if (process.env.THROWING !== undefined) throw new Error('No plan.')

    export default defineConfig({
      installation: process.env.INSTALLATION,
      servers: [postgres({ url: process.env.DATABASE_URL })],
      models: mikroOrm({ entities: [Book] }),
    })
  `,
}

/** Makes a project with models that Node itself cannot read. */
function makeDecoratedProject(...loaders: (keyof typeof packages)[]): UserProject {
  const project = makeProject('loader')
  for (const [name, text] of Object.entries(files)) writeFileSync(join(project.cwd, name), text)
  for (const name of ['reflect-metadata', ...loaders.flatMap((loader) => packages[loader])]) {
    symlinkSync(join(modules, name), join(project.cwd, 'node_modules', name))
  }
  return project
}

describe.each(['tsx', 'jiti'] as const)('a configuration with decorators, where %s is installed', (loader) => {
  const project = makeDecoratedProject(loader)

  it('is read through it', async () => {
    const onboarded = await shell('tenantry onboard acme --json', project)
    expect(onboarded.stderr).toBe('')
    expect(JSON.parse(onboarded.stdout)).toMatchObject({ ok: true, result: { tenants: [{ outcome: 'onboarded' }] } })
    const listed = await shell(`sql \${INSTALLATION}_t_acme 'select count(*) from book'`, project)
    expect(listed.stdout).toBe('0\n')
  })

  it('passes the exit code, the output and the words of "exec" through', async () => {
    const refused = await shell('tenantry show nobody --json', project)
    expect(refused.code).toBe(3)
    expect(JSON.parse(refused.stdout)).toMatchObject({ ok: false, error: { code: 'tenant-unknown' } })
    // The inner one is started without a loader, and finds it itself.
    const inner = await shell('tenantry exec acme --as-administrator -- tenantry list', project)
    expect(inner.stderr).toBe('')
    expect(inner.stdout).toMatch(/^acme +active/m)
  })

  it('that throws an error is not blamed on it', async () => {
    const { stderr, code } = await shell('tenantry list', { ...project, env: { ...project.env, THROWING: '1' } })
    expect(stderr).toBe(
      'tenantry.config.ts throws an error: No plan. (tenantry.config.ts:7)\nThe file itself, or one of its imports, throws it. See the stack: --verbose\n(config-unreadable)\n',
    )
    expect(code).toBe(2)
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('ends with it by %s', async (signal) => {
    const installation = String(project.env['INSTALLATION'])
    const catalog = `${installation}_catalog`
    const holder = new Client({ connectionString: serverUrl({ database: catalog }) })
    await holder.connect()
    await holder.query(`select pg_advisory_lock(${await tenantLockKey({ installation }, 'globex')})`)
    const child = spawn('tenantry', ['onboard', 'globex'], { ...project, stdio: 'ignore' })
    const ended = closing(child)
    const isWaiting = `select 1 from pg_stat_activity where datname = $1 and query like '%pg_try_advisory_lock%'`
    while ((await sql(isWaiting, [catalog])).length === 0) expect(child.exitCode).toBeNull()
    child.kill(signal)
    expect(await ended).toBe(130)
    await holder.end()
  })
})

describe('a configuration with decorators, where no loader is installed', () => {
  it('is unreadable, and the loaders are named', async () => {
    const { stdout, stderr, code } = await shell('tenantry list', makeDecoratedProject())
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^tenantry\.config\.ts cannot be read by Node\.js itself: /)
    expect(stderr).toMatch(/install a loader \(@swc-node\/register, tsx, jiti\)/)
    expect(stderr).toMatch(/\(config-unreadable\)\n$/)
    expect(code).toBe(2)
  })
})

it('an error of the configuration itself, such as a syntax error, is not blamed on a loader', async () => {
  const project = makeProject('loader')
  writeFileSync(join(project.cwd, 'parse.config.ts'), `export default JSON.parse('{')\n`)
  const { stderr, code } = await shell('tenantry list --config parse.config.ts', project)
  expect(stderr).toMatch(/^parse\.config\.ts throws an error: .*JSON/)
  expect(stderr).not.toContain('loader')
  expect(code).toBe(2)
})

it('of two loaders the one is taken that package.json names', async () => {
  const project = makeDecoratedProject('tsx', 'jiti')
  writeFileSync(join(project.cwd, 'package.json'), `{ "type": "module", "devDependencies": { "jiti": "*" } }\n`)
  writeFileSync(join(project.cwd, 'which.config.ts'), `enum E { A }\nthrow process.execArgv\n`)
  const { stderr } = await shell('tenantry list --config which.config.ts', project)
  expect(stderr).toContain('jiti-register')
})
