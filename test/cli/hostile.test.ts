import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { makeProject, type UserProject } from './project.ts'
import { prepare, shell } from './shell.ts'

/** Characters that can move a cursor, break a line, or turn the direction of text. */
const harmful = /(?!\n)[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u

const names = {
  colours: '\u001b[31mred\u001b[0m',
  screen: '\u001b[2J\u001b]0;title\u0007',
  'eight-bit': '\u009b31mred',
  lines: 'first\nsecond\r\nthird\u2028fourth',
  quotes: `'"\`$(id) \\ "; drop table tenant; --`,
  bidi: 'user\u202etxt.exe\u2066\u2069\u200f\u061c',
  people: 'Ünïcödé 商店 👩‍👩‍👧 نص',
}

describe('names and metadata that are hostile', () => {
  let project: UserProject
  beforeAll(async () => {
    project = makeProject('hostile')
    const tenants = Object.entries(names).map(([id, displayName]) => ({
      id,
      displayName,
      metadata: { [displayName]: displayName },
    }))
    writeFileSync(join(project.cwd, 'tenants.jsonl'), tenants.map((tenant) => `${JSON.stringify(tenant)}\n`).join(''))
    await prepare('tenantry onboard --from tenants.jsonl', project)
  })

  it('come back as they were given', async () => {
    const { stdout } = await shell('tenantry list --json', project)
    const { result } = JSON.parse(stdout) as {
      result: { tenants: { id: string; displayName: string; metadata: object }[] }
    }
    expect(Object.fromEntries(result.tenants.map(({ id, displayName }) => [id, displayName]))).toEqual(names)
    for (const { displayName, metadata } of result.tenants) expect(metadata).toEqual({ [displayName]: displayName })
  })

  it('are listed harmlessly, each on a line of its own', async () => {
    const { stdout } = await shell('tenantry list', project)
    expect(stdout).not.toMatch(harmful)
    expect(stdout.trimEnd().split('\n')).toHaveLength(Object.keys(names).length + 1)
    expect(stdout).toContain(names.people)
    expect(stdout).toContain(names.quotes)
  })

  it.each(Object.keys(names))('are shown harmlessly: %s', async (id) => {
    const { stdout } = await shell(`tenantry show ${id}`, project)
    expect(stdout).not.toMatch(harmful)
    expect(stdout).toMatch(/^display name {2}\S/m)
    expect(stdout).toMatch(/^metadata {6}\{/m)
  })
})

describe('unusable input', () => {
  const project = { ...makeProject('hostile-words') }
  beforeAll(() => prepare('tenantry init --catalog', project))

  it.each([
    ['an id', ['show', '\u001b[31mred\u202e\u009b']],
    ['an id with a line break', ['onboard', 'a\nb']],
    ['a command', ['\u001b[31mred\u202e']],
    ['an option', ['list', '--\u001b[31mred\u202e']],
    ["an option's value", ['list', '--limit', '\u001b[31mred\u202e']],
    ['a configuration', ['list', '--config', '\u001b[31mred\u202e.ts']],
    ['a file', ['onboard', '--from', '\u001b[31mred\u202e']],
    ['a database', ['adopt', 'acme', '--database', '\u202eemca']],
  ])('is refused, and named harmlessly: %s', async (_, words) => {
    const quoted = words.map((word) => `'${word}'`).join(' ')
    const { stdout, stderr, code } = await shell(`tenantry ${quoted}`, project)
    expect(stdout).toBe('')
    expect(stderr).not.toMatch(harmful)
    expect(stderr).toMatch(/\([a-z-]+\)\n$/)
    expect(stderr).not.toMatch(/\n +at /)
    expect(code).toBe(words[0] === 'adopt' ? 1 : 2)
  })

  it('is refused one by one in a list, and named harmlessly', async () => {
    const lines = ['\u001b[31mred', '{"id":"\\u001b[31m"}', '{"id":"ok-one","displayName":7}']
    writeFileSync(join(project.cwd, 'tenants.jsonl'), lines.join('\n'))
    const { stdout, stderr, code } = await shell('tenantry onboard --from tenants.jsonl', project)
    expect(stdout + stderr).not.toMatch(harmful)
    expect(stdout.match(/: failed: /g)).toHaveLength(3)
    expect(code).toBe(1)
  })
})
