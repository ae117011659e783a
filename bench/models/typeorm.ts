import { EntitySchema } from 'typeorm'

export interface User {
  id: number
  name: string
  fullname: string | null
  addresses: Address[]
}

interface Address {
  id: number
  emailAddress: string
  user: User
}

export const userSchema = new EntitySchema<User>({
  name: 'User',
  tableName: 'user_account',
  columns: {
    id: { type: 'int', primary: true, generated: true },
    name: { type: 'varchar', length: 255 },
    fullname: { type: 'varchar', length: 255, nullable: true },
  },
  relations: { addresses: { type: 'one-to-many', target: 'Address', inverseSide: 'user' } },
})

export const addressSchema = new EntitySchema<Address>({
  name: 'Address',
  tableName: 'address',
  columns: {
    id: { type: 'int', primary: true, generated: true },
    emailAddress: { type: 'varchar', length: 255, name: 'email_address' },
  },
  relations: {
    user: {
      type: 'many-to-one',
      target: 'User',
      inverseSide: 'addresses',
      nullable: false,
      joinColumn: { name: 'user_id' },
    },
  },
})
