import { readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { startEmbeddedPostgres } from 'tenantry/embedded'
import { isRunning, query, scratchFolder, serverPid, start } from './support.ts'

test('keeps its data, its port and its password from start to start', async () => {
  const dataDir = scratchFolder()
  const first = await start({ dataDir })
  await query(first.url, 'create table notes as select 1 as n')
  await first.stop()
  const second = await start({ dataDir })
  expect(await query(second.url, 'select n from notes')).toEqual([{ n: 1 }])
  expect([first.outcome, second.outcome]).toEqual(['started', 'started'])
  expect(second.port).toBe(first.port)
  expect(second.url).toBe(first.url)
})

test('is UTF-8 with one order everywhere, asks for the password, and listens on 127.0.0.1 alone', async () => {
  const server = await start({ dataDir: scratchFolder() })
  const settings = `select current_setting('server_encoding') as encoding, current_setting('listen_addresses') as at,
    current_setting('unix_socket_directories') as sockets, current_setting('fsync') as fsync, lower('ÄÖ') as lower`
  expect(await query(server.url, settings)).toEqual([
    { encoding: 'UTF8', at: '127.0.0.1', sockets: '', fsync: 'on', lower: 'äö' },
  ])
  const url = new URL(server.url)
  url.password = 'wrong'
  await expect(query(url.href, 'select 1')).rejects.toMatchObject({ code: '28P01' })
})

test('the password is readable by its owner alone and does not show when the server is printed', async () => {
  const server = await start({ dataDir: scratchFolder() })
  const password = readFileSync(server.passwordFile, 'utf8').trim()
  expect(statSync(server.passwordFile).mode & 0o777).toBe(0o600)
  expect(decodeURIComponent(new URL(server.url).password)).toBe(password)
  expect(password.length).toBeGreaterThan(30)
  expect(inspect(server) + JSON.stringify(server)).not.toContain(password)
  expect(readFileSync(server.logFile, 'utf8')).not.toContain(password)
})

test('two starts at once on an empty folder: one starts the server, the other shares it', async () => {
  const dataDir = scratchFolder()
  const servers = await Promise.all([start({ dataDir }), start({ dataDir }), start({ dataDir })])
  expect(servers.map((server) => server.outcome).toSorted()).toEqual(['shared', 'shared', 'started'])
  expect(new Set(servers.map((server) => server.url)).size).toBe(1)
})

test('the last to stop ends the server; stopping twice is fine', async () => {
  const dataDir = scratchFolder()
  const first = await start({ dataDir })
  const second = await start({ dataDir })
  const pid = serverPid(dataDir) ?? 0
  await first.stop()
  await first.stop()
  expect(await query(second.url, 'select 1 as n')).toEqual([{ n: 1 }])
  await Promise.all([second.stop(), second.stop()])
  expect(isRunning(pid)).toBe(false)
})

test('a start right after a stop that is not over yet waits for it', async () => {
  const dataDir = scratchFolder()
  const first = await start({ dataDir })
  const stopped = first.stop()
  const second = await start({ dataDir })
  await stopped
  expect(await query(second.url, 'select 1 as n')).toEqual([{ n: 1 }])
})

test('takes a port, a superuser and settings', async () => {
  const port = await somePort()
  const server = await start({
    dataDir: scratchFolder(),
    port,
    superuser: 'Ms Admin',
    settings: { max_connections: 7 },
  })
  expect(server.port).toBe(port)
  expect(await query(server.url, `select current_user, current_setting('max_connections') as max`)).toEqual([
    { current_user: 'Ms Admin', max: '7' },
  ])
})

test('a given port that is taken is an error, a remembered one is replaced', async () => {
  const dataDir = scratchFolder()
  const first = await start({ dataDir })
  await first.stop()
  const other = createServer().listen(first.port, '127.0.0.1')
  await once(other, 'listening')
  try {
    await expect(startEmbeddedPostgres({ dataDir, port: first.port })).rejects.toMatchObject({
      code: 'embedded-failed',
      message: `Port ${first.port} is taken by another program.`,
    })
    const second = await start({ dataDir })
    expect(second.port).not.toBe(first.port)
  } finally {
    other.close()
  }
})

test('a port other than that of the running server is refused while another process uses it', async () => {
  const dataDir = scratchFolder()
  const server = await start({ dataDir })
  await expect(startEmbeddedPostgres({ dataDir, port: await somePort() })).rejects.toMatchObject({
    code: 'embedded-failed',
    hint: expect.stringContaining('Leave out port'),
  })
  expect(await query(server.url, 'select 1 as n')).toEqual([{ n: 1 }])
})

test('is ended by an AbortSignal, and leaves nothing half made', async () => {
  const dataDir = scratchFolder()
  const controller = new AbortController()
  const onLog = (line: string) => line.startsWith('Making') && setImmediate(() => controller.abort())
  const aborted = startEmbeddedPostgres({ dataDir, signal: controller.signal, onLog })
  await expect(aborted).rejects.toMatchObject({ code: 'aborted' })
  const server = await start({ dataDir })
  expect(await query(server.url, 'select 1 as n')).toEqual([{ n: 1 }])
})

test('a start that takes too long fails with its limit and ends its processes', async () => {
  const dataDir = scratchFolder()
  await expect(startEmbeddedPostgres({ dataDir, startTimeoutMs: 100 })).rejects.toMatchObject({
    code: 'embedded-failed',
    message: expect.stringContaining('within 100 ms'),
  })
  expect(serverPid(dataDir)).toBeUndefined()
})

test('a server that cannot start fails with the end of its log', async () => {
  await expect(
    startEmbeddedPostgres({ dataDir: scratchFolder(), settings: { shared_buffers: 'nonsense' } }),
  ).rejects.toMatchObject({ code: 'embedded-failed', message: expect.stringContaining('shared_buffers') })
})

test.each([
  [{ dataDir: '' }],
  [{ dataDir: 'x', port: 0 }],
  [{ dataDir: 'x', port: 70_000 }],
  [{ dataDir: 'x', startTimeoutMs: 0.5 }],
  [{ dataDir: 'x', superuser: 'pg_me' }],
  [{ dataDir: 'x', settings: { port: 5432 } }],
  [{ dataDir: 'x', settings: { 'not a setting': 1 } }],
])('refuses %j', async (options) => {
  await expect(startEmbeddedPostgres(options)).rejects.toMatchObject({ code: 'invalid-option' })
})

async function somePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}
