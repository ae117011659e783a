import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { Client } from 'pg'
import { startEmbeddedPostgres } from 'tenantry/embedded'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { normalised } from '../cli/transcript.ts'
import { afterwards } from '../support/server.ts'
import { allCodeBlocks, type CodeBlock, readPage, root } from './markdown.ts'

// The page is followed from its first block to its last, as by a reader who has only Node.js with npm. The packages
// come from npm's registry, Tenantry as it would be published.

const page = readPage('docs/getting-started.md')
const folder = mkdtempSync(join(tmpdir(), 'tenantry-getting-started-'))
// The embedded server has a user of its own if everything runs as root.
chmodSync(folder, 0o755)
const project = join(folder, 'notes')
const productionServer = 'db.example.com:5432'
/** The reader's environment: no variables of the test runner or of npm, and those that the page exports. */
const env: Record<string, string | undefined> = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(?:npm_(?!config_)|PG|NODE_ENV$|VITEST|DATABASE_URL$|TENANTRY_)/.test(name),
  ),
)
/** Texts on the page, and their values in this run. */
const replaced: [string, string][] = []

let service: ChildProcess | undefined
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterwards(async () => {
  if (service?.exitCode !== null) return
  service.kill('SIGKILL')
  await once(service, 'exit')
})

beforeAll(async () => {
  putOnPath()
  const port = await freePort()
  env['PORT'] = String(port)
  env['NO_COLOR'] = '1'
  // If the registry is unreachable, npm reports it before this test's time is over.
  env['npm_config_fetch_retries'] = '1'
  env['npm_config_fetch_retry_mintimeout'] = '1000'
  env['npm_config_fetch_timeout'] = '60000'
  const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [file] = [...packed.matchAll(/[\w.-]+\.tgz/g)].flat()
  replaced.push(['npm install tenantry ', `npm install ${join(folder, file ?? '')} `])
  replaced.push(['localhost:3000', `localhost:${port}`])
})

const blocks = allCodeBlocks(page)
const steps = blocks.flatMap((block, index) => {
  const next = blocks[index + 1]
  return block.language === 'text' ? [] : [{ block, output: next?.language === 'text' ? next.code : undefined }]
})

test('the page has all that is to be tried', () => {
  expect(steps.map(({ block }) => block.file).filter((file) => file !== undefined)).toEqual([
    'tsconfig.json',
    'src/models.ts',
    'tenantry.config.ts',
    'src/app.ts',
  ])
  expect(steps.length).toBeGreaterThan(20)
})

describe('followed step by step', { timeout: 180_000 }, () => {
  let hasFailed = false
  test.for(steps.map(({ block, output }) => ({ title: titleOf(block), block, output })))(
    '$title',
    async ({ block, output }, { skip }) => {
      skip(hasFailed, 'a step before this one failed')
      hasFailed = true
      await expectToWork(block, output)
      hasFailed = false
    },
  )

  test('Ctrl-C ends the service', async ({ skip }) => {
    skip(hasFailed, 'a step before this one failed')
    service?.kill('SIGINT')
    const exit = service?.exitCode === null ? await once(service, 'exit') : [service?.exitCode]
    expect(exit[0]).toBe(0)
  })

  test('exec keeps the embedded server up for its command, even as its only user', async ({ skip }) => {
    skip(hasFailed, 'a step before this one failed')
    const connect = `require('net').connect(process.env.PGPORT, process.env.PGHOST).on('connect', () => process.exit())`
    const { failed, errors } = await runShell(
      `unset DATABASE_URL NODE_ENV TENANTRY_CREDENTIALS_KEY; npx tenantry exec acme -- node -e "${connect}"`,
    )
    expect({ failed, errors: linesOf(errors).filter((line) => isShown(line, '')) }).toEqual({
      failed: false,
      errors: [],
    })
  })
})

