import { type Options, parseOptions } from './counts.ts'
import { readFacts } from './facts.ts'
import { renderFacts, renderResult } from './report/table.ts'
import { write } from './report/write.ts'
import type { Result } from './result.ts'
import { scenarios } from './scenarios/all.ts'
import type { Scenario } from './scenarios/scenario.ts'

await bench(parseOptions(process.argv.slice(2)))

async function bench({ counts, only, isComplete }: Options): Promise<void> {
  const facts = await readFacts()
  console.log(renderFacts(facts))
  const results: Result[] = []
  for (const scenario of scenarios.filter(({ number }) => only?.includes(number) ?? true)) {
    const result = await runScenario(scenario, counts)
    if (result === undefined) continue
    console.log(renderResult(result))
    results.push(result)
  }
  const hasAll = results.length === scenarios.length
  for (const file of await write({ facts, counts, results }, isComplete && hasAll)) console.log(`Written: ${file}`)
}

/**
 * Runs a scenario. It returns the result even if it missed its targets: a bench is no test. A scenario that fails is an
 * error, but no reason to lose the minutes of the others.
 */
async function runScenario({ number, title, run }: Scenario, counts: Options['counts']): Promise<Result | undefined> {
  try {
    return { number, title, ...(await run(counts)) }
  } catch (error) {
    console.error(`${number}. ${title}: broke down.\n`, error)
    process.exitCode = 1
    return undefined
  }
}
