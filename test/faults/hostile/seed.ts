import { afterAll, beforeAll } from 'vitest'

/** The numbers of cases of each kind: 10,000 in all, and those of domains. */
export const cases: Readonly<
  Record<'onboarded' | 'ids' | 'domains' | 'told' | 'filters' | 'names' | 'commands' | 'processes', number>
> = {
  onboarded: 24,
  ids: 5_552,
  domains: 400,
  told: 1_800,
  filters: 700,
  names: 1_600,
  commands: 300,
  processes: 24,
}

const given = process.env['TENANTRY_HOSTILE_SEED']

/** The seed of all cases of a run. The same number gives the same cases. */
export const seed = given === undefined || given === '' ? Date.now() % 2 ** 31 : Number(given)

/** The numbers of values that were accepted unchanged, and that were refused. */
export const tally = { accepted: 0, refused: 0 }

/** Returns the parameters of fast-check for so many cases. */
export function runs(numRuns: number): { readonly numRuns: number; readonly seed: number } {
  return { numRuns, seed }
}

/** Prints the seed of this file's cases, and the tally afterwards. */
export function printSeed(of: string): void {
  beforeAll(() => {
    process.stdout.write(`hostile ${of}: TENANTRY_HOSTILE_SEED=${seed} repeats these cases\n`)
  })
  afterAll(() => {
    const { accepted, refused } = tally
    process.stdout.write(`hostile ${of}: ${accepted} accepted and intact, ${refused} refused cleanly\n`)
  })
}
