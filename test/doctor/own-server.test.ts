import { appendFileSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { doctor, type DoctorConfig, type ExaminedServer } from 'tenantry'
import { startEmbeddedPostgres } from 'tenantry/embedded'
import { postgres } from 'tenantry/postgres'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { afterwards, sqlAt } from '../support/server.ts'
import { makeProject } from '../cli/project.ts'
import { formatTranscript, parseTranscript, runStep } from '../cli/transcript.ts'
import { allCodeBlocks, readPage, root } from '../docs/markdown.ts'
import { codes, examined } from './support.ts'

// Roles and settings are the server's, so these have one of their own.
let url: string
let dataDirectory: string

const sql = (statement: string) => sqlAt<Record<string, string>>(url, statement)

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-doctor-'))
  const dataDir = join(folder, 'postgres')
  const server = await startEmbeddedPostgres({ dataDir })
  afterwards(async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })
  url = server.url
  dataDirectory = join(dataDir, 'data')
  await sql("create role provisioner login createdb createrole password 'secret'")
})

/** Returns the findings as the superuser, or as a role that has the required privileges. */
async function ask(user?: 'provisioner', config: DoctorConfig = {}): Promise<ExaminedServer> {
  const as = new URL(url)
  if (user !== undefined) Object.assign(as, { username: user, password: 'secret' })
  return examined(await doctor({ servers: [postgres({ url: as })], installation: 'shop', ...config }))
}

/** Everything that belongs to the server and not to one database. */
function everything(): Promise<Record<string, string>[]> {
  return sql(`
    select 'database' as kind, datname::text as name, concat_ws(' ', datdba, datacl, datallowconn) as what from pg_database
    union all select 'role', rolname, concat_ws(' ', rolcreatedb, rolcreaterole, rolcanlogin) from pg_roles
    union all select 'member', roleid::regrole::text, member::regrole::text from pg_auth_members
    union all select 'comment', objoid::text, description from pg_shdescription
    union all select 'setting', setdatabase::text, setconfig::text from pg_db_role_setting
    order by 1, 2, 3`)
}

// The page shows the findings on a quiet server; the one of all suites always has more. UPDATE_TRANSCRIPTS=1 records
// the current output; read the difference before you commit it.
describe('the command', () => {
  it('prints the output on the page', async () => {
    await sql("create role app login createdb password 'secret'")
    const as = new URL(url)
    Object.assign(as, { username: 'app', password: 'secret' })
    const { cwd, env } = makeProject('doctor')
    const path = 'docs/commands/doctor.md'
    const page = readPage(path)
    const [block] = allCodeBlocks(page).filter(({ code }) => code.startsWith('$ '))
    const [step] = parseTranscript(block!.code).steps
    const output = await runStep(step!.command, { cwd, env: { ...env, DATABASE_URL: as.href } })
    const expected = output
      .replaceAll(env['INSTALLATION'] ?? '', 'tenantry')
      .replaceAll(as.host, 'localhost:5432')
      .replaceAll(/PostgreSQL \d+\.\d+/g, 'PostgreSQL 18.4')
      .replace(/\n\[5\]$/, '')
    const text = formatTranscript({ preamble: '', steps: [{ command: step!.command, expected }] })
    const seen = page.replace(block!.code, () => text)
    if (process.env['UPDATE_TRANSCRIPTS'] === '1') writeFileSync(join(root, path), seen)
    else expect(seen).toBe(page)
  })

  it.each(['', '--no-probe', '--json'])(
    'fits into 80 columns, and has no password in it: doctor %s',
    async (option) => {
      const as = new URL(url)
      Object.assign(as, { username: 'provisioner', password: 'secret' })
      const { cwd, env } = makeProject('doctor')
      const output = await runStep(`tenantry doctor ${option}`, { cwd, env: { ...env, DATABASE_URL: as.href } })
      expect(output).not.toContain('secret')
      const long = output.split('\n').filter((line) => line.length > 80 && !line.endsWith(';'))
      if (option !== '--json') expect(long).toEqual([])
      else expect(JSON.parse(output)).toMatchObject({ command: 'doctor', ok: true, result: { healthy: true } })
    },
  )
})

describe('a probe', () => {
  it.each([undefined, 'provisioner'] as const)('leaves the server as it was, as %s', async (user) => {
    const before = await everything()
    expect((await ask(user)).missing).toEqual([])
    expect((await ask(user, { roles: 'shared' })).missing).toEqual([])
    expect(await everything()).toEqual(before)
  })
})

