import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { errorKinds } from '../../dist/kernel/error-kinds.js'
import { makeProject } from '../cli/project.ts'
import { sql } from '../support/server.ts'
import { readPage } from './markdown.ts'
import { followTranscripts, runOnPage } from './page-transcript.ts'

test('the commands on continuous integration print what the page says', { timeout: 180_000 }, async () => {
  const page = 'docs/guides/continuous-integration.md'
  await expect(followTranscripts(page, makeProject('ci'))).resolves.toBeUndefined()
})

const clientVersion = Number(/ (\d+)/.exec(spawnSync('pg_dump', ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1])
const [server] = await sql<{ version: number }>(`select current_setting('server_version_num')::int / 10000 as version`)

// pg_dump refuses a server that is newer than itself, and the embedded server comes without it.
test.skipIf(!(clientVersion >= (server?.version ?? Infinity)))(
  'the commands on backups print what the page says, and bring the rows back',
  { timeout: 600_000 },
  async () => {
    const project = makeProject('backup')
    await runOnPage('tenantry onboard acme', project)
    await runOnPage(`tenantry exec acme -- psql -qc "insert into note values (1, 'kept')"`, project)
    await followTranscripts('docs/guides/backup-and-restore.md', project)
    for (const id of ['acme', 'acme-restored']) {
      expect(await runOnPage(`tenantry exec ${id} --as-tenant -- psql -Atc 'table note'`, project)).toBe('1|kept')
    }
  },
)

test('troubleshooting names codes that exist', () => {
  const codes = [...readPage('docs/guides/troubleshooting.md').matchAll(/\[`([\w-]+)`\]\(\.\.\/errors\.md#\1\)/g)]
  expect(codes.length).toBeGreaterThan(20)
  for (const [, code = ''] of codes) expect(errorKinds).toHaveProperty(code)
})
