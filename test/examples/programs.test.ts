import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'

const run = promisify(execFile)
let folder: string

// In a folder of its own, so that it starts a server of its own.
const start = async (program: string, ...options: string[]) => {
  const env = { ...process.env, DATABASE_URL: '' }
  const { stdout } = await run(process.execPath, [resolve('examples', program), ...options], { cwd: folder, env })
  return stdout
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenantry-example-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it('the service makes everything at its first start', async () => {
  const printed = await start('service/main.ts', '--once')
  expect(printed).toMatch(/embedded PostgreSQL: 18\.\d+ started on port \d+/)
  expect(printed).toMatch(/\d+ ms {2}database service: created/)
  expect(printed).toMatch(/tables of User and Address: created user_account, address/)
  // The server ends with the program, so there is nothing to connect to.
  expect(printed).not.toMatch(/psql|:\/\//)
  for (const tenant of ['acme', 'globex', 'initech']) {
    expect(printed).toContain(`tenant ${tenant}: onboarded, in tenantry_t_${tenant}`)
    expect(printed).toContain(`${tenant} reads: spongebob: spongebob@${tenant}.example, squarepants@${tenant}.example`)
  }
})

it('and nothing at its second', async () => {
  const printed = await start('service/main.ts', '--once')
  expect(printed).toContain('Nothing was to be made')
  expect(printed).not.toMatch(/: created|onboarded,/)
})

it('the shop places an order each time it is run, and reads it through its relationships', async () => {
  expect(await start('shop/main.ts')).toContain(
    'Order 1 of Ada: 2 Teapot (Kitchen; ceramic, blue); paid 30.00 by card and 9.80 by transfer.',
  )
  expect(await start('shop/main.ts')).toMatch(/already-exists[^]*Order 2 of Ada[^]*Sold so far: 4 pieces/)
})

it('the service of SQL files and Kysely keeps its notes apart by tenant', async () => {
  expect(await start('sql/main.ts')).toContain('acme: onboarded')
  expect(await start('sql/main.ts')).toMatch(/acme has 2 notes Hello from acme. Hello from acme.\nglobex has 0 notes/)
})

it('the service of Drizzle keeps its posts apart by tenant', async () => {
  expect(await start('drizzle/main.ts')).toContain('acme: onboarded')
  expect(await start('drizzle/main.ts')).toMatch(/acme has 2 posts Hello from acme Hello from acme\nglobex has 0 posts/)
})

it('the service of TypeORM keeps its posts apart by tenant', async () => {
  expect(await start('typeorm/main.ts')).toContain('acme: onboarded')
  expect(await start('typeorm/main.ts')).toMatch(/acme has 2 posts Hello from acme Hello from acme\nglobex has 0 posts/)
})

it('the service of Prisma keeps its posts apart by tenant', async () => {
  expect(await start('prisma/main.ts')).toContain('acme: onboarded')
  expect(await start('prisma/main.ts')).toMatch(
    /acme has 2 posts Hello from acme, by Ada Hello from acme, by Ada\nglobex has 0 posts/,
  )
})
