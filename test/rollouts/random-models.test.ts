import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { firstVersion, hazards, inTenant } from './support.ts'

// Models of random tables, brought from version to version: the tenant's database is as if it had been created from the
// last version, and the rows of the tables that remain are there.

/** A column by its type: its clauses in a later version may differ. */
const columns = [
  'a int',
  'b text',
  'c numeric(8,2)',
  'd timestamptz',
  `e text default 'x;y'`,
  'f int[]',
  'g mood',
] as const

const table = fc.record({
  columns: fc.uniqueArray(fc.constantFrom(...columns), { maxLength: 5 }),
  index: fc.option(fc.constantFrom('a', 'b', 'd')),
  check: fc.boolean(),
  unique: fc.boolean(),
  generated: fc.boolean(),
  comment: fc.option(fc.constantFrom(`it's one`, 'another')),
})
type Table = (typeof table extends fc.Arbitrary<infer T> ? T : never) & object

/** The labels of an enum, which later versions only add to: no plan removes one by itself. */
const labels = [
  ['sad', 'ok'],
  ['sad', 'so-so', 'ok'],
  ['sad', 'so-so', 'ok', 'happy'],
]

const models = fc.record({
  tables: fc.dictionary(fc.constantFrom('t1', 't2', 'Third table'), table, { minKeys: 1, maxKeys: 3 }),
  labels: fc.nat({ max: labels.length - 1 }),
  view: fc.boolean(),
  reference: fc.boolean(),
})
type ModelsOfTest = typeof models extends fc.Arbitrary<infer T> ? T : never

function statementsOf({ tables, labels: several, view, reference }: ModelsOfTest): string[] {
  const names = Object.keys(tables).toSorted()
  return [
    `create type mood as enum (${labels[several]!.map((label) => `'${label}'`).join(', ')})`,
    ...names.flatMap((name) => tableStatements(name, tables[name] as Table)),
    ...(view ? [`create view first_table as select id from "${names[0]}"`] : []),
    ...(reference && names.length > 1
      ? [
          `alter table "${names[1]}" add column other int, add constraint other_key foreign key (other) references "${names[0]}"`,
        ]
      : []),
  ]
}

function tableStatements(name: string, of: Table): string[] {
  const has = (column: string) => of.columns.some((text) => text.startsWith(`${column} `))
  const parts = [
    'id int primary key',
    ...of.columns,
    ...(of.generated && has('a') ? ['h int generated always as (a + 1) stored'] : []),
    ...(of.check && has('a') ? [`constraint "positive ${name}" check (a > 0)`] : []),
    ...(of.unique && has('b') ? [`constraint "once ${name}" unique (b, id)`] : []),
  ]
  return [
    `create table "${name}" (${parts.join(', ')})`,
    ...(of.index && has(of.index) ? [`create index "${name} ${of.index}" on "${name}" (${of.index})`] : []),
    ...(of.comment === null ? [] : [`comment on table "${name}" is '${of.comment.replaceAll("'", "''")}'`]),
  ]
}

const numRuns = Number(process.env['TENANTRY_TEST_ROUNDS'] ?? 3)

it('rolls random models through several versions', { timeout: numRuns * 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(models, { minLength: 3, maxLength: 3 }), fc.boolean(), async (versions, isLarge) => {
      const most = versions.map((version) => version.labels).toSorted((one, other) => one - other)
      const [first, ...later] = versions.map((version, index) => ({
        ...version,
        statements: statementsOf({ ...version, labels: most[index]! }),
      }))
      const { first: opened, next } = await firstVersion(['a'], ...first!.statements)
      for (const name of Object.keys(first!.tables))
        await inTenant(opened, 'a', `insert into "${name}" (id) values (1)`)
      let kept = Object.keys(first!.tables)
      for (const version of later) {
        const tenantry = await next(...version.statements)
        const plan = await tenantry.rollouts.plan()
        expect(plan.from.flatMap(({ left }) => left)).toEqual([])
        const options = { allow: hazards(plan), largeTableBytes: isLarge ? 1 : 2 ** 40 }
        expect(await tenantry.rollouts.start(plan, options)).toMatchObject({ outcome: 'done', failures: [] })
        expect(await tenantry.tenants.check('a', { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
        kept = kept.filter((name) => name in version.tables)
        for (const name of kept) expect(await inTenant(tenantry, 'a', `select id from "${name}"`)).toEqual([{ id: 1 }])
      }
    }),
    { numRuns },
  )
})
