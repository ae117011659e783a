import { expect, test } from 'vitest'
import { disposableName, serverUrl } from '../support/server.ts'
import { takeLeases } from './leases/leases.ts'

// The same at full length: npm run test:leases.

test('every lease is of its own tenant, and sees no traces of another', async () => {
  const seed = String(Math.floor(Math.random() * 2 ** 31))
  const extent = { leases: 3_000, tenants: 20, processes: 3, seed }
  const report = await takeLeases(serverUrl(), disposableName('l'), extent)
  expect(report.violations, `seed ${seed}`).toEqual([])
  expect(report.looks).toBeGreaterThan(1_500)
  // The intended events did happen: sessions were used again, leases were cancelled, and failed.
  expect([report.used, report.cancelled, report.failed].map((count) => count > 100)).toEqual([true, true, true])
}, 300_000)
