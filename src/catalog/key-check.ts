import { TenantryError } from '../kernel/errors.ts'
import { type Keyring, printableId } from '../kernel/keyring.ts'
import { Secret } from '../kernel/secret.ts'
import type { Session } from '../server/port.ts'

/**
 * The key check: a constant that the catalog keeps sealed under the key of its passwords. A process compares its keys with
 * it when it opens, so that none ever seals a password under a key that the others do not have.
 */
const constant = new Secret('tenantry')
/** No role has a name with a space in it that is made by us, so no password is taken for the check. */
const purpose = 'key check'

/** @throws `credentials-unreadable` when the check was sealed with none of these keys */
export function verifyKeys(keys: Keyring, check: string, database: string): void {
  try {
    keys.open(check, purpose)
  } catch (cause) {
    throw otherKeyError(keys, printableId(check.split('.')[0] ?? ''), database, cause)
  }
}

/**
 * Makes a process's key that of a catalog which has no check yet. Of several processes with different keys one wins.
 *
 * @throws `credentials-unreadable` when another key won, or most of the passwords in the catalog are sealed with another:
 *   a catalog from before there was a check may have some
 */
export async function claimKeyCheck(session: Session, keys: Keyring): Promise<void> {
  const { rows } = await session.transaction(
    () =>
      session.query<{ check: string | null; used: string | null }>(claimSql, [keys.seal(constant, purpose), keys.ids]),
    { durable: true },
  )
  const { check = null, used = null } = rows[0] ?? {}
  if (check === null) throw otherKeyError(keys, printableId(used ?? ''), session.database)
  verifyKeys(keys, check, session.database)
}

const claimSql = `
  update tenantry.installation i
  set key_check = coalesce(i.key_check, case when u.key is null or u.key = any($2::text[]) then $1 end)
  from (select (select split_part(sealed, '.', 1) from tenantry.credential group by 1 order by count(*) desc limit 1) as key) u
  returning i.key_check as check, u.key as used`

/** Makes the first of these keys the required key of every process, in place of any earlier one. */
export async function replaceKeyCheck(session: Session, keys: Keyring): Promise<void> {
  const replace = () => session.query('update tenantry.installation set key_check = $1', [keys.seal(constant, purpose)])
  await session.transaction(replace, { durable: true })
}

function otherKeyError(keys: Keyring, key: string, database: string, cause?: unknown): TenantryError {
  const message = `The passwords in the catalog ${database} are encrypted with the key ${key}; this process has the key ${keys.id}.`
  return new TenantryError('credentials-unreadable', message, {
    cause,
    hint: 'Give this process the key that the others have, as credentials.key or TENANTRY_CREDENTIALS_KEY. If that key is lost: tenantry rotate-credentials --all --key-lost.',
  })
}
