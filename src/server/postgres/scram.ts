import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { Secret } from '../../kernel/secret.ts'

const derive = promisify(pbkdf2)
/** The least that RFC 7677 allows, and PostgreSQL's own default. */
const iterations = 4096
const keyBytes = 32
const saltBytes = 16

/** The verifiers of passwords that were set: setting one again, against a role that changes itself, takes no time. */
const known = new WeakMap<Secret, Promise<string>>()

/**
 * Returns the SCRAM verifier of a password, as PostgreSQL keeps it (pg_authid.rolpassword). It is sent in place of the
 * password, so that no log, no view of running statements and no extension ever sees it.
 * https://www.postgresql.org/docs/current/catalog-pg-authid.html; StoredKey and ServerKey are those of RFC 5802,
 * section 3. The password has to be ASCII, which SASLprep does not change.
 */
export function scramVerifier(password: Secret): Promise<string> {
  const verifier = known.get(password) ?? deriveVerifier(password)
  known.set(password, verifier)
  return verifier
}

async function deriveVerifier(password: Secret): Promise<string> {
  const salt = randomBytes(saltBytes)
  const salted = await derive(password.reveal(), salt, iterations, keyBytes, 'sha256')
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest()
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64')
  const serverKey = hmac('Server Key').toString('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`
}
