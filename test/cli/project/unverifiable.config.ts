import { mikroOrm } from 'tenantry/mikro-orm'
import config from './tenantry.config.ts'
import { Note } from './models.ts'

// Models whose statements do not leave the table that they create.
const { schema, handles } = mikroOrm({ entities: [Note] })
const create: typeof schema.create = async (session) => {
  await schema.create(session)
  await session.script(['do $$ begin drop table note; end $$'])
}

export default { ...config, models: { schema: { ...schema, create }, handles } }
