import type { Capability } from '../../diagnosis.ts'

/** The capabilities in words, in the order in which they are shown. */
export const capabilityWords: Readonly<Record<Capability, string>> = {
  createDatabase: 'create a database',
  commentOnDatabase: 'write a comment on it',
  cloneClosedDatabase: 'copy one that is closed to connections',
  renameInTransaction: 'rename one in a transaction',
  openDatabase: 'open it to connections',
  dropDatabase: 'drop it, with its sessions',
  advisoryLocks: 'hold a lock against another session',
  notifications: 'notify another session',
  trustedExtension: 'create a trusted extension',
  createRole: 'create roles',
  joinRoles: 'join them, with their privileges',
  createLogin: 'create a login with a SCRAM verifier',
  createForOwner: 'create a database for another owner',
  changeOwner: 'give a database to another owner',
  revokePublicAccess: 'take CONNECT from PUBLIC',
  createAsRole: 'create tables as another role',
  createModels: 'create the tables of the models',
  logIn: 'log in as that login',
  endSessions: 'end its session',
  endSessionsAsMember: 'end its session by acting as it',
  disableLogin: 'lock that login out',
  dropRole: 'drop roles',
}
