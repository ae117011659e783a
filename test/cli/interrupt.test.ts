import { expect, it } from 'vitest'
import { sql } from '../support/server.ts'
import { makeProject } from './project.ts'
import { ctrlC, hasTerminals, onTerminal, shell } from './shell.ts'

it(
  'Ctrl-C while many are onboarded ends in order, and the same command finishes',
  { timeout: 120_000 },
  async ({ skip }) => {
    if (!hasTerminals) skip('there is no script of util-linux, which makes terminals')
    const project = makeProject('interrupt')
    const installation = project.env['INSTALLATION'] ?? ''
    const states = () =>
      sql<{ state: string; count: number }>(
        'select state, count(*)::int from tenantry.tenant group by state order by state',
        [],
        `${installation}_catalog`,
      )

    const terminal = onTerminal('tenantry onboard --count 20 --prefix load-', project)
    await terminal.shows(/\b[1-9] of 20/)
    const since = performance.now()
    terminal.type(ctrlC)
    const { screen, code } = await terminal.ended
    expect(code).toBe(130)
    expect(screen).toContain('Interrupted.')
    expect(screen).not.toMatch(/\n +at /)
    expect(performance.now() - since).toBeLessThan(15_000)

    // Half-made databases are recognised, and no one works with them.
    const before = await states()
    const active = before.find(({ state }) => state === 'active')?.count ?? 0
    expect(before.map(({ state }) => state).filter((state) => state !== 'onboarding')).toEqual(['active'])
    expect(active).toBeLessThan(20)
    const checked = await shell('tenantry check --json', project)
    expect(checked.code).toBe(0)
    const { result } = JSON.parse(checked.stdout) as { result: { tenants: { outcome: string }[] } }
    expect(result.tenants.map(({ outcome }) => outcome)).toEqual(Array.from({ length: active }, () => 'matches'))

    const repeated = await shell('tenantry onboard --count 20 --prefix load-', project)
    expect(repeated.stderr).toBe('')
    expect(repeated.code).toBe(0)
    expect(await states()).toEqual([{ state: 'active', count: 20 }])
    expect(
      await sql('select datname from pg_database where starts_with(datname, $1)', [`${installation}_building_`]),
    ).toEqual([])
  },
)
