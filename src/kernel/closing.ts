import { inTime } from './abort.ts'

/**
 * The time reserved for ending work that has not ended by itself, in milliseconds; and the largest part of all time
 * that this may be.
 */
const endingMs = 3_000
const endingPart = 0.3

/**
 * Closes something within `deadlineMs` milliseconds, or three seconds later if that is less than ten: a silent peer,
 * such as a server behind a network that drops everything, is not waited for.
 *
 * @param end ends all work under way, after waiting for it for the given number of milliseconds
 */
export async function closeInTime(deadlineMs: number, end: (workMs: number) => Promise<void>): Promise<void> {
  const workMs = deadlineMs - Math.min(endingMs, deadlineMs * endingPart)
  await inTime(end(workMs), workMs + endingMs)
}
