import { TenantryError } from '../kernel/errors.ts'
import { refuseUnknownOptions } from '../kernel/options.ts'
import { show } from '../kernel/printable.ts'
import { checkMetadata, refuseUnstorable } from '../kernel/storable.ts'
import type { VerbOptions } from './context.ts'

/** What is said of a new tenant. */
export interface NewTenantOptions extends VerbOptions {
  /** For people; any text. */
  readonly displayName?: string
  /** The service's own notes on the tenant, as JSON; at most 64 KB, and 100 levels deep. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

/** Options of `onboard`. */
export interface OnboardOptions extends NewTenantOptions {
  /** The name of the server to place it on. Default: the open one with the fewest tenants. */
  readonly server?: string
  /** Whether an id that exists is an outcome or the error `tenant-exists`. Default `accept`. */
  readonly existing?: 'accept' | 'refuse'
}

const actorLength = 200

/**
 * Checks everything about a new tenant before anything is touched.
 *
 * @param servers the names of the servers of this process
 * @param others the options that the verb has besides
 * @throws `invalid-option`, `no-open-server`
 */
export function checkNewTenant(
  verb: string,
  options: NewTenantOptions & { readonly server?: string; readonly existing?: string },
  servers: readonly string[],
  others: readonly string[],
) {
  checkVerbOptions(verb, options, ['displayName', 'metadata', ...others])
  const { displayName, metadata: given = {}, server, existing } = options
  if (displayName !== undefined) refuseUnstorable('displayName', displayName)
  const metadata = checkMetadata(given)
  if (existing !== undefined && existing !== 'accept' && existing !== 'refuse') {
    throw new TenantryError('invalid-option', 'existing must be "accept" or "refuse".', {
      hint: 'Leave it out to accept an id that exists.',
    })
  }
  if (server !== undefined && !servers.includes(server)) {
    throw new TenantryError('no-open-server', `There is no server ${show(server)} in this process.`, {
      hint: `It has ${servers.join(', ')}.`,
    })
  }
  return { displayName, metadata, servers: server === undefined ? servers : [server] }
}

/** Checks the options that every verb has, and that it has no others than these. @throws `invalid-option` */
export function checkVerbOptions(verb: string, options: VerbOptions, others: readonly string[] = []): void {
  refuseUnknownOptions(verb, options, [...others, 'actor', 'signal'])
  const { actor } = options
  if (actor === undefined) return
  refuseUnstorable('actor', actor)
  if (actor.length <= actorLength) return
  throw new TenantryError('invalid-option', `actor must have at most ${actorLength} characters.`, {
    hint: 'A name or an id is enough; keep the rest in a log of your own.',
  })
}
