import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { ensureDatabase } from 'tenantry'
import { afterAll, expect, test } from 'vitest'
import { createScript } from '../models/prisma/engine.ts'
import { createRole, dropAfterwards, serverUrl, uniqueName } from '../support/server.ts'
import { allCodeBlocks, codeBlocks, pages, readPage, root } from './markdown.ts'

// The TypeScript blocks of one page are one program, in the order of the page. Blocks that name a file are files.

const programs = pages
  .filter((page) => page === 'README.md' || page.startsWith('docs/'))
  .map((page) => ({ page, code: codeBlocks(readPage(page), 'ts').join('\n') }))
  .filter(({ code }) => code !== '')

const compilerOptions = {
  target: 'es2024',
  lib: ['es2024', 'esnext.disposable'],
  types: ['node'],
  module: 'nodenext',
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  erasableSyntaxOnly: true,
  verbatimModuleSyntax: true,
  skipLibCheck: true,
  noEmit: true,
  allowImportingTsExtensions: true,
}

const maintenanceUrl = "'postgresql://admin:admin@localhost:5432/postgres'"
const project = makeProject()
const runnable = [
  {
    page: 'README.md',
    url: "'postgresql://admin:admin@localhost:5432/testdatabase'",
    opening: ["installation: 'walkthrough'", 'installation: $'],
    database: uniqueName('walk'),
    installation: uniqueName('walk'),
  },
  {
    page: 'docs/coming-from-sqlalchemy.md',
    url: "'postgresql://admin:admin@localhost:5432/shop'",
    opening: ['openTenantry({ ', 'openTenantry({ installation: $, '],
    database: uniqueName('walk'),
    installation: uniqueName('walk'),
  },
] as const
const role = await createRole('createdb createrole')
dropAfterwards(...runnable.flatMap(({ database, installation }) => [database, installation]), role.user)

/** Programs with an installation `shop` on the maintenance database, and all else of that name. */
const shops = programs
  .filter(
    ({ page, code }) =>
      page.startsWith('docs/concepts/') || (page.startsWith('docs/guides/') && code.includes(maintenanceUrl)),
  )
  .map(({ page, code }) => ({ page, code, installation: uniqueName('walk') }))
dropAfterwards(...shops.map(({ installation }) => installation))

/** Files of pages that need no set-up but the models and a server. */
const files = ['README.md', ...pages.filter((page) => page.startsWith('docs/guides/'))].flatMap((page) =>
  allCodeBlocks(readPage(page)).flatMap(({ language, file, code }) =>
    file !== undefined && (language === 'ts' || language === 'prisma') ? [{ page, file, code }] : [],
  ),
)
for (const { page, file, code } of files) writeFile(join(folderOf(page), file), code)
await generateClient(folderOf('docs/guides/prisma.md'))

test('there are examples', () => {
  expect(programs.map(({ page }) => page)).toContain('README.md')
})

test('every example compiles for somebody who installed the package', async () => {
  for (const { page, code } of programs) {
    writeFileSync(join(project, `${page.replaceAll(/\W/g, '-')}.ts`), `export {} // ${page}\n${code}`)
  }
  await expect(run(join(root, 'node_modules/typescript/bin/tsc'), '--project', project)).resolves.toBe('')
})

test("the README's models are those of the example service", () => {
  const readme = codeBlocks(readPage('README.md'), 'ts').find((code) => code.includes('defineEntity('))
  const service = readFileSync(join(root, 'examples/service/models.ts'), 'utf8')
  expect(readme?.trim()).toBe(service.replaceAll(/^\/\/.*\n+/gm, '').trim())
})

test.each(runnable)('the program in $page runs, and prints what it says', async (example) => {
  const { page, url, opening, database, installation } = example
  const code = programs.find((program) => program.page === page)?.code ?? ''
  const adapted = [
    [url, JSON.stringify(serverUrl({ ...role, database }))],
    ["owner: 'admin'", `owner: ${JSON.stringify(role.user)}`],
    [opening[0], opening[1].replace('$', JSON.stringify(installation))],
  ].reduce((text, [from = '', to = '']) => replaceOnce(text, from, to), code)
  const file = join(project, `running-${installation}.ts`)
  writeFileSync(file, adapted)

  const output = await run(file)
  const lines = output.replaceAll(installation, 'walkthrough').split('\n').slice(0, -1)
  expect(lines).toEqual(announcedLines(code))
})

test.each(shops)('the program in $page runs, and prints what it says', async ({ code, installation }) => {
  const adapted = replaceOnce(code, maintenanceUrl, JSON.stringify(serverUrl({ ...role, database: 'postgres' })))
  const file = join(project, `running-${installation}.ts`)
  writeFileSync(file, adapted.replaceAll('shop', installation))

  const output = await run(file)
  expect(output.replaceAll(installation, 'shop').split('\n').slice(0, -1)).toEqual(announcedLines(code))
})

test('the ten lines in README.md run, and print what they say', async () => {
  const installation = uniqueName('walk')
  dropAfterwards(installation)
  const { code } = files.find(({ file }) => file === 'ten-lines.ts') ?? { code: '' }
  const opening = `openTenantry({ servers: [postgres({ url: ${JSON.stringify(serverUrl(role))} })], installation: '${installation}', `
  const adapted = `import { postgres } from 'tenantry/postgres'\n${replaceOnce(code, 'openTenantry({ ', opening)}`
  const file = join(folderOf('README.md'), `${installation}.ts`)
  writeFile(file, adapted)
  expect((await run(file)).trimEnd().split('\n')).toEqual(announcedLines(code))
})

