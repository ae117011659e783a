import { setTimeout as delay } from 'node:timers/promises'
import { startCountingProxy } from '../../test/support/counting-proxy.ts'
import { sparesReady } from '../peers/spares.ts'
import { open } from '../peers/tenantry.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'

const hourSeconds = 3_600

export const idle: Scenario = {
  number: 7,
  title: 'What a process with nothing to do sends',
  run: async ({ idleSeconds, spares, concurrency }) => {
    const { statements, connections } = await onServer((url) => watch(url, idleSeconds, { spares, concurrency }))
    const hourly = (count: number) => (count * hourSeconds) / idleSeconds
    return {
      columns: [
        { title: 'statements', unit: 'per hour' },
        { title: 'new connections', unit: 'per hour' },
        { title: 'statements seen', unit: 'count' },
      ],
      rows: [{ name: 'Tenantry', values: [hourly(statements), hourly(connections), statements] }],
      targets: [],
      notes: [`Counted between the process and its server for ${idleSeconds} s, with all spares there.`],
    }
  },
}

/** With one tenant that was worked on, so that everything a service has open is open. */
async function watch(url: string, seconds: number, options: { readonly spares: number; readonly concurrency: number }) {
  const proxy = await startCountingProxy(url)
  const tenantry = await open(proxy.url(url), {
    spares: options.spares,
    concurrency: options.concurrency,
  })
  try {
    await tenantry.onboard('acme')
    await tenantry.with('acme', (em) => em.execute('select 1'))
    await sparesReady(tenantry)
    proxy.take()
    await delay(seconds * 1_000)
    return proxy.take()
  } finally {
    await tenantry.close()
    await proxy.close()
  }
}
