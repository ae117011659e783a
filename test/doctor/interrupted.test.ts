import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createRole, disposableName, errorOf, quote, serverUrl, sql } from '../support/server.ts'
import { nextLine, runNode } from '../embedded/support.ts'
import { ask, codes, examined, namesOf } from './support.ts'

/** Waits until a probe has made this. */
async function made(installation: string, purpose: string): Promise<void> {
  const isThere = async () => (await namesOf(installation)).some(({ name }) => String(name).endsWith(purpose))
  await expect.poll(isThere, { timeout: 20_000, interval: 5 }).toBe(true)
}

/** Waits until no probe is running. */
async function ended(user: string): Promise<void> {
  const sessions = () => sql('select pid from pg_stat_activity where usename = $1', [user])
  await expect.poll(sessions, { timeout: 20_000, interval: 20 }).toEqual([])
}

describe('a probe that is aborted', () => {
  it.each(['_owner', '_login', '_first', '_renamed'])('leaves nothing once it made %s', async (purpose) => {
    const name = disposableName('i')
    const login = await createRole('createdb createrole')
    const ending = new AbortController()
    const asking = errorOf(ask(name, login, { signal: ending.signal }))
    await made(name, purpose)
    ending.abort()
    expect(await asking).toMatchObject({ code: 'aborted' })
    expect(await namesOf(name)).toEqual([])
  })

  it('leaves nothing at any moment', async () => {
    const name = disposableName('i')
    const login = await createRole('createdb createrole')
    for (const ms of [5, 20, 50, 90, 140, 200, 300, 450]) {
      await ask(name, login, { signal: AbortSignal.timeout(ms) }).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'aborted' })
      })
      expect(await namesOf(name)).toEqual([])
    }
  })

  it('has not begun where it was aborted before', async () => {
    const signal = AbortSignal.abort()
    expect(await errorOf(ask(disposableName('i'), {}, { signal }))).toMatchObject({ code: 'aborted' })
  })
})

describe('a probe that fails half-way', () => {
  it('leaves nothing, and reports the reason', async () => {
    const name = disposableName('i')
    const login = await createRole('createdb createrole')
    const asking = ask(name, login)
    await made(name, '_first')
    await sql('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [login.user])
    const [server] = (await asking).servers
    expect(server).toMatchObject({ reachable: false, error: { code: 'connection-lost' } })
    expect(await namesOf(name)).toEqual([])
  })
})

describe('the remains of a killed probe', () => {
  it('is removed by the next', async () => {
    const name = disposableName('i')
    const login = await createRole('createdb createrole')
    const url = serverUrl({ database: 'postgres', ...login })
    const child = runNode(new URL('program.ts', import.meta.url).pathname, [url, name])
    expect(await nextLine(child)).toBe('asking')
    await made(name, '_first')
    child.kill('SIGKILL')
    await ended(login.user)
    expect((await namesOf(name)).length).toBeGreaterThan(0)
    // A call that only reads removes nothing.
    const seen = examined(await ask(name, login, { probe: false }))
    expect(codes(seen.warnings)).toContain('probe-leftovers')
    const diagnosis = await ask(name, login)
    expect(diagnosis.healthy).toBe(true)
    expect(codes(examined(diagnosis).warnings)).not.toContain('probe-leftovers')
    expect(await namesOf(name)).toEqual([])
  })

  it('stays, and is reported, where nothing shows that it is ours', async () => {
    const name = disposableName('i')
    const database = scratchDatabase(name)
    await sql(`create database ${quote(database)}`)
    await sql(`comment on database ${quote(database)} is 'somebody made this by hand'`)
    const { warnings } = examined(await ask(name, await createRole('createdb createrole')))
    const warning = warnings.find(({ code }) => code === 'probe-leftovers')
    expect(warning?.sql).toEqual([`DROP DATABASE "${database}";`])
    expect(await namesOf(name)).toMatchObject([{ name: database }])
    for (const statement of warning!.sql) await sql(statement)
    expect(await namesOf(name)).toEqual([])
  })

  it('is reported if it belongs to another role', async () => {
    const name = disposableName('i')
    const database = scratchDatabase(name)
    await sql(`create database ${quote(database)}`)
    await sql(`comment on database ${quote(database)} is '{"tenantry":1,"probe":"${runOf(database)}"}'`)
    const { warnings } = examined(await ask(name, await createRole('createdb createrole')))
    expect(codes(warnings)).toContain('probe-leftovers')
    expect(await namesOf(name)).toMatchObject([{ name: database }])
    expect(codes(examined(await ask(name)).warnings)).not.toContain('probe-leftovers')
    expect(await namesOf(name)).toEqual([])
  })
})

describe('a probe that is at work', () => {
  it('is left alone by another', async () => {
    const name = disposableName('i')
    const database = scratchDatabase(name)
    await sql(`create database ${quote(database)}`)
    await sql(`comment on database ${quote(database)} is '{"tenantry":1,"probe":"${runOf(database)}"}'`)
    // Its lock counts in any database.
    const client = new Client({ connectionString: serverUrl({ database }) })
    await client.connect()
    onTestFinished(() => client.end())
    await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [`tenantry:probe:${runOf(database)}`])
    expect(codes(examined(await ask(name)).warnings)).not.toContain('probe-leftovers')
    expect(await namesOf(name)).toMatchObject([{ name: database }])
  })

  it('is not in the way of others at the same time', async () => {
    const name = disposableName('i')
    const login = await createRole('createdb createrole')
    const diagnoses = await Promise.all([ask(name, login), ask(name, login), ask(name, login)])
    expect(diagnoses.map(({ healthy }) => healthy)).toEqual([true, true, true])
    expect(await namesOf(name)).toEqual([])
  })
})

function scratchDatabase(installation: string): string {
  return `${installation}_probe_${randomBytes(12).toString('hex')}_first`
}

function runOf(database: string): string {
  return /_probe_([0-9a-f]+)_/.exec(database)?.[1] ?? ''
}
