// A process of its own, run with --expose-gc: visits every tenant in turn, several times, and prints what it holds after
// each pass.

import type { EntityManager } from '@mikro-orm/postgresql'
import { type Generated, Kysely, PostgresDialect } from 'kysely'
import { mikroOrm, type Models } from 'tenantry/mikro-orm'
import { drive, requireNoErrors } from '../measure/load.ts'
import { Address, User } from '../models/mikro-orm.ts'
import { handing, type TenantPool } from '../peers/handles.ts'
import { openRouting } from '../peers/routes.ts'
import { held } from './held.ts'
import type { Library, Visits } from './visits.ts'

interface Tables {
  readonly user_account: { readonly id: Generated<number>; readonly name: string }
}

const { library, url, tenants, passes, budget } = JSON.parse(process.argv[2] ?? '') as Visits

/** What the process holds after each pass, in bytes. */
async function visit<Handle>(models: Models<Handle>, ask: (handle: Handle) => Promise<unknown>): Promise<number[]> {
  await using tenantry = await openRouting(url, models, budget)
  const places = Array.from({ length: tenants }, (_, place) => `visited-${place + 1}`)
  const figures: number[] = []
  for (let pass = 0; pass < passes; pass++) {
    requireNoErrors(await drive(places, budget, (id) => tenantry.with(id, ask)))
    figures.push(held())
  }
  return figures
}

const visitors: Readonly<Record<Library, () => Promise<number[]>>> = {
  MikroORM: () => visit(mikroOrm({ entities: [User, Address] }), (em: EntityManager) => em.findOne(User, { id: 1 })),
  Kysely: () =>
    visit(handing(overKysely), (db) => db.selectFrom('user_account').select('name').where('id', '=', 1).execute()),
}

/** A tenant's pool is one as Kysely wants it, but for its types. */
function overKysely(pool: TenantPool): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool: pool as never }) })
}

console.log(JSON.stringify(await visitors[library]()))
