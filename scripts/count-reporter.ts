import type { Reporter, SerializedError, TestModule } from 'vitest/node'

/**
 * Ends a run with the names of the tests that failed, and one plain line for machines: `12 passed, 0 failed`, with what
 * was skipped where there is any.
 */
export class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 }
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        counts[state]++
        if (state === 'failed') process.stdout.write(`failed: ${module.relativeModuleId} > ${test.fullName}\n`)
      }
      // A file that did not load, or a hook that threw, failed without any test of its own.
      counts.failed += module.errors().length
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length
    }
    counts.failed += unhandledErrors.length
    const skipped = counts.skipped + counts.pending
    const line = `${counts.passed} passed, ${counts.failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
    process.stdout.write(`${line}\n`)
  }
}
