import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { messageReader } from './protocol.ts'

/**
 * The moment at which a client is cut off: before its statement of this number reaches the server, or after, without
 * the answer.
 */
export interface Cut {
  readonly statement: number
  readonly when: 'before' | 'after'
}

/**
 * A TCP proxy before PostgreSQL that simulates the end of a killed client: at one of its statements, counted over all
 * its connections, every connection is cut, and new ones are refused.
 */
export interface SeveringProxy {
  readonly url: (target: string) => string
  /** Returns the number of statements so far. */
  readonly statements: () => number
  readonly close: () => Promise<void>
}

export async function startSeveringProxy(targetUrl: string, cut: Cut | undefined): Promise<SeveringProxy> {
  const target = new URL(targetUrl)
  const sockets = new Set<Socket>()
  let statements = 0
  let isCut = false
  const server = createServer((client) => {
    if (isCut) return void client.destroy()
    const upstream = connect(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => undefined)
    }
    const count = messageReader({ onStatement: () => statements++ })
    client.on('data', (chunk) => {
      if (isCut) return
      count(chunk)
      const isReached = cut !== undefined && statements >= cut.statement
      if (!isReached) return void upstream.write(chunk)
      isCut = true
      // The statement is carried out, and its answer is discarded.
      if (cut.when === 'after') upstream.end(chunk)
      for (const socket of sockets) if (socket !== upstream || cut.when === 'before') socket.destroy()
    })
    upstream.on('data', (chunk) => client.write(chunk))
    client.on('close', () => upstream.end())
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
    statements: () => statements,
    close: async () => {
      isCut = true
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
