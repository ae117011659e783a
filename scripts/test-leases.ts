/**
 * Takes leases at random by several processes: `npm run test:leases -- [--leases 100000] [--tenants 200] [--processes 3]
 * [--seed 123]`. Its last line gives the figures.
 */
import { parseArgs } from 'node:util'
import { startServer } from '../test/faults/servers.ts'
import { takeLeases } from '../test/routing/leases/leases.ts'

const { values } = parseArgs({
  options: {
    leases: { type: 'string', default: '100000' },
    tenants: { type: 'string', default: '200' },
    processes: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
})
const { seed } = values
const extent = {
  leases: wholeNumber('leases', values.leases),
  tenants: wholeNumber('tenants', values.tenants),
  processes: wholeNumber('processes', values.processes),
  seed,
}

console.log(`seed ${seed}`)
const begin = performance.now()
const report = await onServer((url) => takeLeases(url, 'leases', extent))
for (const violation of report.violations) console.log(`  VIOLATION: ${violation}`)
const seconds = Math.round((performance.now() - begin) / 1_000)
console.log(
  `${extent.leases} leases of ${extent.tenants} tenants by ${extent.processes} processes in ${seconds} s: ` +
    `${report.looks} looks, ${report.used} in a session used before, ${report.cancelled} cancelled, ` +
    `${report.failed} failed as meant, ${report.violations.length} violations`,
)
process.exit(report.violations.length === 0 ? 0 : 1)

async function onServer<T>(work: (url: string) => Promise<T>): Promise<T> {
  const server = await startServer()
  try {
    return await work(server.url)
  } finally {
    await server.stop()
  }
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  console.error(`--${name} ${text} is no whole number above 0.`)
  process.exit(2)
}
