/** Something to end before this process does. */
export interface Guarded {
  /** Begins the end, at once and synchronously. Never throws, may be called twice. */
  leave(): void
  /** Waits until the end is complete. Bounded; never rejects. */
  gone(): Promise<unknown>
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/**
 * Marks our listeners, so that a second copy of this module in the process does not mistake them for the program's own.
 */
const ours = Symbol.for('tenantry.embedded.exit-guard')
const guarded = new Set<Guarded>()
const onSignal = Object.assign((signal: NodeJS.Signals) => endThenDie(signal), { [ours]: true })
let dying = false

/**
 * Ends the given thing when this process ends normally or by SIGINT, SIGTERM or SIGHUP.
 *
 * A program that listens to a signal decides itself on its meaning, and may need its database while it finishes: then
 * nothing happens here before the process exits. Any other program dies of the signal as it would have without us, a
 * moment later.
 *
 * @returns a function that ends the guarding; the last one removes the listeners
 */
export function guardExit(entry: Guarded): () => void {
  if (guarded.size === 0) listen()
  guarded.add(entry)
  return () => {
    if (guarded.delete(entry) && guarded.size === 0) unlisten()
  }
}

function endThenDie(signal: NodeJS.Signals): void {
  if (process.listeners(signal).some((listener) => !(ours in listener))) return
  // The second signal of an impatient user: every server has the shutdown request already.
  if (dying) return die(signal)
  dying = true
  leaveAll()
  void Promise.all([...guarded].map((entry) => entry.gone())).then(() => die(signal))
}

function die(signal: NodeJS.Signals): void {
  dying = false
  unlisten()
  process.kill(process.pid, signal)
}

function leaveAll(): void {
  for (const entry of guarded) entry.leave()
}

function listen(): void {
  process.on('exit', leaveAll)
  // First in line, to see the program's listeners before any made by once() is removed.
  for (const signal of signals) process.prependListener(signal, onSignal)
}

function unlisten(): void {
  process.off('exit', leaveAll)
  for (const signal of signals) process.off(signal, onSignal)
}
