import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'

/** The largest log. A larger one is truncated at the next start. */
const largestLog = 8 * 1024 * 1024
const tailBytes = 4_000

/** The server's log, open for appending, and the position where this start begins in it. */
export interface LogFile {
  readonly path: string
  readonly descriptor: number
  readonly from: number
}

export function openLog(path: string): LogFile {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  // One call cannot both truncate and append, and without appending two writers overwrite each other.
  if (size > largestLog) closeSync(openSync(path, 'w', 0o600))
  return { path, descriptor: openSync(path, 'a', 0o600), from: size > largestLog ? 0 : size }
}

/** Returns the end of a log, from that byte on. */
export function readTail(path: string, begin: number): string {
  const descriptor = openSync(path, 'r')
  try {
    const { size } = fstatSync(descriptor)
    const from = Math.max(begin, size - tailBytes)
    const buffer = Buffer.alloc(Math.max(0, size - from))
    const read = readSync(descriptor, buffer, 0, buffer.length, from)
    return buffer.toString('utf8', 0, read).trim()
  } finally {
    closeSync(descriptor)
  }
}

/** Returns the end of a log; empty if there is none to read. */
export function tailIfAny(path: string): string {
  try {
    return readTail(path, 0)
  } catch {
    return ''
  }
}
