import { messageReader } from './protocol.ts'
import { type Proxy, startProxy } from './proxy.ts'

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
export interface SeveringProxy extends Omit<Proxy, 'cut'> {
  /** Returns the number of statements so far. */
  readonly statements: () => number
}

export async function startSeveringProxy(targetUrl: string, cut: Cut | undefined): Promise<SeveringProxy> {
  let statements = 0
  let isCut = false
  const proxy = await startProxy(targetUrl, (client, upstream) => {
    client.on('close', () => upstream.end())
    upstream.on('close', () => client.destroy())
    if (isCut) return void client.destroy()
    const count = messageReader({ onStatement: () => statements++ })
    client.on('data', (chunk) => {
      if (isCut) return
      count(chunk)
      const isReached = cut !== undefined && statements >= cut.statement
      if (!isReached) return void upstream.write(chunk)
      isCut = true
      // The statement is carried out, and its answer is discarded.
      if (cut.when === 'after') upstream.end(chunk)
      proxy.cut((socket) => socket !== upstream || cut.when === 'before')
    })
    upstream.on('data', (chunk) => client.write(chunk))
  })
  return {
    url: proxy.url,
    statements: () => statements,
    close: () => {
      isCut = true
      return proxy.close()
    },
  }
}
