import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ending, isRunning, query, runNode, scratchFolder, serverPid, until } from './support.ts'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

test('tenantry dev prints how to connect, stays up until Ctrl-C and stops', async () => {
  const dataDir = join(scratchFolder(), 'postgres')
  const child = runNode(main, ['dev', '--data-dir', dataDir])
  let printed = ''
  child.stdout?.on('data', (chunk: Buffer) => (printed += chunk.toString()))
  await until(() => printed.includes('Ctrl-C'))
  expect(await query(/postgresql:\S+/.exec(printed)?.[0] ?? '', 'select 1 as n')).toEqual([{ n: 1 }])
  expect(printed).toContain(join(dataDir, 'password'))
  const pid = serverPid(dataDir) ?? 0
  child.kill('SIGINT')
  expect(await ending(child)).toBe(0)
  expect(isRunning(pid)).toBe(false)
})

test('of two in one folder the second reports that it shares the server, and leaves it to the first', async () => {
  const dataDir = join(scratchFolder(), 'postgres')
  const start = async () => {
    const child = runNode(main, ['dev', '--data-dir', dataDir], { NO_COLOR: '1' })
    const [printed, ended] = [{ out: '', errors: '' }, ending(child)]
    child.stdout?.on('data', (chunk: Buffer) => (printed.out += chunk.toString()))
    child.stderr?.on('data', (chunk: Buffer) => (printed.errors += chunk.toString()))
    await until(() => printed.out.includes('Ctrl-C'))
    return { child, printed, ended }
  }
  const first = await start()
  const second = await start()
  const pid = serverPid(dataDir) ?? 0
  expect(second.printed.out).toMatch(/is running already, for another process/)
  expect(second.printed.out).not.toMatch(/to stop it/)
  second.child.kill('SIGINT')
  expect(await second.ended).toBe(0)
  expect(second.printed.errors).toBe('The server runs on: another process uses it.\n')
  expect(isRunning(pid)).toBe(true)
  expect(await query(/postgresql:\S+/.exec(first.printed.out)?.[0] ?? '', 'select 1 as n')).toEqual([{ n: 1 }])
  first.child.kill('SIGINT')
  expect(await first.ended).toBe(0)
  expect(first.printed.errors).toBe('Stopped.\n')
  expect(isRunning(pid)).toBe(false)
})

test.each([
  [['--version'], 0, /^\d+\.\d+\.\d+/, /^$/],
  [['--help'], 0, /dev/, /^$/],
  [['dev', '--help'], 0, /--data-dir/, /^$/],
  [['no-such'], 2, /^$/, /Unknown command 'no-such'/],
  [[], 2, /Usage: tenantry/, /^$/],
  [['dev', '--prot', '1'], 2, /^$/, /Unknown option '--prot'/],
  [['dev', '--port', 'x'], 2, /^$/, /not a whole number/],
])('tenantry %j ends with %i', async (words, code, output, errors) => {
  expect(await run(runNode(main, words, { NO_COLOR: '1' }))).toEqual({
    code,
    output: expect.stringMatching(output),
    errors: expect.stringMatching(errors),
  })
})

test('an error shows its message, hint and code, and no stack', async () => {
  const { code, errors } = await run(runNode(main, ['dev'], { NODE_ENV: 'production' }))
  expect(code).toBe(1)
  expect(errors).toMatch(/NODE_ENV is production\.\nSet DATABASE_URL.*\n\(embedded-in-production\)\n$/)
})

async function run(child: ChildProcess) {
  if (child.stdout === null || child.stderr === null) throw new Error('The program has no output to read.')
  const [output, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), ending(child)])
  return { code, output, errors }
}
