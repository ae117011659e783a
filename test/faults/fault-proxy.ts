import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { backendOf, type Message, messages, textOf } from './wire.ts'

/**
 * The moment at which the proxy freezes: before a statement reaches the server, while it runs, or after its answer,
 * which the client has not received.
 */
export const acts = ['before', 'during', 'after'] as const
export type Act = (typeof acts)[number]

/** A point in a client's life: one of its statements, counted over all its connections from 1. */
export interface Point {
  readonly ordinal: number
  readonly act: Act
}

/** One client's connection, and that to the server behind it. */
interface Link {
  readonly client: Socket
  readonly upstream: Socket
  /** The text of the statement that was prepared last. */
  prepared: string
  /** True if the round trip that was caught still has messages to send. */
  isFinishing: boolean
  /** True if its answer is awaited. */
  isAwaited: boolean
  /** Withheld bytes, in their order. */
  readonly up: Buffer[]
  readonly down: Buffer[]
  hasServerEnded: boolean
  /** The server's process id of it. */
  backend: number | undefined
}

/** The delay of bytes, in milliseconds, and the size of their pieces. */
export interface Pace {
  readonly latencyMs: number
  readonly pieces?: number
}

/**
 * A TCP proxy before PostgreSQL that reads the traffic. At a chosen statement it freezes everything: then the process
 * behind it can be killed or stopped, its connections cut, or other calls made in between.
 */
export class FaultProxy {
  readonly #target: URL
  readonly #server: Server
  readonly #links = new Set<Link>()
  readonly #backends = new Set<number>()
  #statements: string[] = []
  #trap: (Point & { readonly caught: (statement: string) => void }) | undefined
  #caught: Link | undefined
  #isFrozen = false
  #pace: Pace | undefined

  private constructor(target: URL) {
    this.#target = target
    this.#server = createServer((client) => this.#accept(client))
  }

