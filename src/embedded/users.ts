import { randomUUID } from 'node:crypto'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { identityOfThisProcess, readIdentity } from './lock.ts'
import { isAlive } from './processes.ts'

/** Registers this process as a user of the server, and returns the file to remove when it is no longer one. */
export function registerUser(usersFolder: string): string {
  const file = join(usersFolder, `${process.pid}-${randomUUID()}`)
  writeFileSync(file, identityOfThisProcess(), { mode: 0o600 })
  return file
}

/**
 * Counts the living processes that use the server. Forgets those that ended without notice. For the holder of the lock.
 */
export function countUsers(usersFolder: string): number {
  const files = readdirSync(usersFolder).map((name) => join(usersFolder, name))
  const dead = files.filter((file) => !isUsed(file))
  for (const file of dead) rmSync(file, { force: true })
  return files.length - dead.length
}

function isUsed(file: string): boolean {
  const user = readIdentity(file)
  return user !== undefined && isAlive(user)
}
