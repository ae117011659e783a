import { TenantryError } from '../kernel/errors.ts'

/** The abilities of a kind of server. */
export interface ServerCapabilities {
  /** Changes of databases and roles can be parts of one transaction, together with changes of rows. */
  readonly transactionalChanges: boolean
  /** A database can be made as a copy of another one. */
  readonly copies: boolean
  readonly renames: boolean
  /** Roles can log in to one database alone. */
  readonly logins: boolean
}

const words: Readonly<Record<keyof ServerCapabilities, string>> = {
  transactionalChanges: 'change databases and rows in one transaction',
  copies: 'copy a database',
  renames: 'rename a database',
  logins: 'give each tenant a role of its own',
}

/** @throws `invalid-option` if a server lacks one of these abilities */
export function requireCapabilities(
  { name, capabilities }: { readonly name: string; readonly capabilities: ServerCapabilities },
  ...wanted: readonly (keyof ServerCapabilities)[]
): void {
  const lacking = wanted.filter((it) => !capabilities[it])
  if (lacking.length === 0) return
  const list = lacking.map((it) => words[it]).join(', ')
  throw new TenantryError('invalid-option', `The server ${name} cannot be used here: it cannot ${list}.`, {
    hint: lacking.every((it) => it === 'logins') ? "Set roles: 'shared'." : 'Configure another kind of server.',
  })
}
