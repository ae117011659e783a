import type { EntityManager } from '@mikro-orm/postgresql'
import { Address, User } from './models.ts'

/** Writes a user with two addresses in one flush, unless there are users already. */
export async function writeUsers(em: EntityManager, domain: string): Promise<string> {
  const count = await em.count(User)
  if (count > 0) return `nothing: ${count} user is there`
  const user = em.create(User, { name: 'spongebob', fullname: 'Spongebob Squarepants' })
  for (const name of ['spongebob', 'squarepants']) {
    user.addresses.add(em.create(Address, { emailAddress: `${name}@${domain}.example`, user }))
  }
  await em.flush()
  return '1 user and 2 addresses, in one transaction'
}

/** Reads the users with their addresses, through the relationship. */
export async function readUsers(em: EntityManager): Promise<string> {
  const users = await em.find(User, {}, { populate: ['addresses'] })
  return users
    .map(({ name, addresses }) => `${name}: ${addresses.map(({ emailAddress }) => emailAddress).join(', ')}`)
    .join('; ')
}
