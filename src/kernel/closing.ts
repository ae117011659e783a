import { inTime } from './abort.ts'

/** The time that is kept for ending what has not ended by itself, in milliseconds; and the most of all time that this may be. */
const endingMs = 3_000
const endingPart = 0.3

/**
 * Closes something within `deadlineMs` milliseconds, or three seconds later where that is less than ten: somebody who is not
 * heard of any more, such as a server behind a network that drops everything, is not waited for.
 *
 * @param end ends all that is under way, and is told for how many milliseconds to wait before that
 */
export async function closeInTime(deadlineMs: number, end: (workMs: number) => Promise<void>): Promise<void> {
  const workMs = deadlineMs - Math.min(endingMs, deadlineMs * endingPart)
  await inTime(end(workMs), workMs + endingMs)
}
