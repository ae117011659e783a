import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { inject, vi } from 'vitest'

/** The program, if it is installed. */
export const pgbouncer = findProgram('pgbouncer')

/** A PgBouncer before the test server. */
export interface Pooler {
  readonly host: string
  readonly port: number
  readonly stop: () => Promise<void>
}

/** Starts one. It knows the superuser; `settings` are lines of its section `[pgbouncer]`. */
export function startPgbouncer(...settings: string[]): Promise<Pooler> {
  return startPgbouncerFor({}, ...settings)
}

/** Starts one that knows other roles as well, by their passwords. */
export async function startPgbouncerFor(roles: Record<string, string>, ...settings: string[]): Promise<Pooler> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-pgbouncer-'))
  const port = await freePort()
  await writeConfiguration(folder, port, { roles, settings })
  const program = spawn(pgbouncer ?? 'pgbouncer', [join(folder, 'pgbouncer.ini')], {
    stdio: 'ignore',
    ...(await unprivileged(folder)),
  })
  await vi.waitFor(() => accepts(port), { timeout: 10_000, interval: 20 })
  return {
    host: '127.0.0.1',
    port,
    stop: async () => {
      await end(program)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

interface Configuration {
  readonly roles: Record<string, string>
  readonly settings: readonly string[]
}

async function writeConfiguration(folder: string, port: number, { roles, settings }: Configuration): Promise<void> {
  const { hostname, port: serverPort, username, password } = new URL(inject('serverUrl'))
  const given = new Set(settings.map((line) => line.split('=', 1)[0]?.trim()))
  const defaults = ['auth_type = plain', 'pool_mode = session']
  const configuration = [
    '[databases]',
    `* = host=${hostname} port=${serverPort || '5432'}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    `auth_file = ${join(folder, 'users.txt')}`,
    ...defaults.filter((line) => !given.has(line.split('=', 1)[0]?.trim())),
    ...settings,
  ]
  const known = { [decodeURIComponent(username)]: decodeURIComponent(password), ...roles }
  const users = Object.entries(known).map(([name, secret]) => `"${name}" "${secret}"\n`)
  await writeFile(join(folder, 'pgbouncer.ini'), `${configuration.join('\n')}\n`)
  await writeFile(join(folder, 'users.txt'), users.join(''), { mode: 0o600 })
}

/**
 * Returns the user `nobody` for root, since PgBouncer does not run as root; that user must be able to read its files.
 */
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
