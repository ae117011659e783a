import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ending, isRunning, query, runNode, runProgram, scratchFolder, serverPid, start, until } from './support.ts'

const program = join(dirname(fileURLToPath(import.meta.url)), 'program.ts')

test('adopts the server of a process that was killed, and ends it', async () => {
  const dataDir = scratchFolder()
  const { child, ready } = await runProgram({ dataDir })
  child.kill('SIGKILL')
  await ending(child)
  const server = await start({ dataDir })
  expect(server.outcome).toBe('adopted')
  expect(server.port).toBe(ready.port)
  const pid = serverPid(dataDir) ?? 0
  await server.stop()
  expect(isRunning(pid)).toBe(false)
})

test('shares the server of another living process, and both may end first', async () => {
  const dataDir = scratchFolder()
  const { child } = await runProgram({ dataDir })
  const server = await start({ dataDir })
  expect(server.outcome).toBe('shared')
  child.kill('SIGTERM')
  expect(await ending(child)).toBe('SIGTERM')
  expect(await query(server.url, 'select 1 as n')).toEqual([{ n: 1 }])
  const other = await runProgram({ dataDir })
  await server.stop()
  expect(await query(String(other.ready.url), 'select 1 as n')).toEqual([{ n: 1 }])
})

test('two processes that start at once on an empty folder: one starts, the other shares', async () => {
  const dataDir = scratchFolder()
  const programs = await Promise.all([runProgram({ dataDir }), runProgram({ dataDir })])
  expect(programs.map(({ ready }) => ready.outcome)).toSatisfy(oneStarted)
  const pid = serverPid(dataDir) ?? 0
  for (const { child } of programs) child.kill('SIGINT')
  for (const { child } of programs) expect(await ending(child)).toBe('SIGINT')
  await until(() => !isRunning(pid))
})

test.each([
  ['a pid that nobody has', () => 4_194_304],
  ['a pid that another process has by now', () => process.pid],
  ['a pid of a process of another user', () => 1],
])('a postmaster.pid left behind with %s is recognised', async (_, pid) => {
  const dataDir = scratchFolder()
  const first = await start({ dataDir })
  const file = join(dataDir, 'data', 'postmaster.pid')
  const lines = readFileSync(file, 'utf8').split('\n')
  await first.stop()
  writeFileSync(file, [pid(), ...lines.slice(1)].join('\n'))
  const second = await start({ dataDir })
  expect(second.outcome).toBe('started')
})

test('starts again, and recovers, after the server itself was killed', async () => {
  const dataDir = scratchFolder()
  const first = await start({ dataDir })
  await query(first.url, 'create table notes as select 1 as n')
  const pid = serverPid(dataDir) ?? 0
  process.kill(pid, 'SIGKILL')
  await until(() => !isRunning(pid))
  const second = await start({ dataDir })
  expect(second.outcome).toBe('started')
  expect(await query(second.url, 'select n from notes')).toEqual([{ n: 1 }])
})

test('a data folder that was being made when its process was killed is made anew', async () => {
  const dataDir = scratchFolder()
  const child = runNode(program, [JSON.stringify({ dataDir })])
  const beingMade = () => readdirSync(dataDir).find((name) => name.startsWith('initialising-'))
  // initdb makes the folder `base` early on, and has most of its work still before it then.
  await until(() => existsSync(join(dataDir, beingMade() ?? 'none', 'data', 'base')))
  child.kill('SIGKILL')
  await ending(child)
  const server = await start({ dataDir })
  expect(await query(server.url, 'select 1 as n')).toEqual([{ n: 1 }])
  expect(beingMade()).toBeUndefined()
})

test('a lock and a user left behind by dead processes delay no start', async () => {
  const dataDir = scratchFolder()
  const dead = JSON.stringify({ pid: process.pid, startedAt: 'another time' })
  mkdirSync(join(dataDir, 'users'))
  writeFileSync(join(dataDir, 'lock'), dead)
  writeFileSync(join(dataDir, 'users', 'dead'), dead)
  const server = await start({ dataDir })
  const pid = serverPid(dataDir) ?? 0
  await server.stop()
  expect(isRunning(pid)).toBe(false)
})

function oneStarted([one, other]: unknown[]): boolean {
  return (one === 'started' && other === 'shared') || (one === 'shared' && other === 'started')
}
