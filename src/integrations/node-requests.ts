import type { IncomingMessage, ServerResponse } from 'node:http'
import { checked, hasMethods, readable, readOptions } from '../kernel/options.ts'
import type { RequestLike } from './request-like.ts'
import type { EnteredTenant } from './request-tenant.ts'
import type { TenantRequests } from './tenant-requests.ts'

const nodeRequestSchema = checked(
  (raw) => readable('The request', () => Array.isArray((raw as IncomingMessage | undefined)?.rawHeaders)),
  "one of Node's",
  'Give its IncomingMessage.',
)

const enterSchema = checked<readonly [unknown, unknown]>(
  (given) => {
    const [requests, response] = given as readonly [unknown, unknown]
    return hasMethods(requests, 'enter') && hasMethods(response, 'once')
  },
  'a request and its response',
  "Give it a TenantRequests, the request twice, and Node's ServerResponse.",
)

/**
 * Reads a request of Node's.
 *
 * @param host the host according to the framework, which knows the trusted proxies
 * @param url the original URL, before any rewriting
 */
export function nodeRequest(raw: IncomingMessage, host: string | undefined, url: string): RequestLike {
  readOptions('The request', nodeRequestSchema, raw)
  // With two Host headers, a proxy in front may have used the other one (RFC 9112, 3.2: to be refused).
  return { host: countHosts(raw) > 1 ? undefined : host, url, headers: raw.headers }
}

/** Enters the tenant of a request that ends when Node.js has sent its response, or has lost its client. */
export async function enterUntilSent<Handle, Request extends object>(
  requests: TenantRequests<Handle, Request>,
  request: Request,
  like: RequestLike,
  response: ServerResponse,
): Promise<EnteredTenant<Handle> | undefined> {
  readOptions('The arguments of enterUntilSent', enterSchema, [requests, response])
  const client = new AbortController()
  const onClose = () => {
    if (!response.writableFinished) client.abort(new Error('The client went away.'))
  }
  response.once('close', onClose)
  if (response.closed) onClose()
  const tenant = await requests.enter(request, like, client.signal)
  const end = () => void tenant?.end()
  response.once('finish', end)
  response.once('close', end)
  if (response.closed) end()
  return tenant
}

function countHosts({ rawHeaders }: IncomingMessage): number {
  return rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === 'host').length
}
