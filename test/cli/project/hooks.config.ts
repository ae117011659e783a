import type { TenantHook } from 'tenantry'
import type { EntityManager } from '@mikro-orm/postgresql'
import config from './tenantry.config.ts'
import { Note } from './models.ts'

const failing = process.env['FAILING']

const initialise: TenantHook<EntityManager> = async (em) => {
  if (failing === 'initialise') throw new Error('The mail server is down.')
  if ((await em.count(Note)) === 0) await em.insert(Note, { id: 1, text: 'welcome' })
}

const anonymise: TenantHook<EntityManager> = async (em) => {
  if (failing === 'anonymise') throw new Error('The mail server is down.')
  await em.nativeUpdate(Note, {}, { text: '***' })
}

export default { ...config, hooks: { initialise, anonymise } }
