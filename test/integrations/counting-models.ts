import type { EntityManager } from '@mikro-orm/postgresql'
import type { HandleFactory, Models } from 'tenantry'

/** The numbers of units of work that were begun, and that were finished. */
export interface Counts {
  begun: number
  finished: number
}

/** The same models, with a count of their units of work. */
export function counting(models: Models<EntityManager>): { models: Models<EntityManager>; counts: Counts } {
  const counts = { begun: 0, finished: 0 }
  const handles: HandleFactory<EntityManager> = {
    open: async (pool, tenant) => {
      const opened = await models.handles.open(pool, tenant)
      return {
        handle: (signal) => {
          counts.begun++
          return opened.handle(signal)
        },
        finish: async (em) => {
          await opened.finish(em)
          counts.finished++
        },
      }
    },
  }
  return { models: { schema: models.schema, handles }, counts }
}
