import type { Identifier } from '../../kernel/names.ts'
import { doBlock, quoteIdentifier as quote } from './quoting.ts'

/** Returns a statement that revokes PUBLIC's privileges on a database. */
export function revokeFromPublic(database: Identifier): string {
  return doBlock(despiteGrants(`revoke all on database ${quote(database)} from public`))
}

/** Returns a statement that lets the role that owns the objects in a database create schemas there. */
export function grantCreate(database: Identifier, objects: Identifier): string {
  return doBlock(despiteGrants(`grant create, temporary on database ${quote(database)} to ${quote(objects)}`))
}

/** Returns statements of PL/pgSQL that let a role connect to a database. */
export function grantConnect(database: Identifier, user: Identifier): string {
  return despiteGrants(`grant connect, temporary on database ${quote(database)} to ${quote(user)}`)
}

/** Returns statements of PL/pgSQL after which a role cannot connect to a database. */
export function revokeConnect(database: Identifier, user: Identifier): string {
  return despiteGrants(`revoke connect on database ${quote(database)} from ${quote(user)}`)
}

/** The number of attempts to change a row that other sessions change at the same moment. */
const raceAttempts = 100

/**
 * Returns statements of PL/pgSQL that change the privileges on a database. Each role with any privilege on it, also through
 * PUBLIC, may rewrite the database's row, again and again (a GRANT by a role without GRANT OPTION warns, and still writes),
 * and PostgreSQL fails the change each time ("tuple concurrently updated"). The attempts are made on the server: one from
 * here comes too late.
 */
function despiteGrants(change: string): string {
  return `for attempt in 1..${raceAttempts} loop
    begin
      ${change};
      exit;
    exception when internal_error then
      if attempt = ${raceAttempts} or sqlerrm not like 'tuple concurrently %' then raise; end if;
    end;
  end loop;`
}
