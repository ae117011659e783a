import { expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { createProvisioner, openAs } from '../isolation/support.ts'
import { quote, sql } from '../support/server.ts'

// JasperFx/weasel#356, #431: a server near its limit of connections. The role's connections are limited, and most of
// them are in use.

it('an error for want of connections is retryable, and the call succeeds once there are some', async () => {
  const provisioner = await createProvisioner()
  const tenantry = await openAs(provisioner)
  await tenantry.onboard('acme')
  await sql(`alter role ${quote((await tenantry.tenants.credentials('acme')).user)} connection limit 0`)
  const work = () => tenantry.with('acme', (em) => em.count(User))
  await expect(work()).rejects.toMatchObject({ code: 'too-many-connections', retryable: true, sqlState: '53300' })
  await sql(`alter role ${quote((await tenantry.tenants.credentials('acme')).user)} connection limit -1`)
  expect(await work()).toBe(0)
})

it('sign-ups at once wait for connections of a role that has few, and none fails', async () => {
  const provisioner = await createProvisioner()
  const tenantry = await openAs(provisioner)
  await tenantry.onboard('first')
  const [connections] = await sql<{ count: number }>(
    'select count(*)::int as count from pg_stat_activity where usename = $1',
    [provisioner.user],
  )
  // As many as it has, and one tenant's making more.
  await sql(`alter role ${quote(provisioner.user)} connection limit ${(connections?.count ?? 0) + 3}`)
  const ids = Array.from({ length: 8 }, (_, number) => `t-${number}`)
  const answers = await Promise.allSettled(ids.map((id) => tenantry.onboard(id)))
  expect(answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []))).toEqual([])
})
