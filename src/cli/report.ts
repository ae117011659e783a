import { styleText } from 'node:util'
import type { TenantryError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import { printable as shown, printableLines } from '../kernel/printable.ts'
import type { ExitCode } from './exit-codes.ts'

// Text from outside passes through it on its way to a line.
export { shown }

/** The result of a command: as a value for programs and as lines for people. */
export interface Report {
  readonly result: object
  readonly lines: readonly string[]
  /** Default: done. */
  readonly exitCode?: ExitCode
}

/** The version of the JSON that commands print; it rises when a field changes or is removed. */
const shape = 1

/** Prints a report on standard output. */
export function printReport(command: string, { result, lines }: Report, asJson: boolean): void {
  if (asJson) printJson({ tenantry: shape, command, ok: true, result })
  else for (const line of lines) process.stdout.write(`${line}\n`)
}

/**
 * Prints an error: as JSON on standard output, in place of the result; for people on standard error. Its stack is for
 * people in either case.
 */
export function printError(
  command: string,
  error: TenantryError,
  { asJson, withStack }: { readonly asJson: boolean; readonly withStack: boolean },
): void {
  if (asJson) printJson({ tenantry: shape, command, ok: false, error: asValue(error) })
  else for (const line of errorLines(error)) process.stderr.write(`${line}\n`)
  if (withStack) process.stderr.write(`\n${innermostStack(error)}\n`)
}

/** Returns the stack of the innermost cause, where the error happened. */
function innermostStack(error: Error): string {
  return error.cause instanceof Error ? innermostStack(error.cause) : printableLines(error.stack ?? error.message)
}

/** Returns the fields of an error for programs. */
export function asValue({ code, message, hint, retryable, tenant, tenantState, sqlState }: TenantryError): object {
  return { code, message, hint, retryable, tenant, tenantState, sqlState }
}

function errorLines({ code, message, hint }: TenantryError): string[] {
  const first = styleText('red', printableLines(message), { stream: process.stderr })
  return [first, ...(hint === undefined ? [] : [printableLines(hint)]), `(${code})`]
}

/** Returns one line with the reason of one failure among many. */
export function failureLine(id: string, { code, message }: TenantryError): string {
  return `${shown(id)}: ${coloured('red', 'failed')}: ${shown(message)} (${code})`
}

function printJson(value: object): void {
  // Programs read the same value, and a terminal is not harmed.
  process.stdout.write(`${shown(JSON.stringify(value))}\n`)
}

/** Prints a notice for people: on standard error, so that it never mixes with the result. */
export function notify(line: string): void {
  process.stderr.write(`${printableLines(line)}\n`)
}

/** Prints the notices of the library. */
export const logger: Logger = { info: notify, warn: notify }

/** Returns a word in a colour, if standard output is a terminal. */
export function coloured(colour: 'green' | 'yellow' | 'red' | 'dim' | 'bold', text: string): string {
  return styleText(colour, text, { stream: process.stdout })
}

/** Returns rows of cells in aligned columns; the first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths =
    rows[0]?.map((_, column) => rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0)) ?? []
  return rows.map((row, index) => {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
    return index === 0 ? coloured('dim', line) : line
  })
}

/** Returns names with their values, one a line. */
export function pairs(entries: Readonly<Record<string, string | undefined>>): string[] {
  const present = Object.entries(entries).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const width = Math.max(...present.map(([name]) => name.length))
  return present.map(([name, value]) => `${coloured('dim', name.padEnd(width))}  ${value}`)
}
