import { ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import {
  existingDatabase,
  expectCausedFailure,
  expectFailure,
  holdSchemaLock,
  holdUserTable,
  tablesIn,
} from './support.ts'

const models = mikroOrm({ entities: [User, Address] })

describe('ensureTables gives up', () => {
  it('when another process makes tables for longer than lockTimeoutMs', async () => {
    const { name, url } = await existingDatabase()
    const holder = await holdSchemaLock(name)
    const error = await expectFailure(ensureTables(url, models, { lockTimeoutMs: 200 }), 'lock-timeout')
    expect(error.message).toContain(name)
    expect(await tablesIn(name)).toEqual([])
    await holder.end()
    expect((await ensureTables(url, models, { lockTimeoutMs: 200 })).created).toHaveLength(2)
  })

  it('when a table is held for longer than a statement may take', async () => {
    const database = await existingDatabase()
    await holdUserTable(database)
    await expectCausedFailure(ensureTables(database.url, models, { statementTimeoutMs: 300 }), 'timeout')
    expect(await tablesIn(database.name)).toEqual(['public.user_account'])
  })

  it('never, when nothing is missing: the lock is not needed then', async () => {
    const { name, url } = await existingDatabase()
    await ensureTables(url, models)
    await holdSchemaLock(name)
    expect((await ensureTables(url, models, { lockTimeoutMs: 1 })).existing).toHaveLength(2)
  })
})
