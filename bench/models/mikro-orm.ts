import { defineEntity, p } from '@mikro-orm/core'

// The models of all contenders: a user has many addresses. Two tables, one foreign key.

const UserSchema = defineEntity({
  name: 'User',
  tableName: 'user_account',
  properties: {
    id: p.integer().primary().autoincrement(),
    name: p.string(),
    fullname: p.string().nullable(),
    addresses: () => p.oneToMany(Address).mappedBy('user').orphanRemoval(),
  },
})

export class User extends UserSchema.class {}
UserSchema.setClass(User)

const AddressSchema = defineEntity({
  name: 'Address',
  tableName: 'address',
  properties: {
    id: p.integer().primary().autoincrement(),
    emailAddress: p.string(),
    user: () => p.manyToOne(User),
  },
})

export class Address extends AddressSchema.class {}
AddressSchema.setClass(Address)
