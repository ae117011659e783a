import {
  Cursor,
  type EntityManager,
  type EntityMetadata,
  type EventSubscriber,
  type FlushEventArgs,
  helper,
  isRaw,
  Reference,
  Utils,
} from '@mikro-orm/core'
import { QueryBuilder } from '@mikro-orm/postgresql'
import { TenantryError } from '../../kernel/errors.ts'
import type { TenantIdentity } from '../port.ts'

// MikroORM takes an entity for its key, even if another EntityManager loaded it. In the database of another tenant,
// that is the key of another row. So a tenant's handle refuses entities of other tenants wherever it would take one.

/** A part of MikroORM that works for one tenant; for none if it belongs to the discovery of the entities. */
export interface OfTenant {
  readonly tenant: TenantIdentity | undefined
}

/** The tenants of entities that were loaded and are not managed: MikroORM does not record them. */
const loaders = new WeakMap<object, TenantIdentity>()

/** Notes that a tenant's EntityManager has loaded an entity. */
export function noteLoader(entity: object, { tenant }: OfTenant): void {
  if (tenant !== undefined) loaders.set(entity, tenant)
}

/**
 * Refuses arguments of a call that hold an entity of another tenant: itself, in a Reference or Collection, as a
 * relation of another entity, and in conditions and data at any depth. It looks into the same values as MikroORM: plain
 * objects, arrays and embeddables, and an object of another class if that is the argument itself.
 *
 * @throws `cross-tenant-entity`
 */
export function refuseForeignIn(args: readonly unknown[], { tenant }: OfTenant): void {
  if (tenant === undefined) return
  const search = new ForeignSearch(tenant)
  for (const argument of args) search.argument(argument)
}

/** Refuses an entity of another tenant. @throws `cross-tenant-entity` */
export function refuseForeign(entity: object, { tenant }: OfTenant): void {
  if (tenant !== undefined) requireOwn(entity, tenant)
}

/** Refuses an entity that is of another tenant, or has a relation to one. @throws `cross-tenant-entity` */
export function refuseForeignRelations(entity: object, { tenant }: OfTenant): void {
  if (tenant !== undefined) new ForeignSearch(tenant).entity(entity)
}

/** Does work unless it is refused, as a method does that rejects and never throws: at once, since queries pass here. */
export function unlessRefused<Result>(refuse: () => void, work: () => Result): Result | Promise<never> {
  try {
    refuse()
  } catch (error) {
    return Promise.resolve().then(() => {
      throw error
    })
  }
  return work()
}

/** Refuses to flush relations that were set on an entity itself: no method of the EntityManager saw them. */
export const refuseForeignFlush: EventSubscriber = {
  onFlush({ em, uow }: FlushEventArgs): void {
    const { tenant } = em as EntityManager & OfTenant
    if (tenant === undefined) return
    const search = new ForeignSearch(tenant)
    for (const { entity } of uow.getChangeSets()) search.entity(entity)
    // Items of a collection that does not cascade have no change of their own.
    for (const collection of uow.getCollectionUpdates()) search.value(collection)
    // These values were taken out of their entities, to be written last.
    for (const [, , value] of uow.getExtraUpdates()) search.value(value)
  },
}

/** A search for entities of other tenants. It ends with an error at the first that it finds. */
class ForeignSearch {
  readonly #tenant: TenantIdentity
  /** The containers with others inside: they may form a cycle. */
  #entered: Set<object> | undefined

  constructor(tenant: TenantIdentity) {
    this.#tenant = tenant
  }

  argument(value: unknown): void {
    if (Array.isArray(value)) for (const item of value) this.#inspect(item, true)
    else this.#inspect(value, true)
  }

  value(value: unknown): void {
    this.#inspect(value, false)
  }

  /** Checks an entity and its relations to one; beyond these, only parts of their keys. */
  entity(entity: object, part: 'whole' | 'key' = 'whole'): void {
    requireOwn(entity, this.#tenant)
    const meta = (helper(entity) as { __meta: EntityMetadata }).__meta
    for (const property of part === 'whole' ? meta.relations : meta.getPrimaryProps()) {
      if (!property.embedded) this.#target(Reflect.get(entity, property.name))
      else for (const [value] of Utils.unwrapProperty(entity, meta, property)) this.#target(value)
    }
  }

  #target(value: unknown): void {
    if (typeof value !== 'object' || value === null) return
    const target: object = Reference.unwrapReference(value)
    if (isEntity(target)) this.entity(target, 'key')
  }

  #inspect(value: unknown, isArgument: boolean): void {
    if (typeof value !== 'object' || value === null) return
    if (isPlain(value)) this.#enter(value, Object.values(value))
    else if (Array.isArray(value) || value instanceof Set) this.#enter(value, value)
    else if (isEntity(value)) this.entity(value)
    else if (Reference.isReference(value)) this.entity(value.unwrap())
    else if (Utils.isCollection(value)) this.#enter(value, [value.owner, ...value.getItems(false)])
    else if (isRaw(value)) this.#enter(value, value.params)
    else if (value instanceof Cursor) this.#enter(value, value.items)
    else if (value instanceof QueryBuilder) requireOwnQuery(value, this.#tenant)
    else if (isArgument || isEmbeddable(value)) this.#enter(value, Object.values(value))
  }

  #enter(container: object, values: Iterable<unknown>): void {
    if (this.#entered?.has(container)) return
    for (const value of values) {
      if (typeof value !== 'object' || value === null) continue
      this.#entered ??= new Set()
      this.#entered.add(container)
      this.#inspect(value, false)
    }
  }
}

function requireOwn(entity: object, tenant: TenantIdentity): void {
  const em = (helper(entity) as { __em?: EntityManager & Partial<OfTenant> }).__em
  const owner = em === undefined ? loaders.get(entity) : em.tenant
  if (owner?.rowId === tenant.rowId) return
  // An entity that was made with `new`, or as a reference by the discovery, belongs to no tenant. One that an
  // EntityManager of the service's own has loaded is of another database.
  if (owner === undefined && (em === undefined || 'tenant' in em)) return
  throw crossTenant(`An entity (${entity.constructor.name})`, owner, tenant)
}

/** A query of another tenant holds the keys of that tenant's entities. */
function requireOwnQuery(query: object, tenant: TenantIdentity): void {
  const { driver } = query as { driver: Partial<OfTenant> }
  if (driver.tenant?.rowId !== tenant.rowId) throw crossTenant('A query', driver.tenant, tenant)
}

/** Returns the error of an entity of one tenant that is given to a handle of another. */
export function crossTenant(what: string, owner: TenantIdentity | undefined, tenant: TenantIdentity): TenantryError {
  const belongs = owner === undefined ? 'belongs to another database' : `belongs to the tenant ${owner.id}`
  return new TenantryError('cross-tenant-entity', `${what} that ${belongs} was given to a handle of ${tenant.id}.`, {
    tenant: tenant.id,
    hint: 'Load it again through this tenant, or copy its values into a new entity.',
  })
}

// Without the types of these functions, which would narrow the value to nothing.
function isPlain(value: object): boolean {
  return Object.getPrototypeOf(value) === Object.prototype || Utils.isPlainObject(value)
}

function isEntity(value: object): boolean {
  return Utils.isEntity(value)
}

function isEmbeddable(value: object): boolean {
  return (value as { __meta?: EntityMetadata }).__meta?.embeddable === true
}
