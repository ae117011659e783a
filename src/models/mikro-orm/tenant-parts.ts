import {
  type AnyEntity,
  type EntityData,
  EntityLoader,
  type EntityManager,
  type LockOptions,
  UnitOfWork,
  Utils,
} from '@mikro-orm/core'
import { QueryBuilder } from '@mikro-orm/postgresql'
import type { TenantIdentity } from '../port.ts'
import {
  type OfTenant,
  refuseForeign,
  refuseForeignIn,
  refuseForeignRelations,
  unlessRefused,
} from './foreign-entities.ts'

// MikroORM makes these parts itself, and has no option for others. So they are changed once they are made.

/**
 * Gives an EntityManager a unit of work and a loader that refuse entities of other tenants.
 *
 * The methods are set on each of them one by one, and not as a class: one EntityManager is made for each unit of work
 * and for each row of a stream, and a change of the prototype costs several times as much.
 */
export function guardParts(em: EntityManager & OfTenant): void {
  const unit = em.getUnitOfWork(false) as UnitOfWork & Mutable<OfTenant>
  unit.tenant = em.tenant
  unit.register = register
  unit.merge = merge
  unit.lock = lock
  unit.scheduleOrphanRemoval = scheduleOrphanRemoval
  // Called directly, an EntityManager that follows contexts returns the loader of another one.
  const loader = em.getEntityLoader.call({ getContext: () => em } as unknown as EntityManager) as EntityLoader &
    Mutable<OfTenant>
  loader.tenant = em.tenant
  loader.populate = populate as EntityLoader['populate']
}

/** Gives a query builder the methods that refuse entities of other tenants. */
export function guardQuery<Query extends object>(query: Query): Query {
  Object.setPrototypeOf(query, TenantQueryBuilder.prototype)
  return query
}

/** Makes methods of a class look at their arguments before they do anything. */
export function guardMethods(
  type: { readonly prototype: OfTenant },
  { throwing, rejecting }: { readonly throwing: readonly string[]; readonly rejecting: readonly string[] },
): void {
  for (const name of [...throwing, ...rejecting]) {
    const method: unknown = Reflect.get(type.prototype, name)
    // A later version may have dropped it.
    if (typeof method !== 'function') continue
    const isRejecting = rejecting.includes(name)
    Object.defineProperty(type.prototype, name, {
      configurable: true,
      writable: true,
      value(this: OfTenant, ...args: unknown[]): unknown {
        const refuse = () => refuseForeignIn(args, this)
        const work = (): unknown => Reflect.apply(method, this, args)
        if (isRejecting) return unlessRefused(refuse, work)
        refuse()
        return work()
      },
    })
  }
}

type Unit = UnitOfWork & OfTenant

// Methods of a unit of work that no entity of another tenant may reach, neither by a cascade nor out of a collection.

function register<Entity extends object>(this: Unit, entity: Entity, ...rest: RegisterRest<Entity>): Entity {
  refuseForeign(entity, this)
  return UnitOfWork.prototype.register.call(this, entity, ...rest) as Entity
}

type RegisterRest<Entity> = [data?: EntityData<Entity>, options?: Parameters<UnitOfWork['register']>[2]]

function merge(this: Unit, entity: object, visited?: Set<AnyEntity>): void {
  refuseForeign(entity, this)
  UnitOfWork.prototype.merge.call(this, entity, visited)
}

async function lock(this: Unit, entity: object, options: LockOptions): Promise<void> {
  refuseForeign(entity, this)
  await UnitOfWork.prototype.lock.call(this, entity, options)
}

function scheduleOrphanRemoval(this: Unit, entity?: AnyEntity, visited?: Set<AnyEntity>): void {
  if (entity !== undefined) refuseForeign(entity, this)
  UnitOfWork.prototype.scheduleOrphanRemoval.call(this, entity, visited)
}

/** Loads nothing into, or by the key of, an entity of another tenant, at any depth of a hint. */
function populate(this: EntityLoader & OfTenant, ...args: Parameters<EntityLoader['populate']>): Promise<void> {
  const refuse = () => {
    const [, entities, hints] = args
    if (Utils.isEmpty(hints)) return
    for (const entity of entities) if (Utils.isEntity(entity)) refuseForeignRelations(entity, this)
  }
  return unlessRefused(refuse, () => EntityLoader.prototype.populate.apply(this, args))
}

type Mutable<Part> = { -readonly [Key in keyof Part]: Part[Key] }

/** A query builder that takes no entity of another tenant, nor a query of one. */
class TenantQueryBuilder extends QueryBuilder implements OfTenant {
  static {
    guardMethods(this, {
      throwing: [
        'select',
        'distinctOn',
        'insert',
        'insertFrom',
        'update',
        'delete',
        'count',
        'join',
        'joinAndSelect',
        'withSubQuery',
        'where',
        'orderBy',
        'andOrderBy',
        'groupBy',
        'having',
        'onConflict',
        'merge',
        'returning',
        'populate',
        'from',
        'union',
        'unionAll',
        'with',
        'withRecursive',
      ],
      rejecting: ['applyFilters'],
    })
  }

  get tenant(): TenantIdentity | undefined {
    return (this.driver as Partial<OfTenant>).tenant
  }

  override clone(...args: Parameters<QueryBuilder['clone']>): ReturnType<QueryBuilder['clone']> {
    return guardQuery(super.clone(...args))
  }
}
