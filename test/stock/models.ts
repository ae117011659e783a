import { mikroOrm } from 'tenantry/mikro-orm'
import { Address, User } from '../../examples/service/models.ts'

/** The models of these suites, apart so that processes of their own can use them. */
export const models = mikroOrm({ entities: [User, Address] })
