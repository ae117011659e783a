import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { errorKinds } from '../../../dist/kernel/error-kinds.js'
import { makeProject, type UserProject } from '../../cli/project.ts'
import type { Ended } from '../../cli/shell.ts'
import { type CommandLine, inItsOwnProcess, inOneProcess } from './command-line.ts'
import { anyMetadata, isStorable, isText, merged } from './metadata.ts'
import { harmful } from './refusal.ts'
import { cases, printSeed, runs, tally } from './seed.ts'
import { hostileText, idText } from './texts.ts'
import { watch, type World } from './world.ts'

printSeed('words on the command line')

const lane = 'lane'
let project: UserProject
let world: World
let run: CommandLine
beforeAll(async () => {
  project = makeProject('hostile-words')
  run = inOneProcess(project)
  await run(['onboard', lane])
  world = await watch(project.env['INSTALLATION'] ?? '')
})

/** A word that argv can carry. */
const word = hostileText.map((text) => text.replaceAll('\0', '').toWellFormed())
const id = idText.map((text) => text.replaceAll('\0', '').toWellFormed())
const noId = idText.filter((text) => text.split('\n').every((line) => !isId(line.trim())))
const metadata = fc.oneof(
  { weight: 4, arbitrary: anyMetadata.filter(isStorable).map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: word },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '{"a":1e400}',
      '{"a":12345678901234567890}',
      '{"a":-0}',
      '{"__proto__":{"a":1}}',
      '[]',
      '"x"',
      '{',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('{"a":"\\u0000"}', '{"\\ud800":1}', `{"a":${'['.repeat(9_000)}${']'.repeat(9_000)}}`),
  },
)

interface Case {
  readonly command: string
  readonly options: readonly string[]
  readonly words: readonly string[]
  /** The tenant's expected properties afterwards, if the command may be carried out. */
  readonly told?: { readonly displayName?: string; readonly metadata?: string }
  readonly line?: string
}

const withId = fc
  .tuple(fc.constantFrom('show', 'onboard', 'suspend', 'resume', 'offboard', 'restore', 'purge', 'check'), id)
  .map(([command, it]) => ({ command, options: [], words: [it] }))

const withMore: fc.Arbitrary<Case> = fc.oneof(
  fc.tuple(id, word).map(([it, name]) => ({ command: 'adopt', options: [`--database=${name}`], words: [it] })),
  fc.tuple(id, id).map((words) => ({ command: 'clone', options: [], words })),
  id.map((it) => ({ command: 'exec', options: [], words: [it, 'true'] })),
  word.map((name) => ({ command: 'onboard', options: [`--server=${name}`], words: ['refused'] })),
  fc
    .tuple(fc.constantFrom('completion', 'help', 'init'), word)
    .map(([command, it]) => ({ command, options: [], words: [it, it] })),
)

const listing = fc
  .tuple(
    fc.constantFrom('search', 'server', 'after', 'state', 'models-version', 'limit', 'metadata', 'config'),
    fc.oneof(word, metadata),
  )
  .map(([name, value]) => ({ command: 'list', options: [`--${name}=${value}`], words: [] }))

const updating: fc.Arbitrary<Case> = fc.record({ displayName: word, metadata }, { requiredKeys: [] }).map((told) => ({
  command: 'update',
  options: [
    ...(told.displayName === undefined ? [] : [`--display-name=${told.displayName}`]),
    ...(told.metadata === undefined ? [] : [`--metadata=${told.metadata}`]),
  ],
  words: [lane],
  told,
}))

const fromFile: fc.Arbitrary<Case> = fc
  .oneof(
    noId,
    fc.tuple(noId, hostileText).map(([it, name]) => JSON.stringify({ id: it, displayName: name, nothing: 1 })),
    word.map((it) => `{${it}`),
  )
  .map((line) => ({ command: 'onboard', options: ['--from=tenants.jsonl'], words: [], line: `${line}\nNo Id` }))

const stray: fc.Arbitrary<Case> = fc
  .array(
    word.filter((it) => !/^-{0,2}[hvcj]/.test(it)),
    { minLength: 1, maxLength: 3 },
  )
  .map(([command = '', ...options]) => ({ command, options, words: [] }))

const anyCase = fc.tuple(
  fc.oneof(
    { weight: 4, arbitrary: withId },
    { weight: 3, arbitrary: withMore },
    { weight: 3, arbitrary: listing },
    { weight: 8, arbitrary: updating },
    { weight: 1, arbitrary: fromFile },
    { weight: 1, arbitrary: stray },
  ),
  fc.boolean(),
)

