/** A complete message of PostgreSQL's protocol. The first of a client has no type. */
export interface Message {
  readonly type: string | undefined
  readonly bytes: Buffer
}

/**
 * Cuts one side's bytes into messages.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export function messages(side: 'client' | 'server'): (chunk: Buffer) => Message[] {
  let pending = Buffer.alloc(0)
  let isTyped = side === 'server'
  return (chunk) => {
    pending = Buffer.concat([pending, chunk])
    const whole: Message[] = []
    for (;;) {
      const header = isTyped ? 5 : 4
      if (pending.length < header) return whole
      const length = pending.readUInt32BE(header - 4) + header - 4
      if (pending.length < length) return whole
      const type = isTyped ? String.fromCharCode(pending[0] as number) : undefined
      whole.push({ type, bytes: pending.subarray(0, length) })
      isTyped = true
      pending = pending.subarray(length)
    }
  }
}

/** The text of a simple query, or of a statement that is prepared. */
export function textOf({ type, bytes }: Message): string {
  const content = bytes.subarray(5, bytes.length).toString()
  return content.split('\0')[type === 'P' ? 1 : 0] ?? ''
}

/** The process id of the backend that answers, from its key data. */
export function backendOf({ bytes }: Message): number {
  return bytes.readUInt32BE(5)
}
