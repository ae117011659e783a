import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { ensureDatabase, ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { databaseExists, existingDatabase, expectCausedFailure, newDatabase, tablesIn } from './support.ts'

const models = mikroOrm({ entities: [User, Address] })
const pgbouncer = findProgram('pgbouncer')

describe.skipIf(pgbouncer === undefined)('behind PgBouncer (skipped where its program is not installed)', () => {
  it('a missing database is not taken for one, and is not made', async () => {
    const pooled = await startPooler()
    const { name, url } = newDatabase()
    const error = await expectCausedFailure(ensureDatabase(pooled(url)), 'pooler-in-the-way')
    expect(error.hint).toContain("the server's own host and port")
    expect(await databaseExists(name)).toBe(false)
  })

  it('an existing database is not worked on', async () => {
    const pooled = await startPooler()
    const { name, url } = await existingDatabase()
    await expectCausedFailure(ensureDatabase(pooled(url)), 'pooler-in-the-way')
    await expectCausedFailure(ensureTables(pooled(url), models), 'pooler-in-the-way')
    expect(await tablesIn(name)).toEqual([])
  })

  it('that swallows the parameters a pooler cannot set, a missing database is still told from one that is there', async () => {
    const pooled = await startPooler('ignore_startup_parameters = statement_timeout,lock_timeout,options')
    const missing = newDatabase()
    await expectCausedFailure(ensureDatabase(pooled(missing.url)), 'pooler-in-the-way')
    expect(await databaseExists(missing.name)).toBe(false)
    const present = await existingDatabase()
    expect(await ensureDatabase(pooled(present.url))).toMatchObject({ outcome: 'already-exists' })
  })
})

/** Starts a PgBouncer before the test server; ended after the test. Gives what leads a URL through it. */
async function startPooler(setting = ''): Promise<(url: string) => string> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-pgbouncer-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  await writeConfiguration(folder, port, setting)
  const bouncer = spawn(pgbouncer!, [join(folder, 'pgbouncer.ini')], {
    stdio: 'ignore',
    ...(await unprivileged(folder)),
  })
  onTestFinished(() => end(bouncer))
  await vi.waitFor(() => accepts(port), { timeout: 10_000, interval: 20 })
  return (url) => {
    const through = new URL(url)
    Object.assign(through, { hostname: '127.0.0.1', port: String(port) })
    return through.href
  }
}

async function writeConfiguration(folder: string, port: number, setting: string): Promise<void> {
  const { hostname, port: serverPort, username, password } = new URL(inject('serverUrl'))
  const configuration = [
    '[databases]',
    `* = host=${hostname} port=${serverPort || '5432'}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = plain',
    `auth_file = ${join(folder, 'users.txt')}`,
    'pool_mode = session',
    setting,
  ]
  const users = `"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"\n`
  await writeFile(join(folder, 'pgbouncer.ini'), `${configuration.join('\n')}\n`)
  await writeFile(join(folder, 'users.txt'), users, { mode: 0o600 })
}

/** PgBouncer does not run as root: then it runs as `nobody`, who must be able to read its files. */
async function unprivileged(folder: string): Promise<{ uid?: number; gid?: number }> {
  if (process.getuid?.() !== 0) return {}
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' })))
  await chmod(folder, 0o700)
  for (const path of [folder, join(folder, 'pgbouncer.ini'), join(folder, 'users.txt')]) await chown(path, uid!, gid!)
  return { uid: uid!, gid: gid! }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function accepts(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
}

function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}
