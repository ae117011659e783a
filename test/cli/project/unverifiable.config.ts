import { mikroOrm } from 'tenantry/mikro-orm'
import config from './tenantry.config.ts'
import { Note } from './models.ts'

// Models that are not content with what they asked for.
const models = Object.assign(mikroOrm({ entities: [Note] }), {
  compare: async () => ({ missing: [{ kind: 'table', name: 'public.note' }], differing: [] }),
})

export default { ...config, models }
