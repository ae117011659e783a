import { describe, expect, test } from 'vitest'
// The parts of the command line, not part of the public face.
import { makeProgram } from '../../dist/cli/program.js'

const names = makeProgram('0.0.0', { signal: AbortSignal.abort(), end: () => undefined }).commands.map((it) =>
  it.name(),
)

describe.each(names)('the help of %s', (name) => {
  const help = helpOf(name)

  test('describes its purpose, and has examples of it', () => {
    expect(help).toMatch(new RegExp(`^Usage: tenantry ${name}\\b.*\\n\\n[A-Z].*\\.\\n`))
    expect(help).toMatch(new RegExp(`\\nExamples:\\n(?:.*\\n)*.*\\btenantry ${name}\\b`))
  })

  test('fits into 100 columns', () => {
    expect(help.split('\n').filter((line) => line.length > 100)).toEqual([])
  })

  test('names options that are accepted', async () => {
    const [, optionLines = ''] = /\nOptions:\n((?: .*\n)*)/.exec(help) ?? []
    const options = [...optionLines.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)(?: <(\w+)>)?/gm)]
    expect(options.map(([, long]) => long)).toContain('--help')
    for (const [, long = '', value] of options) {
      if (long !== '--help') await accept(name, [long, ...(value === undefined ? [] : [values[value] ?? 'x'])])
    }
  })
})

test('the help of tenantry has every command and fits into 100 columns', () => {
  const help = helpOf()
  expect(names.filter((name) => !new RegExp(`^  ${name}\\b`, 'm').test(help))).toEqual([])
  expect(help.split('\n').filter((line) => line.length > 100)).toEqual([])
})

/** An argument for each kind of value. */
const values: Readonly<Record<string, string>> = { number: '1', time: '1s', share: '0.5', json: '{}' }
/** The required arguments of each command. */
const needed: Readonly<Record<string, readonly string[]>> = {
  'add-domain': ['acme', 'shop.acme.example'],
  adopt: ['acme', '--database', 'acme'],
  clone: ['acme', 'globex'],
  completion: ['bash'],
  exec: ['acme', 'psql'],
  'remove-domain': ['acme', 'shop.acme.example'],
  'verify-domain': ['acme', 'shop.acme.example'],
}

/** Has the words of a command understood, without running it. */
async function accept(name: string, words: readonly string[]): Promise<void> {
  const program = makeProgram('0.0.0', { signal: AbortSignal.abort(), end: () => undefined })
  const command = program.commands.find((it) => it.name() === name)
  let understood = false
  command?.action(() => {
    understood = true
  })
  const takesId = command?.registeredArguments.some((it) => it.required) ?? false
  await program.parseAsync([name, ...words, ...(needed[name] ?? (takesId ? ['acme'] : []))], { from: 'user' })
  expect(understood).toBe(true)
}

/** Returns the output of `--help`. */
function helpOf(name?: string): string {
  const program = makeProgram('0.0.0', { signal: AbortSignal.abort(), end: () => undefined })
  const command = name === undefined ? program : program.commands.find((it) => it.name() === name)
  let printed = ''
  command?.configureOutput({ writeOut: (text: string) => (printed += text) })
  command?.outputHelp()
  return printed
}
