import {
  type AnyEntity,
  type EventSubscriber,
  type FlushEventArgs,
  helper,
  type IDatabaseDriver,
  Reference,
} from '@mikro-orm/core'
import { TenantryError } from '../../kernel/errors.ts'

/**
 * Refuses to flush an entity that another tenant's EntityManager has loaded, or a reference to one: MikroORM would
 * write it by its key, into the row of this tenant that happens to have the same.
 */
export const refuseForeignEntities: EventSubscriber = {
  onFlush({ em, uow }: FlushEventArgs): void {
    const driver = em.getDriver()
    for (const { entity, meta } of uow.getChangeSets()) {
      refuseForeign(entity, driver)
      for (const { name } of meta.relations) refuseForeign(Reflect.get(entity, name), driver)
    }
    // Items of a collection that does not cascade have no change of their own.
    for (const collection of uow.getCollectionUpdates()) {
      refuseForeign(collection.owner, driver)
      for (const item of collection.getItems(false)) refuseForeign(item, driver)
    }
  },
}

function refuseForeign(value: unknown, driver: IDatabaseDriver): void {
  const entity = entityOf(value)
  const owner = entity === undefined ? undefined : helper(entity).__em
  if (owner === undefined || owner.getDriver() === driver) return
  throw new TenantryError(
    'cross-tenant-entity',
    `A ${entity?.constructor.name ?? 'entity'} that belongs to one tenant was about to be written for another.`,
    { hint: 'Load it again through this tenant, or copy its values into a new entity.' },
  )
}

/** The entity in a property's value: itself, or in a Reference; undefined for keys, collections and nothing. */
function entityOf(value: unknown): AnyEntity | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if ('__helper' in value) return value as AnyEntity
  return Reference.isReference(value) ? entityOf(value.unwrap()) : undefined
}
