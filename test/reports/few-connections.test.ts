import { expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { createProvisioner, openAs } from '../isolation/support.ts'
import { quote, sql } from '../support/server.ts'

// JasperFx/weasel#356, #431: a server near its limit of connections. What a role has is bounded, and most of it is taken.

it('an error for want of connections says that the same call may succeed, and it does once there are some', async () => {
  const provisioner = await createProvisioner()
  const tenantry = await openAs(provisioner)
  await tenantry.onboard('acme')
  await sql(`alter role ${quote((await tenantry.credentials('acme')).user)} connection limit 0`)
  const work = () => tenantry.with('acme', (em) => em.count(User))
  await expect(work()).rejects.toMatchObject({ code: 'too-many-connections', retryable: true, sqlState: '53300' })
  await sql(`alter role ${quote((await tenantry.credentials('acme')).user)} connection limit -1`)
  expect(await work()).toBe(0)
})
