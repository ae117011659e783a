import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** What went through a {@link CountingProxy} since the last look. */
export interface Traffic {
  readonly connections: number
  /** Statements sent: simple queries and executions of prepared ones, each one round trip. */
  readonly statements: number
  /** How many connections to tenants' databases were open at the same time, at most. */
  readonly tenantPeak: number
}

/** A TCP proxy before PostgreSQL that counts what clients send, by reading the protocol's message types. */
export interface CountingProxy {
  /** The URL of the server behind it, through it. */
  readonly url: (target: string) => string
  /** What was counted since the last call; then counts from zero. */
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
  let tenantPeak = 0
  let tenantsNow = 0
  const server = createServer((client) => {
    connections++
    const upstream = connect(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => undefined)
    }
    const count = messageReader({
      onStatement: () => statements++,
      onDatabase: (database) => {
        if (!database.includes('_t_')) return
        tenantPeak = Math.max(tenantPeak, ++tenantsNow)
        client.once('close', () => tenantsNow--)
      },
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
      const traffic = { connections, statements, tenantPeak }
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

const query = 'Q'.charCodeAt(0)
const execute = 'E'.charCodeAt(0)

interface Listeners {
  readonly onStatement: () => void
  readonly onDatabase: (database: string) => void
}

/** Reads a client's bytes: first a start-up message without a type, then messages of type, length and content. */
function messageReader({ onStatement, onDatabase }: Listeners): (chunk: Buffer) => void {
  let pending = Buffer.alloc(0)
  let started = false
  return (chunk) => {
    pending = Buffer.concat([pending, chunk])
    for (;;) {
      const header = started ? 5 : 4
      if (pending.length < header) return
      const length = pending.readUInt32BE(header - 4) + header - 4
      if (pending.length < length) return
      const type = started ? pending[0] : undefined
      if (type === query || type === execute) onStatement()
      if (!started) onDatabase(databaseOf(pending.subarray(8, length)))
      started = true
      pending = pending.subarray(length)
    }
  }
}

/** The start-up message's parameters are names and values in turn, each ended by a zero byte. */
function databaseOf(parameters: Buffer): string {
  const words = parameters.toString().split('\0')
  return words[words.indexOf('database') + 1] ?? ''
}
