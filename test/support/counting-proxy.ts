import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { messageReader } from './protocol.ts'

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
export interface CountingProxy {
  /** The URL of the server behind it, through it. */
  readonly url: (target: string) => string
  /** Returns the counts since the last call; then counts from zero. */
  readonly take: () => Traffic
  /** Cuts every connection that is open now. */
  readonly cut: () => void
  readonly close: () => Promise<void>
}

export async function startCountingProxy(targetUrl: string): Promise<CountingProxy> {
  const target = new URL(targetUrl)
  const sockets = new Set<Socket>()
  let connections = 0
  let statements = 0
  let starts: ReadonlyMap<string, string>[] = []
  let tenantPeak = 0
  let tenantsNow = 0
  // A client that ends its connection sees the end when the server has closed it, not before.
  const server = createServer({ allowHalfOpen: true }, (client) => {
    connections++
    const upstream = connect({ port: Number(target.port), host: target.hostname, allowHalfOpen: true })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => undefined)
    }
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
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: (original) => {
      const url = new URL(original)
      url.hostname = '127.0.0.1'
      url.port = String(port)
      return url.href
    },
    take: () => {
      const traffic = { connections, statements, tenantPeak, starts }
      starts = []
      connections = 0
      statements = 0
      tenantPeak = tenantsNow
      return traffic
    },
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
