// A process of its own, run with --expose-gc: routes work to every tenant once and prints its memory before and after.

import { open } from '../peers/tenantry.ts'
import { held } from './held.ts'

/** Bytes, after garbage collection. */
export interface MemoryFigures {
  readonly before: number
  readonly after: number
}

const [url = '', count = ''] = process.argv.slice(2)
const tenantry = await open(url, { spares: 0, concurrency: 1 })
const lead = (place: number) => tenantry.with(`known-${place}`, () => undefined)
// The costs of the first tenant (code, connections) arise once, for any number.
await lead(1)
const before = held()
for (let place = 1; place <= Number(count); place++) await lead(place)
const figures: MemoryFigures = { before, after: held() }
console.log(JSON.stringify(figures))
await tenantry.close()
