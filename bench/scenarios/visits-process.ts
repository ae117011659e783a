// A process of its own, run with --expose-gc: visits every tenant in turn, several times, and prints its memory after
// each pass.

import type { EntityManager } from '@mikro-orm/postgresql'
import { eq } from 'drizzle-orm'
import type { Models } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { drive, requireNoErrors } from '../measure/load.ts'
import { userAccount } from '../models/drizzle.ts'
import { Address, User } from '../models/mikro-orm.ts'
import { drizzleModels, kyselyModels, prismaModels } from '../peers/handles.ts'
import { openRouting } from '../peers/routes.ts'
import { held } from './held.ts'
import type { Library, Visits } from './visits.ts'

const { library, url, tenants, passes, budget } = JSON.parse(process.argv[2] ?? '') as Visits

/** Returns the memory of the process after each pass, in bytes. */
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
    visit(kyselyModels(), (db) => db.selectFrom('user_account').select('name').where('id', '=', 1).execute()),
  Drizzle: () => visit(drizzleModels(), (db) => db.select().from(userAccount).where(eq(userAccount.id, 1)).execute()),
  Prisma: () => visit(prismaModels(), (client) => client.userAccount.findFirst({ where: { id: 1 } })),
}

console.log(JSON.stringify(await visitors[library]()))
