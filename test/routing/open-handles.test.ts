import { type HandleFactory, type Models, openTenantry, type TenantHandles } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { expect, it } from 'vitest'
import { OpenHandles } from '../../dist/routing/open-handles.js'
import { User } from '../../examples/service/models.ts'
import { disposableName, serverUrl } from '../support/server.ts'

// Handles with a `close` are closed once, after the last unit of work that has them.

const { schema } = mikroOrm({ entities: [User] })

/** Handles that are the names of their tenants, with a list of those that were closed. */
function closable() {
  const closed: string[] = []
  const handles: HandleFactory<string> = {
    open: async (_pool, { id }) => ({
      handle: () => id,
      finish: () => undefined,
      close: async () => void closed.push(id),
    }),
  }
  const models: Models<string> = { schema, handles }
  return { models, closed }
}

const open = (models: Models<string>) =>
  openTenantry({
    models,
    servers: [postgres({ url: serverUrl() })],
    installation: disposableName('i'),
    hooks: { initialise: () => undefined },
  })

it('are closed with Tenantry, and those of a hook when it is over', async () => {
  const { models, closed } = closable()
  const tenantry = await open(models)
  for (const id of ['a', 'b']) await tenantry.onboard(id)
  expect(closed).toEqual(['a', 'b'])
  for (const id of ['a', 'b', 'a']) expect(await tenantry.with(id, (handle) => handle)).toBe(id)
  expect(closed).toHaveLength(2)
  await tenantry.close()
  expect(closed.toSorted()).toEqual(['a', 'a', 'b', 'b'])
})

it('of a purged tenant are closed when another one has its id', async () => {
  const { models, closed } = closable()
  await using tenantry = await open(models)
  await tenantry.onboard('a')
  await tenantry.with('a', () => undefined)
  await tenantry.tenants.offboard('a')
  await tenantry.tenants.purge('a')
  await tenantry.onboard('a')
  closed.length = 0
  await tenantry.with('a', () => undefined)
  await expect.poll(() => closed).toEqual(['a'])
})

/** Handles that count how often they are closed. */
function counting(close: () => void | Promise<void> = () => undefined) {
  const counts = { closed: 0 }
  const handles: TenantHandles<string> = {
    handle: () => 'handle',
    finish: (handle) => (handle === 'slow' ? Promise.resolve() : undefined),
    close: () => {
      counts.closed++
      return close()
    },
  }
  return { counts, opened: new OpenHandles(handles) }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

it('are closed after the last unit of work that has them', async () => {
  const { counts, opened } = counting()
  for (const name of ['quick', 'slow']) {
    opened.begin(undefined)
    if (name === 'quick') void opened.drop()
  }
  await turn()
  void opened.finish('handle')
  await turn()
  expect(counts.closed).toBe(0)
  await opened.finish('slow')
  await opened.drop()
  expect(counts.closed).toBe(1)
})

it('are closed once where the last unit of work ends as they are dropped', async () => {
  const { counts, opened } = counting()
  opened.begin(undefined)
  const dropped = opened.drop()
  void opened.finish('handle')
  await dropped
  await turn()
  expect(counts.closed).toBe(1)
})

it('serve work that has received them before they were dropped', async () => {
  const { counts, opened } = counting()
  const dropped = opened.drop()
  expect(opened.begin(undefined)).toBe('handle')
  await turn()
  expect(counts.closed).toBe(0)
  void opened.finish('handle')
  await dropped
  expect(counts.closed).toBe(1)
})

it('that fail to close leave a warning, and no call waits for them', async () => {
  const { opened } = counting(() => Promise.reject(new Error('stuck')))
  const warned = new Promise((resolve) => process.once('warning', resolve))
  await opened.drop()
  expect(await warned).toMatchObject({ message: 'stuck' })
})
