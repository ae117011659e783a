import { ensureDatabase, ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Address, User } from '../../bench/models/mikro-orm.ts'
import { allPeers } from '../../bench/peers/all.ts'
import type { Peer } from '../../bench/peers/contender.ts'
import { afterwards, serverUrl, sql, uniqueName } from '../support/server.ts'

// A peer that does less than it claims would make the comparison worthless.

describe.each(allPeers(serverUrl({ database: 'postgres' }), 2))('$name', (peer) => {
  test('makes a database with both tables', async () => {
    const id = tenantOf(peer)
    await peer.newTenant(id)
    expect(await tablesIn(peer.databaseOf(id))).toEqual(['address', 'user_account'])
  })

  test('writes a row into a new one', async () => {
    const id = tenantOf(peer)
    await peer.newTenantWithRow(id)
    expect(await sql('select name from user_account', [], peer.databaseOf(id))).toEqual([{ name: 'spongebob' }])
  })

  test('makes missing parts at the start, and leaves existing ones', async () => {
    const databases = [tenantOf(peer), tenantOf(peer), tenantOf(peer)].map((id) => peer.databaseOf(id))
    await peer.start(databases)
    const made = await Promise.all(databases.map(objectsIn))
    await peer.start(databases)
    expect(await Promise.all(databases.map(objectsIn))).toEqual(made)
    expect(await tablesIn(databases[2] ?? '')).toEqual(['address', 'user_account'])
  })

  test.runIf(peer.acceptsOthersTables)('finds all in place in a database that Tenantry made', async () => {
    const database = peer.databaseOf(tenantOf(peer))
    const url = serverUrl({ database })
    await ensureDatabase(url)
    await ensureTables(url, mikroOrm({ entities: [User, Address] }))
    const made = await objectsIn(database)
    await peer.start([database])
    expect(await objectsIn(database)).toEqual(made)
  })
})

/** A new tenant's id; its database goes after the tests. */
function tenantOf(peer: Peer): string {
  const id = uniqueName()
  onTestFinished(() => peer.settle())
  afterwards(async () => {
    await peer.close()
    await sql(`drop database if exists "${peer.databaseOf(id)}" with (force)`)
  })
  return id
}

async function tablesIn(database: string): Promise<string[]> {
  const rows = await sql<{ name: string }>(
    `select tablename as name from pg_tables where schemaname = 'public' order by 1`,
    [],
    database,
  )
  return rows.map(({ name }) => name)
}

/** Everything that was made there: an object that is made again has another number. */
function objectsIn(database: string): Promise<{ oid: number }[]> {
  return sql<{ oid: number }>(
    `select oid from pg_class where oid > 16383
     union select oid from pg_constraint where oid > 16383 order by 1`,
    [],
    database,
  )
}
