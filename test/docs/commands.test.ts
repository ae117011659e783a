import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { TenantryError } from 'tenantry'
import { describe, expect, test } from 'vitest'
// The exit codes are not part of the public face of the package.
import { exitCodeOf } from '../../dist/cli/exit-codes.js'
import { type ErrorCode, errorKinds } from '../../dist/kernel/error-kinds.js'
import { makeProject } from '../cli/project.ts'
import { allCodeBlocks, readPage, root } from './markdown.ts'
import { followTranscripts, runOnPage } from './page-transcript.ts'

const main = join(root, 'dist', 'cli', 'main.js')
const overview = 'docs/commands/README.md'
const commands = [...helpOf().matchAll(/^ {2}([a-z-]+) (?:\[|<)/gm)].flatMap(([, name = '']) => name).slice(0, -1)

const commonOptions = shownOptions(readPage(overview))
const isOwn = (option: string) => !commonOptions.includes(option)

test('every command has a page, every page a command', () => {
  const pages = readdirSync(join(root, 'docs/commands')).map((name) => name.replace('.md', ''))
  expect(commands).toEqual(expect.arrayContaining(['init', 'onboard', 'completion']))
  expect(pages.filter((name) => name !== 'README' && name !== 'exit-codes').toSorted()).toEqual(commands.toSorted())
})

test('the overview lists the commands in the order of the help', () => {
  const listed = [...readPage(overview).matchAll(/^\| \[([a-z-]+)\]\(\1\.md\) \|/gm)].map(([, name]) => name)
  expect(listed).toEqual(commands)
})

test('the overview has the options of any command', () => {
  expect(commonOptions).toEqual(knownOptions(helpOf('status')))
})

describe.each(commands)('%s', (name) => {
  const page = readPage(`docs/commands/${name}.md`)
  const help = helpOf(name)

  test('is used as in the help', () => {
    const [, usage] = /^Usage: (.*)$/m.exec(help) ?? []
    expect(
      allCodeBlocks(page)
        .find(({ language }) => language === 'sh')
        ?.code.trim(),
    ).toBe(usage)
  })

  test('has the options of the help, and no others', () => {
    const known = knownOptions(help)
    expect(known).toEqual(expect.arrayContaining(name === 'completion' ? ['-h, --help'] : commonOptions))
    expect(shownOptions(page).filter(isOwn)).toEqual(known.filter(isOwn))
  })
})

test.each([...commands.map((name) => `docs/commands/${name}.md`), overview])(
  'the failures on %s end with the exit codes of the process',
  (path) => {
    const rows = [...readPage(path).matchAll(/^\| \[`([\w-]+)`\]\(\S+\) \| (\d+) \|/gm)]
    expect(rows.length).toBeGreaterThan(0)
    for (const [, code = '', exitCode] of rows) {
      expect(errorKinds).toHaveProperty(code)
      expect([code, Number(exitCode)]).toEqual([code, exitCodeOf(new TenantryError(code as ErrorCode, 'of a test'))])
    }
  },
)

/** The commands before the example of a page. */
const before: Readonly<Record<string, readonly string[]>> = {
  init: [
    'rm tenantry.config.ts',
    `echo '{"dependencies":{"tenantry":"1","@mikro-orm/core":"7","@mikro-orm/postgresql":"7","typescript":"7"}}' > package.json`,
  ],
  check: [
    'tenantry onboard acme',
    // The models have moved on since.
    String.raw`node -e "fs.writeFileSync('models.ts', fs.readFileSync('models.ts', 'utf8').replace('text: p.text()', 'text: p.text(), done: p.boolean()'))"`,
    'tenantry onboard globex',
  ],
  list: [
    "tenantry onboard acme --display-name 'Acme GmbH'",
    `tenantry onboard globex initech --metadata '{"plan":"pro"}'`,
    'tenantry suspend initech',
  ],
  show: [
    `tenantry onboard acme --display-name 'Acme GmbH' --metadata '{"plan":"pro"}'`,
    'tenantry suspend acme',
    'tenantry resume acme',
  ],
  update: ['tenantry onboard acme'],
  reconcile: ['tenantry init --catalog'],
  drift: [
    'tenantry onboard acme globex',
    `tenantry exec --as-administrator acme -- sh -c 'SUPERUSER_URL=$DATABASE_URL sql $PGDATABASE "alter table note drop column text"'`,
  ],
  accept: ['tenantry onboard acme'],
  restamp: ['tenantry onboard acme'],
  README: ['tenantry init --catalog'],
  clone: ['tenantry onboard acme'],
  adopt: ['tenantry ensure --url postgresql://localhost/app_production'],
  suspend: ['tenantry onboard acme'],
  resume: ['tenantry onboard acme', 'tenantry suspend acme'],
  offboard: ['tenantry onboard acme'],
  restore: ['tenantry onboard acme', 'tenantry offboard acme'],
  purge: ['tenantry onboard acme', 'tenantry offboard acme'],
  'add-domain': ['tenantry onboard acme'],
  'verify-domain': ['tenantry onboard acme', 'tenantry add-domain acme shop.acme.example'],
  'remove-domain': ['tenantry onboard acme', 'tenantry add-domain acme shop.acme.example'],
  domains: [
    'tenantry onboard acme',
    'tenantry add-domain acme shop.acme.example',
    'tenantry verify-domain acme shop.acme.example --proven',
    'tenantry add-domain acme www.acme.example',
  ],
  status: ['tenantry onboard acme globex', 'tenantry suspend globex'],
  exec: ['tenantry onboard acme'],
  'rotate-credentials': ['tenantry onboard acme globex'],
  'remove-templates': ['tenantry onboard acme'],
  plan: [
    'tenantry onboard acme globex',
    String.raw`node -e "fs.writeFileSync('models.ts', fs.readFileSync('models.ts', 'utf8').replace('text: p.text()', 'text: p.text(), done: p.boolean().default(false)'))"`,
  ],
  'start-rollout': [
    'tenantry onboard acme globex',
    String.raw`node -e "fs.writeFileSync('models.ts', fs.readFileSync('models.ts', 'utf8').replace('text: p.text()', 'text: p.text(), done: p.boolean().default(false)'))"`,
  ],
  'set-desired': ['tenantry onboard acme'],
}

const withExample = [...commands, 'README'].filter((name) =>
  readPage(`docs/commands/${name}.md`).includes('```console'),
)

test.each(withExample)('the example of %s is what the command line prints', { timeout: 180_000 }, async (name) => {
  const project = makeProject(name.toLowerCase())
  for (const command of before[name] ?? []) expect(await runOnPage(command, project)).not.toMatch(/^(?:!|\[)/m)
  await followTranscripts(`docs/commands/${name}.md`, project)
})

function helpOf(...words: string[]): string {
  return execFileSync(process.execPath, [main, ...words, '--help'], { encoding: 'utf8' })
}

/** Returns the options that a help text lists. */
function knownOptions(help: string): string[] {
  const [, options = ''] = /^Options:\n(.*?)(?:\n\n|$(?![^]))/ms.exec(help) ?? []
  return [...options.matchAll(/^ {2}((?:-\w, )?--[\w-]+(?: <\w+>)?) {2,}/gm)].flatMap(([, flags = '']) => flags)
}

/** Returns the options that a page has rows for. */
function shownOptions(page: string): string[] {
  return [...page.matchAll(/^\| `(-[^`]+)` \|/gm)].flatMap(([, flags = '']) => flags)
}
