const query = 'Q'.charCodeAt(0)
const execute = 'E'.charCodeAt(0)

/** What is of interest in what a client sends. */
export interface MessageListeners {
  /** A simple query or the execution of a prepared one: a round trip. */
  readonly onStatement: () => void
  /** The start-up message, with the database it names. */
  readonly onDatabase?: (database: string) => void
}

/**
 * Reads a client's bytes: first a start-up message without a type, then messages of type, length and content.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export function messageReader({ onStatement, onDatabase }: MessageListeners): (chunk: Buffer) => void {
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
      if (!started) onDatabase?.(databaseOf(pending.subarray(8, length)))
      started = true
      pending = pending.subarray(length)
    }
  }
}

/** The start-up message's parameters are names and values in turn, each ended by a zero byte. */
function databaseOf(parameters: Buffer): string {
  const words = parameters.toString().split('\0')
  return words[words.indexOf('database') + 1] ?? ''
}
