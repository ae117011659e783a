import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'

/** The settings that make a server log every connection. */
export const connectionLogging = { log_connections: 'on', log_disconnections: 'on' }

const received = /\[(\d+)\] LOG: {2}connection received:/
const authorized = /\[(\d+)\] LOG: {2}connection authorized: .* application_name=(\S+)/
const disconnected = /\[(\d+)\] LOG: {2}disconnection:/

interface Connection {
  readonly begin: number
  application?: string
}

/**
 * Returns the largest number of connections of an application at the same time, by the server's own log: from the
 * receipt of one until its end. Unlike sampling, it misses none.
 */
export async function peakConnections(logFile: string, application: string): Promise<number> {
  const open = new Map<string, Connection>()
  /** By the line's number, how many there were more, or fewer, from then on. */
  const changes: { readonly line: number; readonly by: 1 | -1 }[] = []
  const end = (connection: Connection, line: number) => {
    if (connection.application === application) changes.push({ line: connection.begin, by: 1 }, { line, by: -1 })
  }
  let line = 0
  for await (const text of createInterface({ input: createReadStream(logFile), crlfDelay: Infinity })) {
    line++
    const begun = received.exec(text)?.[1]
    if (begun !== undefined) open.set(begun, { begin: line })
    const [, known = '', name] = authorized.exec(text) ?? []
    const connection = open.get(known)
    if (connection !== undefined && name !== undefined) connection.application = name
    const ended = disconnected.exec(text)?.[1] ?? ''
    const gone = open.get(ended)
    if (gone !== undefined) end(gone, line)
    open.delete(ended)
  }
  for (const connection of open.values()) end(connection, Infinity)
  return highest(changes.toSorted((one, other) => one.line - other.line).map(({ by }) => by))
}

function highest(changes: readonly number[]): number {
  let now = 0
  let peak = 0
  for (const by of changes) peak = Math.max(peak, (now += by))
  return peak
}