  static async start(targetUrl: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(new URL(targetUrl))
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  /** The URL of the server behind it, through it. */
  get url(): string {
    const url = new URL(this.#target)
    url.hostname = '127.0.0.1'
    url.port = String((this.#server.address() as AddressInfo).port)
    return url.href
  }

  /** The statements since the count began, in the order in which they came. */
  get statements(): readonly string[] {
    return this.#statements
  }

  /** The server's process ids of all connections that there ever were. */
  get backends(): readonly number[] {
    return [...this.#backends]
  }

  /** Begins to count statements; freezes at the point, if one is given. @returns the statement, once it was reached */
  count(point?: Point): Promise<string> {
    this.#statements = []
    return new Promise((caught) => {
      this.#trap = point && { ...point, caught }
    })
  }

  /** Withholds everything from now on, on new connections as well, and without an error: as if packets were dropped. */
  freeze(): void {
    this.#isFrozen = true
  }

  /** Passes on everything that was withheld, and freezes no more. */
  thaw(): void {
    this.#trap = undefined
    this.#isFrozen = false
    for (const link of this.#links) {
      link.isAwaited = false
      link.isFinishing = false
      for (const bytes of link.up.splice(0)) link.upstream.write(bytes)
      for (const bytes of link.down.splice(0)) link.client.write(bytes)
      if (link.hasServerEnded) link.client.end()
    }
  }

  /**
   * Cuts every connection, or only the one that was caught, on the client's side in the given way; new ones are made as
   * ever.
   *
   * @returns the server's process ids of the cut ones
   */
  cut(how: 'end' | 'reset' = 'end', which: 'all' | 'caught' = 'all'): number[] {
    const backends: number[] = []
    for (const link of this.#links) {
      if (which === 'caught' && link !== this.#caught) continue
      if (how === 'reset') link.client.resetAndDestroy()
      else link.client.destroy()
      link.upstream.destroy()
      this.#links.delete(link)
      if (link.backend !== undefined) backends.push(link.backend)
    }
    this.thaw()
    return backends
  }

  /** The delay of bytes from now on; undefined for none. */
  set pace(pace: Pace | undefined) {
    this.#pace = pace
  }

  async close(): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    const upstream = connect(Number(this.#target.port), this.#target.hostname)
    const link: Link = {
      client,
      upstream,
      prepared: '',
      isFinishing: false,
      isAwaited: false,
      up: [],
      down: [],
      hasServerEnded: false,
      backend: undefined,
    }
    this.#links.add(link)
    for (const socket of [client, upstream]) {
      socket.on('error', () => undefined)
      // Bytes that came together are passed on message by message, without being gathered up again.
      socket.setNoDelay()
    }
    const [fromClient, fromServer] = [messages('client'), messages('server')]
    const sendUp = this.#paced(upstream)
    const sendDown = this.#paced(client)
    client.on('data', (chunk) => {
      for (const message of fromClient(chunk)) this.#up(link, message, sendUp)
    })
    upstream.on('data', (chunk) => {
      for (const message of fromServer(chunk)) this.#down(link, message, sendDown)
    })
    client.on('close', () => {
      this.#links.delete(link)
      upstream.destroy()
    })
    upstream.on('close', () => {
      link.hasServerEnded = true
      if (!this.#isFrozen) client.end()
    })
  }

  #up(link: Link, message: Message, send: (bytes: Buffer) => void): void {
    if (message.type === 'P') link.prepared = textOf(message)
    if (this.#isFrozen && !link.isFinishing) return void link.up.push(message.bytes)
    const isStatement = message.type === 'Q' || message.type === 'E'
    if (isStatement && !link.isFinishing)
      this.#meet(link, message.type === 'Q' ? textOf(message) : link.prepared, message)
    if (this.#isFrozen && !link.isFinishing) return void link.up.push(message.bytes)
    send(message.bytes)
    // A simple query is a round trip by itself; any other ends with Sync.
    if (link.isFinishing && (message.type === 'Q' || message.type === 'S')) this.#sent(link)
  }

  /** Counts a statement, which may be the one that is waited for. */
  #meet(link: Link, statement: string, message: Message): void {
    this.#statements.push(statement)
    const trap = this.#trap
    if (trap?.ordinal !== this.#statements.length) return
    this.#isFrozen = true
    this.#caught = link
    if (trap.act === 'before') return this.#spring()
    link.isFinishing = message.type === 'Q' || message.type === 'E'
    link.isAwaited = trap.act === 'after'
  }

  #sent(link: Link): void {
    link.isFinishing = false
    if (!link.isAwaited) this.#spring()
  }

  #spring(): void {
    const trap = this.#trap
    this.#trap = undefined
    trap?.caught(this.#statements[trap.ordinal - 1] ?? '')
  }

  #down(link: Link, message: Message, send: (bytes: Buffer) => void): void {
    if (message.type === 'K') {
      link.backend = backendOf(message)
      this.#backends.add(link.backend)
    }
    if (!this.#isFrozen) return send(message.bytes)
    link.down.push(message.bytes)
    if (link.isAwaited && message.type === 'Z') {
      link.isAwaited = false
      this.#spring()
    }
  }

  /** Writes to a socket at the pace that holds at that moment, and never out of order. */
  #paced(socket: Socket): (bytes: Buffer) => void {
    let last = Promise.resolve()
    let waiting = 0
    const write = (bytes: Buffer) => {
      if (!socket.destroyed) socket.write(bytes)
    }
    const dribble = async (before: Promise<void>, bytes: Buffer, { latencyMs, pieces = bytes.length }: Pace) => {
      await before
      for (let at = 0; at < bytes.length; at += pieces) {
        await new Promise((resolve) => setTimeout(resolve, latencyMs))
        write(bytes.subarray(at, at + pieces))
      }
      waiting--
    }
    return (bytes) => {
      if (this.#pace === undefined && waiting === 0) return write(bytes)
      waiting++
      last = dribble(last, bytes, this.#pace ?? { latencyMs: 0 })
    }
  }
}