test('every subpath of the packed package type-checks, with its own declarations', { timeout: 180_000 }, async () => {
  const { exports, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
  for (const peer of [...Object.keys(peerDependencies), 'kysely']) {
    const place = join(project, 'node_modules', peer)
    if (existsSync(place)) continue
    mkdirSync(dirname(place), { recursive: true })
    symlinkSync(join(root, 'node_modules', peer), place)
  }
  const subpaths = Object.keys(exports).filter((path) => path !== './package.json')
  const lines = subpaths.map((path, index) => `export * as all${index} from 'tenantry${path.slice(1)}'`)
  writeFileSync(join(project, 'all.ts'), `${lines.join('\n')}\n`)
  const options = '--strict --noEmit --target esnext --module nodenext --types node --skipLibCheck false'
  const { output } = await runShell(`npx tsc --ignoreConfig ${options} all.ts || true`)
  // Drizzle's own declarations need packages for other databases: its users set skipLibCheck.
  const errors = output.split('\n').filter((line) => /^\S/.test(line) && !line.includes('node_modules/drizzle-orm/'))
  expect(errors).toEqual([])
})

/** The parts of package.json that the test reads. */
interface Manifest {
  readonly exports: Record<string, unknown>
  readonly peerDependencies: Record<string, string>
}

function titleOf({ file, code }: CodeBlock): string {
  return file ?? code.trim().split('\n').at(-1) ?? ''
}

async function expectToWork({ language, file, code }: CodeBlock, output: string | undefined): Promise<void> {
  if (file !== undefined) writeOrCompare(join(project, file), code)
  else if (language === 'sql') await prepareProduction(code)
  else if (code.startsWith('node ')) await startService(code, output)
  else if (language === 'sh') await runBlock(code, output)
  else throw new Error(`What is to be done with a block of ${language}?`)
}

/** A file that a command wrote is shown as it is. */
function writeOrCompare(path: string, text: string): void {
  if (existsSync(path)) {
    expect(readFileSync(path, 'utf8')).toBe(text)
    return
  }
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** A server of its own, with the role that the page makes. */
async function prepareProduction(sql: string): Promise<void> {
  const server = await startEmbeddedPostgres({ dataDir: join(folder, 'production') })
  afterwards(() => server.stop())
  const client = new Client({ connectionString: server.url })
  await client.connect()
  await client.query(sql)
  await client.end()
  replaced.push([productionServer, new URL(server.url).host])
}

async function startService(command: string, output: string | undefined): Promise<void> {
  const [program = '', ...words] = command.trim().split(' ')
  service = spawn(program, words, { cwd: project, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ready = service.stdout === null ? [] : await once(service.stdout, 'data')
  expect(String(ready[0])).toBe(inThisRun(output ?? ''))
}

async function runBlock(code: string, expected: string | undefined): Promise<void> {
  const { output, errors, failed } = await runShell(inThisRun(code))
  const said = `${code}${output}${errors}`
  const isRegistry = /EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|ERR_SOCKET_TIMEOUT/.test(errors)
  if (failed && isRegistry) throw new Error(`This test installs packages; npm's registry cannot be reached:\n${said}`)
  if (failed) throw new Error(`It failed:\n${said}`)
  await keepExports(code)
  if (expected === undefined) return
  const shown = [...linesOf(errors).filter((line) => isShown(line, expected)), ...linesOf(output)]
  expect(alike(shown.join('\n'))).toBe(alike(inThisRun(expected).trimEnd()))
}

/** The notice is shown once; and npm warns of settings that are not the project's. */
function isShown(line: string, expected: string): boolean {
  return !line.startsWith('npm ') && (!line.startsWith('No server configured') || expected.includes(line))
}

function alike(text: string): string {
  return normalised(text, {})
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.trimEnd().split('\n')
}

function inThisRun(text: string): string {
  return replaced.reduce((result, [onPage, here]) => result.replaceAll(onPage, here), text)
}

async function keepExports(code: string): Promise<void> {
  for (const [statement, name = ''] of inThisRun(code).matchAll(/^export (\w+)=.*$/gm)) {
    const { output } = await runShell(`${statement}\nprintf '%s' "$${name}"`)
    env[name] = output
  }
}

function runShell(script: string) {
  const cwd = existsSync(project) ? project : folder
  return new Promise<{ output: string; errors: string; failed: boolean }>((resolve) => {
    const child = execFile('sh', ['-e', '-c', script], { cwd, env }, (error, output, errors) =>
      resolve({ output, errors, failed: error !== null }),
    )
    child.stdin?.end()
  })
}

/**
 * Puts this Node.js on the path, and no programs of packages but those that the page installs; curl, if there is none.
 */
function putOnPath(): void {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  symlinkSync(process.execPath, join(bin, 'node'))
  const others = (env['PATH'] ?? '').split(delimiter).filter((path) => !path.includes('node_modules'))
  env['PATH'] = [bin, ...others].join(delimiter)
  try {
    execFileSync('curl', ['--json', '{}', '--version'], { env, stdio: 'ignore' })
  } catch {
    writeFileSync(join(bin, 'curl'), curl, { mode: 0o755 })
  }
}

/** As much of curl as the page uses. */
const curl = `#!/usr/bin/env node
const { parseArgs } = require('node:util')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { s: { type: 'boolean', short: 's' }, w: { type: 'string', short: 'w' }, json: { type: 'string' } },
})
const headers = { 'content-type': 'application/json' }
const init = values.json === undefined ? {} : { method: 'POST', body: values.json, headers }
fetch('http://' + positionals[0], init).then(async (response) => {
  const format = values.w ?? ''
  process.stdout.write((await response.text()) + format.replace('%{http_code}', response.status))
})
`

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}
