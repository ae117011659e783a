import type { Peer } from './contender.ts'
import { drizzle } from './drizzle.ts'
import { mikroOrmAlone } from './mikro-orm.ts'
import { plainPg } from './plain-pg.ts'
import { sequelize } from './sequelize.ts'
import { typeorm } from './typeorm.ts'

/** Everything that Tenantry is measured against, on one server. */
export function allPeers(serverUrl: string, loopConcurrency: number): readonly Peer[] {
  return [plainPg, mikroOrmAlone, typeorm, sequelize, drizzle].map((peer) => peer(serverUrl, loopConcurrency))
}
