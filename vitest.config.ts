import { randomBytes } from 'node:crypto'
import { defineConfig } from 'vitest/config'
import { CountReporter } from './scripts/count-reporter.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/global-setup.ts',
    // Processes of their own: a suite may end a server, a connection or itself.
    pool: 'forks',
    // By default one processor is left free, which of two is half.
    maxWorkers: '100%',
    // A real PostgreSQL, on a machine that may be busy with others.
    testTimeout: 120_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 20_000 } },
    // What was built runs as it is, in Node itself, as it will for users.
    server: { deps: { external: [/\/dist\//] } },
    // Some suites run programs in other folders, which would make one of their own each.
    env: { TENANTRY_CREDENTIALS_KEY: randomBytes(32).toString('base64') },
    // Type errors elsewhere are the business of check:types.
    typecheck: { enabled: true, include: ['test/**/*.test-d.ts'], ignoreSourceErrors: true },
    reporters: ['default', new CountReporter()],
  },
})
