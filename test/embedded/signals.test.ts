import { expect, test } from 'vitest'
import { ending, isRunning, nextLine, runProgram, scratchFolder, serverPid, until } from './support.ts'

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'a program dies of %s as ever, after its server',
  async (signal) => {
    const dataDir = scratchFolder()
    const { child } = await runProgram({ dataDir })
    const pid = serverPid(dataDir) ?? 0
    child.kill(signal)
    expect(await ending(child)).toBe(signal)
    expect(isRunning(pid)).toBe(false)
  },
)

test('a program that listens itself finishes with its server, and ends it by exiting', async () => {
  const dataDir = scratchFolder()
  const { child } = await runProgram({ dataDir, ownHandler: true })
  const pid = serverPid(dataDir) ?? 0
  child.kill('SIGTERM')
  expect(JSON.parse(await nextLine(child))).toEqual({ answer: 42 })
  expect(await ending(child)).toBe(7)
  await until(() => !isRunning(pid))
})

test('a program that has nothing left to do is not kept, and its server ends with it', async () => {
  const dataDir = scratchFolder()
  const { child } = await runProgram({ dataDir, end: true })
  expect(await ending(child)).toBe(0)
  await until(() => serverPid(dataDir) === undefined)
})
