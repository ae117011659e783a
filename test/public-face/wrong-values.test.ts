import { mikroOrm } from 'tenantry/mikro-orm'
import { TenantRequests } from 'tenantry/requests'
import { beforeAll, describe, expect, it } from 'vitest'
import type { EntityManager } from '@mikro-orm/postgresql'
import { TenantryError } from 'tenantry'
import { Address, User } from '../../examples/service/models.ts'
import { watch, type World } from '../faults/hostile/world.ts'
import { openTestTenantry, type TestTenantry } from '../support/tenants.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { entries, type Face, facesOfEntries, facesOfTenantry, without } from './faces.ts'
import { kinds, outcomeOf, valueNames, values, withoutOptions } from './values.ts'

let tenantry: TestTenantry<EntityManager>
let world: World
let faces: Readonly<Record<string, Face>>

beforeAll(async () => {
  tenantry = await openTestTenantry(mikroOrm({ entities: [User, Address] }))
  await tenantry.onboard('acme')
  world = await watch(tenantry.installation)
  const ofTenantry = Object.entries(facesOfTenantry(tenantry)).map(([name, face]) => [`tenantry.${name}`, face])
  faces = { ...(Object.fromEntries(ofTenantry) as Record<string, Face>), ...facesOfEntries(tenantry) }
})

/** The names of an object's own methods: of a prototype, those of its class; of a class, the static ones. */
function methodsOf(object: object): string[] {
  const isMethod = (name: string) => typeof Object.getOwnPropertyDescriptor(object, name)?.value === 'function'
  return Object.getOwnPropertyNames(object).filter((name) => name !== 'constructor' && isMethod(name))
}

/** The right arguments of a call, with these options. */
const argumentsOf = ({ args = [], options, needed = {} }: Face, given: object = {}): unknown[] => [
  ...args.map(([right]) => right),
  ...(options === undefined ? [] : [{ ...needed, ...given }]),
]

/** Calls all faces. @returns those that did not refuse by one of the right codes */
async function wronglyTaken(
  attempts: (face: Face) => Iterable<{ what: string; args: unknown[]; codes: readonly string[] }>,
): Promise<string[]> {
  const wrong: string[] = []
  for (const [name, face] of Object.entries(faces)) {
    for (const { what, args, codes } of attempts(face)) {
      const outcome = await outcomeOf(() => face.call(...args))
      if (!codes.includes(outcome)) wrong.push(`${name}, ${what}: ${outcome}`)
    }
  }
  return wrong
}

describe('the public face', () => {
  it('is listed completely: the functions of every entry, and the methods of their results', () => {
    const listed = new Set([...Object.keys(faces), ...Object.keys(without)].map((name) => name.replace(/[,(].*$/, '')))
    expect(Object.keys(entries)).toHaveLength(Object.keys(packageJson.exports).length - 1)
    const seen = new Set<unknown>()
    const found: string[] = []
    // `requests` goes first: the entries of the frameworks have its functions as well.
    for (const entry of ['requests', ...Object.keys(entries)] as (keyof typeof entries)[]) {
      for (const [name, value] of Object.entries<unknown>(entries[entry])) {
        if (typeof value !== 'function' || seen.has(value)) continue
        seen.add(value)
        const statics = value === TenantryError ? [] : methodsOf(value)
        found.push(
          ...(statics.length === 0 ? [name] : statics.map((own) => `${name}.${own}`)).map((own) => `${entry}.${own}`),
        )
      }
    }
    found.push(...methodsOf(Object.getPrototypeOf(tenantry) as object).map((name) => `tenantry.${name}`))
    for (const group of ['tenants', 'domains', 'templates', 'rollouts', 'servers'] as const)
      found.push(...methodsOf(tenantry[group]).map((name) => `tenantry.${group}.${name}`))
    found.push(...methodsOf(TenantRequests.prototype).map((name) => `TenantRequests.${name}`))
    expect(found.filter((name) => !listed.has(name))).toEqual([])
    expect([...listed].filter((name) => !found.includes(name))).toEqual([])
  })

  it('knows the options that are listed, and no others', async () => {
    const different: unknown[] = []
    for (const [name, face] of Object.entries(faces)) {
      if (face.options === undefined || face.isOpen) continue
      try {
        await face.call(...argumentsOf(face, { 'an option that is unknown': 1 }))
        different.push({ name, hint: 'accepted' })
      } catch (error) {
        const { code, hint } = error as TenantryError
        const known = Object.keys(face.options)
        const told = /^It knows (.*)\.$/.exec(hint ?? '')?.[1]?.split(', ') ?? []
        if (code !== 'invalid-option' || told.toSorted().join() !== known.toSorted().join()) {
          different.push({ name, code, hint })
        }
      }
    }
    expect(different).toEqual([])
  })
})

describe('wrong values are refused, and nothing is touched', () => {
  it('in the place of the options', async () => {
    await world.unchanged(async () => {
      const taken = await wronglyTaken(function* attempts(face) {
        if (face.options === undefined) return
        const args = argumentsOf(face).slice(0, -1)
        for (const name of valueNames) {
          if (withoutOptions.includes(name) || face.unread?.includes(name)) continue
          yield { what: name, args: [...args, values[name]], codes: face.isOpen ? open(name) : ['invalid-option'] }
        }
      })
      expect(taken).toEqual([])
    })
  })

  it('for each option', async () => {
    await world.unchanged(async () => {
      const taken = await wronglyTaken(function* attempts(face) {
        for (const [option, kindName] of Object.entries(face.options ?? {})) {
          const { right, codes } = kinds[kindName]
          for (const name of valueNames) {
            if (right.includes(name)) continue
            yield { what: `${option}: ${name}`, args: argumentsOf(face, { [option]: values[name] }), codes }
          }
        }
      })
      expect(taken).toEqual([])
    })
  })

  it('where reading an option throws', async () => {
    await world.unchanged(async () => {
      const taken = await wronglyTaken(function* attempts(face) {
        for (const option of Object.keys(face.options ?? {})) {
          const hostile = { ...face.needed }
          const get = () => {
            throw new RangeError('A getter of the caller.')
          }
          Object.defineProperty(hostile, option, { get, enumerable: true, configurable: true })
          const args = [...argumentsOf(face).slice(0, -1), hostile]
          yield { what: `a getter of ${option}`, args, codes: ['invalid-option'] }
        }
      })
      expect(taken).toEqual([])
    })
  })

  it('for each argument', async () => {
    await world.unchanged(async () => {
      const taken = await wronglyTaken(function* attempts(face) {
        for (const [place, [, kindName]] of (face.args ?? []).entries()) {
          const { right, codes } = kinds[kindName]
          for (const name of valueNames) {
            if (right.includes(name)) continue
            yield { what: `argument ${place}: ${name}`, args: argumentsOf(face).with(place, values[name]), codes }
          }
        }
      })
      expect(taken).toEqual([])
    })
  })

  it('and a value that is no domain belongs to no tenant', async () => {
    for (const name of valueNames) expect(await tenantry.domains.tenantOf(values[name] as string)).toBeUndefined()
  })

  it('while valid calls continue', async () => {
    expect(await tenantry.with('acme', async (em) => em.count(User), { signal: new AbortController().signal })).toBe(0)
    expect(await tenantry.tenants.get('acme', {})).toMatchObject({ id: 'acme', state: 'active' })
  })
})

/** An ORM's options are an object; the ORM itself checks them. */
function open(name: string): readonly string[] {
  return name === 'what looks like a signal' ? ['accepted'] : ['invalid-option']
}
