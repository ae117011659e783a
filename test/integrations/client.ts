import { once } from 'node:events'
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

/** A request. */
export interface Question {
  readonly host?: string
  readonly method?: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: unknown
}

/** A response. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
  /** Undefined if it is no JSON. */
  readonly body: unknown
}

/** Speaks HTTP to a port, by the names of hosts that no DNS knows. */
export class HttpClient {
  readonly #port: number
  readonly #agent: Agent

  /** @param maxSockets 1 for one connection that all requests go over */
  constructor(port: number, maxSockets = Number.POSITIVE_INFINITY) {
    this.#port = port
    this.#agent = new Agent({ keepAlive: true, maxSockets })
  }

  async ask(question: Question): Promise<Answer> {
    const [response] = (await once(this.begin(question), 'response')) as [IncomingMessage]
    const said = await text(response)
    return { status: response.statusCode ?? 0, headers: response.headers, text: said, body: parsed(said) }
  }

  /** A request under way: destroy it to go away. */
  begin({ host = 'localhost', method = 'GET', path, headers = {}, body }: Question): ClientRequest {
    const json = body === undefined ? {} : { 'content-type': 'application/json' }
    const asked = request({
      port: this.#port,
      host: '127.0.0.1',
      agent: this.#agent,
      method,
      path,
      headers: { host, ...json, ...headers },
    })
    asked.end(body === undefined ? undefined : JSON.stringify(body))
    return asked
  }

  /** Sends this text, and gives all that comes back until the connection is closed. */
  async askRaw(asked: string): Promise<string> {
    const socket = connect(this.#port, '127.0.0.1')
    socket.write(asked)
    return text(socket)
  }

  close(): void {
    this.#agent.destroy()
  }
}

function parsed(said: string): unknown {
  try {
    return JSON.parse(said)
  } catch {
    return undefined
  }
}
