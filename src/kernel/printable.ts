/**
 * Returns text from outside in a form for terminals and logs: without control characters, which could move the cursor
 * or more (CWE-150), and without characters that break a line or turn the direction of text. They are replaced by their
 * escapes in JSON, so that JSON stays the same JSON.
 */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** Returns text with several lines in the same form. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** The longest text that is shown, in characters. */
const longest = 10_000

/** Cuts a text of any length from outside: a server quotes values in its errors that can have hundreds of megabytes. */
export function bounded(text: string): string {
  return text.length > longest ? `${text.slice(0, longest).toWellFormed()}...` : text
}

const shownLength = 80

/** Returns any value as an error's message names it: escaped and cut. */
export function show(value: unknown): string {
  const text = printable(asText(value))
  return text.length > shownLength ? `${text.slice(0, shownLength - 3).toWellFormed()}..."` : text
}

function asText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    // A bigint, or a circular value: its type says more than its content.
    return `a value of type ${typeof value}`
  }
}
