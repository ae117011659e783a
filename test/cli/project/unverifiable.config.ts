import { mikroOrm } from 'tenantry/mikro-orm'
import config from './tenantry.config.ts'
import { Note } from './models.ts'

// Models that differ from the tables that they asked for.
const models = Object.assign(mikroOrm({ entities: [Note] }), {
  compare: async () => ({ missing: [{ kind: 'table', name: 'public.note' }], differing: [] }),
})

export default { ...config, models }
