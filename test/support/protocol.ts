const query = 'Q'.charCodeAt(0)
const execute = 'E'.charCodeAt(0)
const terminate = 'X'.charCodeAt(0)

/** Listeners for a client's messages. */
export interface MessageListeners {
  /** A simple query or the execution of a prepared one: a round trip. */
  readonly onStatement: () => void
  /** The parameters of the start-up message, such as `user` and `database`. */
  readonly onStart?: (parameters: ReadonlyMap<string, string>) => void
  /** The message by which a client ends its session. */
  readonly onTerminate?: () => void
}

/**
 * Reads a client's bytes: first a start-up message without a type, then messages of type, length and content.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export function messageReader({ onStatement, onStart, onTerminate }: MessageListeners): (chunk: Buffer) => void {
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
      if (type === terminate) onTerminate?.()
      if (!started) onStart?.(parametersOf(pending.subarray(8, length)))
      started = true
      pending = pending.subarray(length)
    }
  }
}

/** Names and values in turn, each ended by a zero byte. */
function parametersOf(bytes: Buffer): ReadonlyMap<string, string> {
  const words = bytes.toString().split('\0')
  return new Map(words.flatMap((word, i) => (i % 2 === 0 && word !== '' ? [[word, words[i + 1] ?? '']] : [])))
}
