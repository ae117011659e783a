import { checked, hasMethods } from './options.ts'

/** A logger: `console`, one of pino, or any other whose methods take a sentence. */
export interface Logger {
  info(message: string): void
  warn(message: string): void
}

/** Writes lines on standard error. */
export const stderrLogger: Logger = { info: writeLine, warn: writeLine }

function writeLine(message: string): void {
  process.stderr.write(`${message}\n`)
}

/** The schema of a logger. */
export const loggerOption = checked<Logger>(
  (value) => hasMethods(value, 'info', 'warn'),
  'a logger, with the methods info and warn',
  'Give console, or a logger of pino.',
)
