import { beforeEach, describe, expect, it } from 'vitest'
import { makeProject, type UserProject } from './project.ts'
import { ctrlC, hasTerminals, onTerminal, prepare, shell } from './shell.ts'

describe.skipIf(!hasTerminals)('purge on a terminal', () => {
  let project: UserProject
  beforeEach(async () => {
    project = makeProject('confirm')
    await prepare('tenantry onboard acme && tenantry offboard acme', project)
  })

  const ask = async (keys: string, words = 'acme') => {
    const terminal = onTerminal(`tenantry purge ${words}`, project)
    await terminal.shows(/Type acme to go on: /)
    terminal.type(keys)
    return terminal.ended
  }
  const stateOfAcme = async () => (await shell('tenantry list --json', project)).stdout.match(/"state":"(\w+)"/)?.[1]

  it('destroys once the id is typed', async () => {
    const { screen, code } = await ask('acme\r')
    expect(screen).toMatch(/This destroys acme with all its data \(\w+_t_acme\)\./)
    expect(screen).toContain('acme: purged')
    expect(code).toBe(0)
    expect(await stateOfAcme()).toBeUndefined()
  })

  it.each([
    ['another word', 'globex\r', 'Another word was typed; nothing was destroyed.', 2],
    ['nothing', '\r', 'Another word was typed; nothing was destroyed.', 2],
    ['Ctrl-D', '\u0004', 'Nothing was typed; nothing was destroyed.', 2],
    ['Ctrl-C', ctrlC, 'Interrupted.', 130],
  ])('destroys nothing after %s', async (_, keys, message, exitCode) => {
    const { screen, code } = await ask(keys)
    expect(screen).toContain(message)
    expect(screen).not.toMatch(/\n +at /)
    expect(code).toBe(exitCode)
    expect(await stateOfAcme()).toBe('offboarded')
  })

  it('asks beside the output that a program reads', async () => {
    const { screen } = await ask('acme\r', 'acme --json >out.json')
    expect(screen).toContain('Type acme')
    const { stdout } = await shell('cat out.json', project)
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, result: { outcome: 'purged' } })
  })
})

it('asks on a terminal', ({ skip }) => {
  if (!hasTerminals) skip('there is no script of util-linux, which makes terminals')
  expect(hasTerminals).toBe(true)
})
