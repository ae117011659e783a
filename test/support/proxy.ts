import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A TCP proxy before PostgreSQL. */
export interface Proxy {
  /** The URL of the server behind it, through it. */
  readonly url: (target: string) => string
  /** Cuts every connection that is open now. */
  readonly cut: (which?: (socket: Socket) => boolean) => void
  readonly close: () => Promise<void>
}

/**
 * Starts a proxy that passes nothing on by itself.
 *
 * @param onConnection receives both ends of each connection
 * @param options `allowHalfOpen` if a client is to see the end when the server has closed the connection, not before
 */
export async function startProxy(
  targetUrl: string,
  onConnection: (client: Socket, upstream: Socket) => void,
  options: { readonly allowHalfOpen?: boolean } = {},
): Promise<Proxy> {
  const target = new URL(targetUrl)
  const sockets = new Set<Socket>()
  const server = createServer(options, (client) => {
    const upstream = connect({ port: Number(target.port), host: target.hostname, ...options })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => undefined)
    }
    onConnection(client, upstream)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const cut = (which: (socket: Socket) => boolean = () => true) => {
    for (const socket of sockets) if (which(socket)) socket.destroy()
  }
  return {
    url: (original) => {
      const url = new URL(original)
      url.hostname = '127.0.0.1'
      url.port = String(port)
      return url.href
    },
    cut,
    close: async () => {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
