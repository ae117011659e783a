import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'

/** What went through a {@link CountingProxy} since the last look. */
export interface Traffic {
  readonly connections: number
  /** Statements sent: simple queries and executions of prepared ones, each one round trip. */
  readonly statements: number
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
  const server = createServer((client) => {
    connections++
    const upstream = connect(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => undefined)
    }
    const count = statementCounter(() => statements++)
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
      const traffic = { connections, statements }
      connections = 0
      statements = 0
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

/** Reads a client's bytes: first a start-up message without a type, then messages of type, length and content. */
function statementCounter(onStatement: () => void): (chunk: Buffer) => void {
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
      started = true
      pending = pending.subarray(length)
    }
  }
}
