import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
// The parts of the command line, not part of the public face.
import { completionScript, shells } from '../../dist/cli/completion.js'
import { makeProgram } from '../../dist/cli/program.js'

const program = makeProgram('0.0.0', { signal: AbortSignal.abort(), end: () => undefined })

describe.each(shells)('the script for %s', (shell) => {
  const script = completionScript(program, shell)

  test('is valid', ({ skip }) => {
    if (spawnSync(shell, ['-c', 'true']).status !== 0) skip(`${shell} is not installed`)
    expect(spawnSync(shell, ['-n', file(script)], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
  })

  test('has every command with every option', () => {
    for (const command of program.commands) {
      // Of bash and zsh the line of the command's case, of fish the lines that are for the command.
      const lines = script
        .split('\n')
        .filter((line) => new RegExp(`^ +${command.name()}\\)|_from ${command.name()}'`).test(line))
      const text = lines.join('\n')
      for (const { long } of command.options) {
        expect(text).toMatch(new RegExp(shell === 'fish' ? ` -l ${long?.slice(2)} ` : `${long}[" []`))
      }
      expect(script).toContain(command.name())
    }
  })
})

describe('in bash', () => {
  test.each([
    ['the name of a command', ['tenantry', 'onb'], ['onboard']],
    ['all names', ['tenantry', ''], program.commands.map((it) => it.name())],
    ['an option', ['tenantry', 'onboard', '--disp'], ['--display-name']],
    ['an option after a word', ['tenantry', 'purge', 'acme', '--dr'], ['--dry-run']],
    ['nothing where nothing fits', ['tenantry', 'purge', '--no-such'], []],
  ])('completes %s', (_, words, expected) => {
    expect(complete(words)).toEqual(expected)
  })
})

/** Returns bash's completions of the last of these words. */
function complete(words: readonly string[]): string[] {
  const drive = [
    `source '${file(completionScript(program, 'bash'))}'`,
    `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})`,
    `COMP_CWORD=${words.length - 1}`,
    '_tenantry',
    'printf "%s\\n" "${COMPREPLY[@]}"',
  ]
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', drive.join('\n')], { encoding: 'utf8' })
  expect(stderr).toBe('')
  return stdout.split('\n').filter((line) => line !== '')
}

function file(script: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-completion-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const name = join(folder, 'script')
  writeFileSync(name, `${script}\n`)
  return name
}
