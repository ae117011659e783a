import { defineEntity, p } from '@mikro-orm/core'
import { checkDatabase, ensureTables, type Models, type SchemaObject } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { entities as shop } from '../../examples/shop/models.ts'
import { quote } from '../support/server.ts'
import {
  as,
  existingDatabase,
  expectCausedFailure,
  type Login,
  newRole,
  queryIn,
  readOnly,
  sqlIn,
  tablesIn,
  UserAlone,
} from './support.ts'

const service = () => mikroOrm({ entities: [User, Address] })

describe('where all tables are in place', () => {
  it('a role that belongs to their owner writes nothing and needs no right to create', async () => {
    const owner = await newRole()
    const role = await newRole(`in role ${quote(owner.user)}`)
    const { name, url } = await existingDatabase()
    await queryIn(name, `create schema warehouse authorization ${quote(owner.user)}`)
    await queryIn(name, `grant create on schema public to ${quote(owner.user)}`)
    const models = mikroOrm({ entities: shop })
    const { created } = await ensureTables(as(owner, url), models)
    await queryIn(name, `revoke create on schema public from ${quote(owner.user)}`)
    const { existing, ...others } = await ensureTables(readOnly(as(role, url)), models)
    expect(others).toEqual({ created: [], differing: [] })
    expect(existing.map(nameOf).toSorted()).toEqual(created.map(nameOf).toSorted())
  })

  it('a role that may only read them sees them', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    const { created } = await ensureTables(url, service())
    await queryIn(name, `grant select on user_account, address to ${quote(role.user)}`)
    expect(await ensureTables(readOnly(as(role, url)), service())).toEqual({
      created: [],
      existing: created,
      differing: [],
    })
    expect(await checkDatabase(readOnly(as(role, url)), service())).toMatchObject({ outcome: 'matches' })
  })
})

describe('if tables are missing, a role gets the privileges that it lacks', () => {
  it('in the default schema', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    const hint = await expectMendedBy(role, name, url, service())
    expect(hint).toBe(`GRANT USAGE, CREATE ON SCHEMA public TO ${role.user};`)
  })

  it('in the default schema and in one that is missing', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    const hint = await expectMendedBy(role, name, url, mikroOrm({ entities: shop }))
    expect(hint).toContain(`GRANT CREATE ON DATABASE ${name} TO ${role.user};`)
    expect(hint).toContain(`GRANT USAGE, CREATE ON SCHEMA public TO ${role.user};`)
  })

  it('in a schema that exists, without any right to create schemas', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    await queryIn(name, 'create schema "The archive"')
    const Note = defineEntity({
      name: 'Note',
      schema: 'The archive',
      properties: { id: p.integer().primary().autoincrement() },
    })
    const hint = await expectMendedBy(role, name, url, mikroOrm({ entities: [Note] }))
    expect(hint).toBe(`GRANT USAGE, CREATE ON SCHEMA "The archive" TO ${role.user};`)
  })

  it('to refer to a table of another role', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    await ensureTables(url, mikroOrm({ entities: [UserAlone] }))
    await queryIn(name, `grant select on user_account to ${quote(role.user)}`)
    const hint = await expectMendedBy(role, name, url, service())
    expect(hint).toContain(`GRANT REFERENCES ON public.user_account TO ${role.user};`)
  })

  it('to add an index to a table of another role', async () => {
    const owner = await newRole()
    const role = await newRole()
    const { name, url } = await existingDatabase(`owner ${quote(owner.user)}`)
    await ensureTables(as(owner, url), mikroOrm({ entities: [UserAlone] }))
    await queryIn(name, `grant select on user_account to ${quote(role.user)}`)
    const hint = await expectMendedBy(role, name, url, mikroOrm({ entities: [IndexedUser] }))
    expect(hint).toContain(`GRANT ${owner.user} TO ${role.user};`)
  })

  it('to add an index to a table of a role from which it does not inherit', async () => {
    const owner = await newRole()
    const role = await newRole(`noinherit in role ${quote(owner.user)}`)
    const { name, url } = await existingDatabase(`owner ${quote(owner.user)}`)
    await ensureTables(as(owner, url), mikroOrm({ entities: [UserAlone] }))
    await queryIn(name, `grant select on user_account to ${quote(role.user)}`)
    const hint = await expectMendedBy(role, name, url, mikroOrm({ entities: [IndexedUser] }))
    expect(hint).toMatch(/ INHERIT TRUE;| INHERIT;/)
  })
})

describe('a role that may create', () => {
  it('in an existing schema needs no right to create schemas', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    await queryIn(
      name,
      `create schema warehouse authorization ${quote(role.user)}`,
      `grant create on schema public to ${quote(role.user)}`,
    )
    const { created } = await ensureTables(as(role, url), mikroOrm({ entities: shop }))
    expect(created).toContainEqual({ kind: 'table', name: 'warehouse.stock' })
    expect(created).not.toContainEqual({ kind: 'schema', name: 'warehouse' })
  })

  it('as the owner of the database needs nothing else', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase(`owner ${quote(role.user)}`)
    await ensureTables(as(role, url), mikroOrm({ entities: shop }))
    expect(await tablesIn(name)).toContain('warehouse.stock')
  })
})

const nameOf = ({ name }: SchemaObject) => name

const IndexedUser = defineEntity({
  name: 'User',
  tableName: 'user_account',
  properties: {
    id: p.integer().primary().autoincrement(),
    name: p.string().index(),
    fullname: p.string().nullable(),
  },
})

/** Expects a refusal, that nothing was made, and that the statements of the hint are sufficient. */
async function expectMendedBy(role: Login, name: string, url: string, models: Models<unknown>): Promise<string> {
  const own = as(role, url)
  const before = await tablesIn(name)
  const error = await expectCausedFailure(ensureTables(own, models), 'permission-denied')
  expect(error.sqlState).toBe('42501')
  expect(error.message).toContain(role.user)
  expect(await tablesIn(name)).toEqual(before)
  await queryIn(name, sqlIn(error))
  expect((await ensureTables(own, models)).created).not.toEqual([])
  expect(await checkDatabase(own, models)).toMatchObject({ outcome: 'matches' })
  return sqlIn(error)
}