describe('a managed service', () => {
  let marker = ''
  afterEach(() => sql(`drop role ${marker}`))

  it.each([
    ['rds', 'rds_superuser'],
    ['cloud-sql', 'cloudsqlsuperuser'],
    ['azure', 'azure_pg_admin'],
    ['supabase', 'supabase_admin'],
    ['neon', 'neon_superuser'],
  ])('%s is known by the role %s', async (service, role) => {
    marker = role
    await sql(`create role ${role}`)
    expect(await ask('provisioner')).toMatchObject({ service, missing: [] })
  })
})

describe('databases that are left over', () => {
  it('are named where a DROP DATABASE was interrupted', async () => {
    await sql('create database half')
    await sql(`update pg_database set datconnlimit = -2 where datname = 'half'`)
    const warning = (await ask('provisioner')).warnings.find(({ code }) => code === 'invalid-databases')
    expect(warning?.sql).toEqual(['DROP DATABASE "half";'])
    for (const statement of warning!.sql) await sql(statement)
    expect(codes((await ask('provisioner')).warnings)).not.toContain('invalid-databases')
  })

  it('are named where only their directory is there, if the role may look', async () => {
    const leaked = join(dataDirectory, 'base', '4000000')
    mkdirSync(leaked)
    // One that was made just now may belong to a CREATE DATABASE that has not ended yet.
    expect(codes((await ask()).warnings)).not.toContain('leaked-directories')
    const anHourAgo = Date.now() / 1_000 - 3_600
    utimesSync(leaked, anHourAgo, anHourAgo)
    const warning = (await ask()).warnings.find(({ code }) => code === 'leaked-directories')
    expect(warning?.found).toContain('base/4000000')
    expect(codes((await ask('provisioner')).unseen)).toContain('leaked-directories')
  })
})

describe('a collation of another version', () => {
  it('is named', async () => {
    await sql('create database sorted')
    await sql(`update pg_database set datcollversion = '0.1' where datname = 'sorted'`)
    const warning = (await ask('provisioner')).warnings.find(({ code }) => code === 'collation-version')
    expect(warning?.found).toContain('sorted')
    for (const statement of warning!.sql) await sql(statement)
    expect(codes((await ask('provisioner')).warnings)).not.toContain('collation-version')
  })
})

describe('trust authentication', () => {
  it('is seen by a role that may read the rules, and found out by any other', async () => {
    const file = join(dataDirectory, 'pg_hba.conf')
    const rules = readFileSync(file, 'utf8')
    expect(codes((await ask('provisioner')).warnings)).not.toContain('trust-authentication')
    writeFileSync(file, `host all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\n`)
    appendFileSync(file, rules)
    await sql('select pg_reload_conf()')
    try {
      const byRules = (await ask()).warnings.find(({ code }) => code === 'trust-authentication')
      expect(byRules?.found).toMatch(/wrong password|127\.0\.0\.1/)
      for (const roles of ['separate', 'shared'] as const) {
        const { warnings, unseen } = await ask('provisioner', { roles })
        expect(warnings.find(({ code }) => code === 'trust-authentication')?.found).toContain('A wrong password')
        expect(codes(unseen)).not.toContain('trust-authentication')
      }
    } finally {
      writeFileSync(file, rules)
      await sql('select pg_reload_conf()')
    }
  })
})

describe('where PUBLIC may create', () => {
  it('is nowhere once the statements have run in their databases', async () => {
    await sql('create schema "a ""b""";')
    for (const schema of ['public', '"a ""b"""']) await sql(`grant create on schema ${schema} to public`)
    const warning = (await ask('provisioner')).warnings.find(({ code }) => code === 'public-create')
    expect(warning?.found).toBe('Every role may create in the schema a "b" of postgres, public of postgres.')
    expect(warning?.sql).toHaveLength(2)
    for (const statement of warning!.sql) await sql(statement)
    expect(codes((await ask('provisioner')).warnings)).not.toContain('public-create')
    await sql('drop schema "a ""b""";')
  })
})

describe('where PUBLIC may connect', () => {
  it('is nowhere once the statements have run', async () => {
    const warning = (await ask('provisioner')).warnings.find(({ code }) => code === 'public-connect')
    expect(warning?.found).toContain('postgres')
    expect(warning?.found).toContain('template1')
    for (const statement of warning!.sql) await sql(statement)
    const after = await ask('provisioner')
    expect([after.missing, codes(after.warnings).includes('public-connect')]).toEqual([[], false])
  })
})
