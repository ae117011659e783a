import { messageReader } from './protocol.ts'
import { type Proxy, startProxy } from './proxy.ts'

/** The traffic through a {@link CountingProxy} since the last look. */
export interface Traffic {
  readonly connections: number
  /** Statements sent: simple queries and executions of prepared ones, each one round trip. */
  readonly statements: number
  /** The largest number of connections to tenants' databases that were open at the same time. */
  readonly tenantPeak: number
  /** The parameters that each connection began with. */
  readonly starts: readonly ReadonlyMap<string, string>[]
}

/** A TCP proxy before PostgreSQL that counts clients' messages, by reading the protocol's message types. */
export interface CountingProxy extends Proxy {
  /** Returns the counts since the last call; then counts from zero. */
  readonly take: () => Traffic
}

export async function startCountingProxy(targetUrl: string): Promise<CountingProxy> {
  let connections = 0
  let statements = 0
  let starts: ReadonlyMap<string, string>[] = []
  let tenantPeak = 0
  let tenantsNow = 0
  const proxy = await startProxy(
    targetUrl,
    (client, upstream) => {
      connections++
      let hasTerminated = false
      const count = messageReader({
        onStatement: () => statements++,
        onStart: (parameters) => {
          starts.push(parameters)
          if (!parameters.get('database')?.includes('_t_')) return
          tenantPeak = Math.max(tenantPeak, ++tenantsNow)
          // As the server has it: a client that waits for the end of a connection sees it later.
          let isOpen = true
          const leave = () => {
            if (isOpen) tenantsNow--
            isOpen = false
          }
          upstream.once('end', leave).once('close', leave)
          // Others may see that the sessions of a killed client are gone before their ends arrive here.
          client.once('end', () => hasTerminated || leave())
        },
        onTerminate: () => (hasTerminated = true),
      })
      client.on('data', count)
      client.pipe(upstream).pipe(client)
      client.on('close', () => upstream.destroy())
      upstream.on('close', () => client.destroy())
    },
    { allowHalfOpen: true },
  )
  return {
    ...proxy,
    take: () => {
      const traffic = { connections, statements, tenantPeak, starts }
      starts = []
      connections = 0
      statements = 0
      tenantPeak = tenantsNow
      return traffic
    },
  }
}
