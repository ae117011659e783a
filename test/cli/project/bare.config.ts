import { mikroOrm } from 'tenantry/mikro-orm'
import { Note } from './models.ts'

// The server is that of DATABASE_URL.
export default { models: mikroOrm({ entities: [Note] }) }
