import { mikroOrm } from 'tenantry/mikro-orm'
import config from './tenantry.config.ts'
import { Note } from './models.ts'

// Models whose statements do not leave the table that they create.
const models = mikroOrm({ entities: [Note] })
const createStatements = models.createStatements.bind(models)
Object.assign(models, {
  createStatements: async () => [...(await createStatements()), 'drop table note'],
})

export default { ...config, models }
