import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { afterwards, dropAfterwards, serverUrl } from '../support/server.ts'
import { HttpClient } from './client.ts'

// The example apps, each run as its reader runs it, and tested over HTTP.

const examples = [
  { framework: 'express', program: 'express/main.ts' },
  { framework: 'fastify', program: 'fastify/main.ts' },
  { framework: 'hono', program: 'hono/main.ts' },
  { framework: 'nestjs', program: 'nestjs/dist/nestjs/main.js' },
]

/** Runs an example on a port that is free. */
async function started(program: string): Promise<{ child: ChildProcess; client: HttpClient }> {
  const env = { ...process.env, PORT: '0', DATABASE_URL: serverUrl({ database: 'postgres' }) }
  const child = spawn(process.execPath, [resolve('examples', program)], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  afterwards(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  for await (const line of createInterface(child.stdout)) {
    const port = /^Ready on http:\/\/localhost:(\d+)$/.exec(line)?.[1]
    if (port !== undefined) return { child, client: new HttpClient(Number(port)) }
  }
  throw new Error(`${program} ended before it was ready.`)
}

describe.each(examples)('the example of $framework', ({ framework, program }) => {
  dropAfterwards(`by${framework}`)

  it('signs tenants up, keeps the users of each, and ends when it is stopped', async () => {
    const { child, client } = await started(program)
    const signUp = (id: string) =>
      client.ask({ method: 'POST', path: '/tenants', body: { id, displayName: `The ${id}` } })
    const users = { path: '/users' }

    expect(await signUp('acme')).toMatchObject({ status: 201, body: { id: 'acme', displayName: 'The acme' } })
    expect(await signUp('beta')).toMatchObject({ status: 201 })
    expect(await signUp('acme')).toMatchObject({ status: 409, body: { error: 'tenant-exists' } })
    expect(await signUp('No Id')).toMatchObject({ status: 400, body: { error: 'invalid-tenant-id' } })

    const sandy = { ...users, host: 'acme.localhost', method: 'POST', body: { name: 'sandy' } } as const
    expect(await client.ask(sandy)).toMatchObject({ status: 201, body: { name: 'sandy' } })
    expect((await client.ask({ ...users, host: 'acme.localhost:3000' })).body).toMatchObject([{ name: 'sandy' }])
    expect((await client.ask({ ...users, host: 'beta.localhost' })).body).toEqual([])
    expect(await client.ask({ ...users, host: 'nobody.localhost' })).toMatchObject({ status: 404 })
    expect(await client.ask(users)).toMatchObject({ status: 404 })

    client.close()
    const exit = once(child, 'exit')
    child.kill('SIGTERM')
    expect(await exit).toEqual(framework === 'nestjs' ? [null, 'SIGTERM'] : [0, null])
  })
})
