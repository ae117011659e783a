import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** PostgreSQL's SSLRequest message: length 8, code 80877103. Any server answers it with one letter, before any login. */
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/**
 * Finds a free TCP port on 127.0.0.1: the preferred one if no program listens there, otherwise one that the system
 * chooses. Another program may take it before it is used.
 */
export async function freePort(preferred: number | undefined): Promise<number> {
  return (preferred === undefined ? undefined : await listenOnce(preferred)) ?? (await listenOnce(0)) ?? 0
}

/** True if a PostgreSQL server answers on that port of 127.0.0.1 within `limitMs`. */
export function answers(port: number, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => socket.write(sslRequest))
    const finish = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(limitMs, () => finish(false))
    socket.once('data', (data) => finish(data[0] === 0x4e || data[0] === 0x53))
    socket.once('error', () => finish(false))
    socket.once('close', () => finish(false))
  })
}

async function listenOnce(port: number): Promise<number | undefined> {
  const server = createServer()
  try {
    server.listen({ host: '127.0.0.1', port })
    await once(server, 'listening')
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : undefined
  } catch {
    return undefined
  } finally {
    if (server.listening) server.close()
  }
}
