import { beforeAll, describe, expect, it } from 'vitest'
import { makeProject, type UserProject } from './project.ts'
import { hasTerminals, onTerminal, prepare, shell } from './shell.ts'

const escape = '\u001b'
const green = `${escape}[32m`
const red = `${escape}[31m`

describe('colours', () => {
  let project: UserProject
  let plain: UserProject
  beforeAll(async () => {
    plain = makeProject('colours')
    project = { ...plain, env: { ...plain.env, NO_COLOR: undefined } }
    await prepare('tenantry onboard acme', project)
  })

  it('are not in piped output', async () => {
    const listed = await shell('tenantry show acme', project)
    expect(listed.stdout).toContain('active')
    const refused = await shell('tenantry show nobody', project)
    expect(refused.stderr).toContain('There is no tenant')
    expect([listed, refused].map(({ stdout, stderr }) => stdout + stderr).join('')).not.toContain(escape)
  })

  describe.skipIf(!hasTerminals)('and progress', () => {
    it('are on a terminal', async () => {
      expect((await onTerminal('tenantry show acme', project).ended).screen).toContain(`${green}active`)
      expect((await onTerminal('tenantry show nobody', project).ended).screen).toContain(`${red}There is no tenant`)
    })

    it('are not on one where NO_COLOR is set', async () => {
      expect((await onTerminal('tenantry show acme', plain).ended).screen).not.toContain(escape)
    })

    it('are each where the terminal is: not in the output that goes into a file', async () => {
      const { screen } = await onTerminal('tenantry onboard globex >out.txt', project).ended
      expect(screen).toContain('0 of 1')
      const { stdout } = await shell('cat out.txt', project)
      expect(stdout).toMatch(/^globex: onboarded, active, in \w+ on main\n$/)
    })

    it('and not in the errors that go into a file', async () => {
      const { screen } = await onTerminal('tenantry onboard initech 2>errors.txt', project).ended
      expect(screen).toContain(`${green}active`)
      expect(screen).not.toContain('0 of 1')
      expect((await shell('cat errors.txt', project)).stdout).toBe('')
    })

    it('and not beside JSON', async () => {
      const { screen } = await onTerminal('tenantry onboard hooli --json', project).ended
      expect(screen).not.toContain(escape)
      expect(JSON.parse(screen)).toMatchObject({ ok: true })
    })
  })
})
