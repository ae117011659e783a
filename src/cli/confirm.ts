import { createInterface, type Interface } from 'node:readline'
import { abortedError, untilAborted } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'

/**
 * Requires a person to type a word before something is destroyed.
 *
 * @throws `not-confirmed` if another word is typed, or the input is no terminal; `aborted` by Ctrl-C
 */
export async function confirmByTyping(word: string, warning: string, signal: AbortSignal): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new TenantryError('not-confirmed', `${warning} The input is no terminal, so it cannot be confirmed.`, {
      hint: 'Add --yes, if it is meant. --dry-run shows what would be destroyed.',
    })
  }
  // On standard error, so that --json leaves standard output to the result.
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const typed = await answer(terminal, `${warning}\nType ${word} to go on: `, signal)
  if (typed?.trim() === word) return
  throw new TenantryError(
    'not-confirmed',
    `${typed === undefined ? 'Nothing' : 'Another word'} was typed; nothing was destroyed.`,
    {
      hint: `Repeat it and type ${word}, or add --yes.`,
    },
  )
}

/**
 * Returns the typed line; undefined if the input ends first. @throws `aborted` by the signal, or by Ctrl-C at the
 * question
 */
async function answer(terminal: Interface, question: string, signal: AbortSignal): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>()
  // While a line is edited, the terminal makes no signal of Ctrl-C.
  terminal.once('SIGINT', () => reject(abortedError(AbortSignal.abort())))
  terminal.once('close', () => resolve(undefined))
  terminal.question(question, resolve)
  try {
    return await untilAborted(promise, signal)
  } catch (error) {
    // Further output begins on a line of its own.
    process.stderr.write('\n')
    throw error
  } finally {
    terminal.close()
  }
}
