import type { Client } from 'pg'
import { cutClient, endClient, processId } from './client.ts'

/**
 * The time that the server has to cancel the statement of an aborted call, in milliseconds, before the connection is
 * closed.
 */
const cancelMs = 2_000

/**
 * Requests the end of a client's statement on a connection of its own; closes the client if that does not help.
 *
 * @param messenger the client of that connection, not connected yet
 */
export async function cancelStatement(client: Client, messenger: Client, running: Promise<unknown>): Promise<void> {
  messenger.on('error', () => undefined)
  const cut = () => {
    cutClient(client)
    cutClient(messenger)
  }
  const limit = setTimeout(cut, cancelMs)
  const cancelling = messenger
    .connect()
    .then(() => messenger.query('select pg_cancel_backend($1)', [processId(client)]))
    .catch(cut)
  await Promise.allSettled([cancelling, running])
  clearTimeout(limit)
  await endClient(messenger)
}