test('hostile words are taken as they are, or refused, and harm no terminal', async () => {
  await world.unchanged(async () => {
    await fc.assert(
      fc.asyncProperty(anyCase, ([given, asJson]) => expectHarmless(run, given, asJson)),
      runs(cases.commands),
    )
  }, lane)
})

test('they do so in processes of their own', async () => {
  await world.unchanged(async () => {
    await fc.assert(
      fc.asyncProperty(anyCase, ([given, asJson]) => expectHarmless(inItsOwnProcess(project), given, asJson)),
      runs(cases.processes),
    )
  }, lane)
})

test('records of the catalog are listed and shown harmlessly, and in full for programs', async () => {
  const displayName = '\u001b[2J\u009b31m\u202e\u2066\u061c\u2028\u007f"\n'
  await run([
    'update',
    lane,
    `--display-name=${displayName}`,
    `--metadata=${JSON.stringify({ [displayName]: displayName })}`,
  ])
  for (const words of [['list'], ['show', lane], ['status'], ['list', '--json'], ['show', lane, '--json']]) {
    const { stdout, stderr, code } = await run(words)
    expect([stderr, code]).toEqual(['', 0])
    expect(stdout).not.toMatch(harmful)
    if (words.includes('--json')) expect(stdout).toContain(`"displayName":"\\u001b[2J\\u009b31m\\u202e`)
  }
})

/** Fails if the command did harm. */
async function expectHarmless(commandLine: CommandLine, given: Case, asJson: boolean): Promise<void> {
  const { command, options, words, told, line } = given
  if (line !== undefined) writeFileSync(join(project.cwd, 'tenants.jsonl'), line)
  if (told !== undefined) await world.forget(lane)
  const all = [command, ...(asJson ? ['--json'] : []), ...options, ...(words.length > 0 ? ['--', ...words] : [])]
  // A tenant of a good id would be made, and destroyed: that is tried elsewhere.
  const ended = await commandLine(command === 'onboard' && words.some(isId) ? ['show', ...all.slice(1)] : all)
  expectClean(ended, asJson)
  if (told !== undefined) await expectTold(ended, told, asJson)
  if (ended.code === 0) tally.accepted++
  else tally.refused++
}

function expectClean({ stdout, stderr, code }: Ended, asJson: boolean): void {
  expect([0, 1, 2, 3, 4, 5]).toContain(code)
  expect(stdout).not.toMatch(harmful)
  expect(stderr).not.toMatch(harmful)
  expect(stderr).not.toMatch(/\n +at /)
  if (code === 0 || stdout !== '') return
  const [, errorCode = ''] = /\(([a-z-]+)\)\n$/.exec(stderr) ?? []
  expect(asJson).toBe(false)
  expect(errorKinds).toHaveProperty([errorCode])
}

interface Printed {
  readonly ok: boolean
  readonly result: { readonly tenant: { readonly displayName?: string; readonly metadata: unknown } }
  readonly error: { readonly code: string }
}

async function expectTold(
  { stdout, code }: Ended,
  { displayName, metadata: json }: NonNullable<Case['told']>,
  asJson: boolean,
) {
  const isNothing = displayName === undefined && json === undefined
  const isGood = !isNothing && (json === undefined || isKept(json))
  expect(code).toBe(isGood ? 0 : 2)
  const wanted = isGood && json !== undefined ? merged(JSON.parse(json)) : {}
  const name = isGood ? displayName : undefined
  const stored = await world.stored(lane)
  expect(stored.display_name ?? undefined).toBe(name)
  expect(isDeepStrictEqual(JSON.parse(stored.metadata), wanted)).toBe(true)
  if (!asJson) return
  const printed = JSON.parse(stdout) as Printed
  expect(printed.ok).toBe(isGood)
  if (!isGood) {
    expect(printed.error.code).toBe('invalid-option')
    return
  }
  expect(printed.result.tenant.displayName).toBe(name)
  expect(isDeepStrictEqual(printed.result.tenant.metadata, wanted)).toBe(true)
}

/** True if JavaScript reads a text as the JSON object that it is, and the catalog can store it. */
function isKept(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json)
    return isText(json) && isStorable(value) && !json.includes('12345678901234567890')
  } catch {
    return false
  }
}

function isId(value: string): boolean {
  return /^[a-z0-9-]{1,40}$/.test(value) && !value.startsWith('-') && !value.endsWith('-')
}
