import { defineEntity, p } from '@mikro-orm/core'

/** Fifty tables of nine columns, each with five keys and indexes, and a check. */
export function fiftyTables() {
  const names = Array.from({ length: 50 }, (_, i) => `Thing${i}`)
  return names.map((name) =>
    defineEntity({
      name,
      indexes: [{ properties: ['title', 'state'] }, { properties: ['madeAt'] }],
      uniques: [{ properties: ['title', 'count'] }],
      checks: [{ expression: 'count >= 0' }],
      properties: {
        id: p.integer().primary().autoincrement(),
        code: p.string().unique(),
        title: p.string(),
        note: p.text().nullable(),
        state: p.string().default('new'),
        count: p.integer().default(0),
        price: p.decimal().nullable(),
        madeAt: p.datetime(),
        rank: p.integer().nullable(),
      },
    }),
  )
}
