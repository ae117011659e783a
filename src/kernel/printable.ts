/**
 * Text from outside as it may stand on a terminal or in a log: without control characters, which could move the cursor
 * or more (CWE-150), and without those that break a line or turn the direction of what follows. What stands for them is
 * what JSON writes, so that JSON stays the same JSON.
 */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** The same of text that may have several lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

const shownLength = 80

/** Any value as an error's message names it: escaped and cut. */
export function show(value: unknown): string {
  const text = printable(asText(value))
  return text.length > shownLength ? `${text.slice(0, shownLength - 3).toWellFormed()}..."` : text
}

function asText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    // A bigint, or what is circular: what it is says more than what is in it.
    return `a value of type ${typeof value}`
  }
}