test('the test in docs/guides/testing.md passes', async () => {
  await expect(run(join(folderOf('docs/guides/testing.md'), 'test/users.test.ts'))).resolves.toMatch(/fail 0/)
})

test('the program in docs/guides/drizzle.md runs, and prints what it says', async () => {
  await runIn(folderOf('docs/guides/drizzle.md'), join(root, 'node_modules/drizzle-kit/bin.cjs'), 'generate')
  await expectProgram('docs/guides/drizzle.md', 'openTenantry({')
})

test('the program in docs/guides/prisma.md runs, and prints what it says', async () => {
  const folder = folderOf('docs/guides/prisma.md')
  const migrations = join(folder, 'prisma/migrations')
  writeFile(join(migrations, 'migration_lock.toml'), 'provider = "postgresql"\n')
  const created = await createScript(readFileSync(join(folder, 'prisma/schema.prisma'), 'utf8'))
  writeFile(join(migrations, '20261101090000_init/migration.sql'), created)
  await expectProgram('docs/guides/prisma.md', 'openTenantry({')
})

test('the program in docs/guides/typeorm.md runs, and prints what it says', async () => {
  const folder = folderOf('docs/guides/typeorm.md')
  const database = uniqueName('walk')
  dropAfterwards(database)
  await ensureDatabase(serverUrl({ database }))
  const command = ['migration:generate', 'migrations/init', '-d', 'data-source.ts', '--outputJs', '--esm']
  const env = { ...process.env, DATABASE_URL: serverUrl({ database }) }
  const cli = join(root, 'node_modules/typeorm/cli.js')
  await promisify(execFile)(process.execPath, [cli, ...command], { cwd: folder, env })
  await expectProgram('docs/guides/typeorm.md', 'openTenantry({')
})

/** Runs the main program of a page, and compares what it prints with what the page says. */
async function expectProgram(page: string, opening: string): Promise<void> {
  const installation = uniqueName('walk')
  dropAfterwards(installation)
  const { code } = files.find((it) => it.page === page && it.file === 'main.ts') ?? { code: '' }
  const options = `${opening} servers: [postgres({ url: ${JSON.stringify(serverUrl(role))} })], installation: '${installation}', `
  const file = join(folderOf(page), 'main.ts')
  writeFile(file, `import { postgres } from 'tenantry/postgres'\n${replaceOnce(code, opening, options)}`)
  expect((await runIn(folderOf(page), file)).trimEnd().split('\n')).toEqual(announcedLines(code))
}

/** Generates a Prisma client without the engine of migrations, which Prisma would fetch: any file that exists will do. */
async function generateClient(folder: string): Promise<void> {
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' }
  const generate = [join(root, 'node_modules/prisma/build/index.js'), 'generate']
  await promisify(execFile)(process.execPath, generate, { cwd: folder, env })
}

/** The comments after `console.log`. */
function announcedLines(code: string): string[] {
  const calls = code.match(/^ *console\.log\(.*$/gm) ?? []
  return calls.map((call) => /\) \/\/ (.*)$/.exec(call)?.[1] ?? `nothing is said about ${call.trim()}`)
}

function replaceOnce(text: string, original: string, replacement: string): string {
  const parts = text.split(original)
  if (parts.length === 2) return parts.join(replacement)
  throw new Error(`${original} should stand there once, not ${parts.length - 1} times.`)
}

/** A project of its own beside this one, where the packages are installed that the README names. */
function makeProject(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-docs-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const link = (name: string, target: string) => {
    const path = join(folder, 'node_modules', name)
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(target, path, 'junction')
  }
  link('tenantry', root)
  const orm = ['@mikro-orm/core', '@mikro-orm/migrations', '@mikro-orm/postgresql', '@mikro-orm/sql']
  for (const name of [
    ...orm,
    'drizzle-orm',
    'drizzle-kit',
    '@prisma/client',
    '@prisma/adapter-pg',
    'prisma',
    'typeorm',
    'kysely',
    'express',
    'fastify',
    'hono',
    '@types/express',
    '@types/node',
  ]) {
    link(name, join(root, 'node_modules', name))
  }
  // Pages import the README's models.
  copyFileSync(join(root, 'examples/service/models.ts'), join(folder, 'models.ts'))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'walk-through', type: 'module' }))
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  return folder
}

/** The folder for the files of a page, beside the README's models. */
function folderOf(page: string): string {
  const folder = join(project, page.replaceAll(/\W/g, '-'))
  mkdirSync(folder, { recursive: true })
  copyFileSync(join(project, 'models.ts'), join(folder, 'models.ts'))
  return folder
}

function writeFile(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** Runs a script with this Node.js; gives what it printed. Fails with all it said when it fails. */
function run(script: string, ...args: string[]): Promise<string> {
  return runIn(project, script, ...args)
}

function runIn(cwd: string, script: string, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [script, ...args], { cwd }, (error, output, errors) => {
      if (error === null) resolve(output)
      else reject(new Error(`${script} failed:\n${output}${errors}`))
    })
  })
}
