import { createInterface } from 'node:readline/promises'
import { TenantryError } from '../kernel/errors.ts'

/**
 * Has a person type a word before something is destroyed.
 *
 * @throws `not-confirmed` when another word is typed, or nobody is there who could type
 */
export async function confirmByTyping(word: string, warning: string, signal: AbortSignal): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new TenantryError('not-confirmed', `${warning} Nobody is there to confirm it.`, {
      hint: 'Add --yes, if it is meant. --dry-run shows what would be destroyed.',
    })
  }
  // On standard error, so that --json leaves standard output to the result.
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const typed = await terminal.question(`${warning}\nType ${word} to go on: `, { signal })
    if (typed.trim() === word) return
  } finally {
    terminal.close()
  }
  throw new TenantryError('not-confirmed', 'Another word was typed; nothing was destroyed.', {
    hint: `Repeat it and type ${word}, or add --yes.`,
  })
}
