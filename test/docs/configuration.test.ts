import { openTenantry, TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { describe, expect, test } from 'vitest'
import { readPage } from './markdown.ts'

const models = mikroOrm({ entities: [] })
const unknown: object = { 'an option that nobody knows': true }

const groupNames = ['catalog', 'templates', 'credentials', 'hooks', 'pool', 'tenants', 'limits'] as const
const groups = Object.fromEntries(
  await Promise.all(
    groupNames.map(async (name) => [name, await optionsOf(() => openTenantry({ models, [name]: unknown }))] as const),
  ),
)

/** A heading of the page, and a call that refuses an option which the section does not have. */
const calls: Readonly<Record<string, () => unknown>> = {
  'The keys': () => openTenantry({ models, ...unknown }),
  'postgres()': () => postgres({ url: 'postgresql://localhost', ...unknown }),
  session: () => openTenantry({ models, session: unknown }),
}

describe.each(Object.entries(calls))('%s', (heading, call) => {
  test('has a row for each key that is known, and no others', async () => {
    const known = await optionsOf(call)
    const inGroups = Object.entries(groups).flatMap(([group, own]) => own.map((key) => `${group}.${key}`))
    const isConfiguration = heading === 'The keys'
    const keys = isConfiguration ? [...known.filter((key) => !(key in groups)), ...inGroups] : known
    expect(rowsOf(heading)).toEqual(keys.toSorted())
  })
})

test('mikroOrm() refuses the options listed on the page', () => {
  const refused = sectionOf('mikroOrm()').match(/Refused is.*/s)?.[0] ?? ''
  const names = [...refused.matchAll(/`(\w+)`/g)].map(([, name]) => name ?? '')
  expect(names).toContain('dbName')
  for (const name of names) {
    const options = { entities: [], [name]: undefined } as Parameters<typeof mikroOrm>[0]
    expect(() => mikroOrm(options)).toThrow(`mikroOrm() does not take the option ${name}.`)
  }
})

/** Returns the known options, which the error of an unknown one names. */
async function optionsOf(call: () => unknown): Promise<string[]> {
  try {
    await call()
  } catch (error) {
    const [, names] = /^It knows (.*)\.$/.exec((error instanceof TenantryError && error.hint) || '') ?? []
    if (names !== undefined) return names.split(', ').toSorted()
    throw error
  }
  throw new Error('Nothing was refused.')
}

function rowsOf(heading: string): string[] {
  return [...sectionOf(heading).matchAll(/^\| `([\w.]+)` \|/gm)].flatMap(([, name = '']) => name).toSorted()
}

function sectionOf(heading: string): string {
  const sections = readPage('docs/configuration.md').split(/^## /m)
  return sections.find((part) => part.startsWith(`${heading}\n`)) ?? ''
}
