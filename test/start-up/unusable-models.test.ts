import { defineEntity, EntitySchema, p } from '@mikro-orm/core'
import { checkDatabase, ensureTables } from 'tenantry'
import { mikroOrm, type MikroOrmModelsOptions } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { startCountingProxy } from '../support/counting-proxy.ts'
import { serverUrl } from '../support/server.ts'
import { expectCausedFailure, expectFailure } from './support.ts'

type Entities = MikroOrmModelsOptions['entities']

const Pet = new EntitySchema<object>({
  name: 'Pet',
  properties: { id: { type: 'number', primary: true }, owner: { kind: 'm:1', entity: 'NobodyAtAll' } },
})
const Broken = defineEntity({
  name: 'Broken',
  properties: {
    id: p.integer().primary(),
    other: (): never => {
      throw new Error('this property cannot be read')
    },
  },
})
const Keyless = defineEntity({ name: 'Keyless', properties: { name: p.string() } })
const withEnum = (name: string, items: string[]) =>
  defineEntity({
    name,
    properties: { id: p.integer().primary(), kind: p.enum(items).nativeEnumName('kind') },
  })
const One = defineEntity({ name: 'One', tableName: 'same', properties: { id: p.integer().primary() } })
const Other = defineEntity({ name: 'Other', tableName: 'same', properties: { id: p.integer().primary() } })

describe('models that cannot be read are reported before anything is sent', () => {
  it.each([
    ['an entity that refers to one that is missing', [Pet], 'NobodyAtAll'],
    ['a property that throws', [Broken], 'this property cannot be read'],
    ['an entity without a key', [Keyless], 'Keyless'],
    ['two entities for one table', [One, Other], 'same'],
    ['an enum with two definitions', [withEnum('One', ['a', 'b']), withEnum('Two', ['a', 'c'])], 'a, c in two.kind'],
    ['a label that is too long', [withEnum('One', ['a', 'ä'.repeat(32)])], 'one.kind'],
    ['something that is no entity', [undefined], ''],
  ])('%s', async (_, entities, said) => {
    const proxy = await startCountingProxy(serverUrl({ database: 'postgres' }))
    try {
      const url = proxy.url(serverUrl({ database: 'postgres' }))
      const models = mikroOrm({ entities: entities as Entities })
      const error = await expectCausedFailure(ensureTables(url, models), 'models-invalid')
      expect(error.message).toContain(said)
      await expectCausedFailure(checkDatabase(url, models), 'models-invalid')
      expect(proxy.take()).toMatchObject({ connections: 0, statements: 0 })
    } finally {
      await proxy.close()
    }
  })

  it('no entities at all', async () => {
    const proxy = await startCountingProxy(serverUrl({ database: 'postgres' }))
    try {
      const url = proxy.url(serverUrl({ database: 'postgres' }))
      await expectFailure(ensureTables(url, mikroOrm({ entities: [] })), 'models-invalid')
      expect(proxy.take()).toMatchObject({ connections: 0, statements: 0 })
    } finally {
      await proxy.close()
    }
  })
})
