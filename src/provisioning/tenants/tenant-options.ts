import * as v from 'valibot'
import { TenantryError } from '../../kernel/errors.ts'
import { cancellable, must, oneOf, type Schemas } from '../../kernel/options.ts'
import { show } from '../../kernel/printable.ts'
import { storableMetadata, storableText } from '../../kernel/storable.ts'
import type { VerbOptions } from '../context.ts'

/** The properties of a new tenant. */
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
  /** Treats an existing id as an outcome, or as the error `tenant-exists`. Default `allow`. */
  readonly existing?: 'allow' | 'refuse'
}

const actorLength = 200

const actor = v.pipe(
  storableText,
  v.maxLength(
    actorLength,
    must(`text of at most ${actorLength} characters`, 'A name or an id is enough; keep the rest in a log of your own.'),
  ),
)

/** The options of every verb. */
export const verbSchemas = { actor, ...cancellable } satisfies Schemas<VerbOptions>

/** The properties of a new tenant. */
export const newTenantSchemas = {
  displayName: storableText,
  metadata: storableMetadata,
  ...verbSchemas,
} satisfies Schemas<NewTenantOptions>

/** The option `existing`. */
export const existing = oneOf(['allow', 'refuse'], 'Leave it out to allow an id that exists.')

/**
 * Adds the defaults to the properties of a new tenant.
 *
 * @param servers the names of the servers of this process
 * @throws `server-unknown`
 */
export function placeNewTenant(
  { displayName, metadata = {}, server }: NewTenantOptions & { readonly server?: string },
  servers: readonly string[],
) {
  if (server !== undefined && !servers.includes(server)) {
    throw new TenantryError('server-unknown', `There is no server ${show(server)} in the configuration.`, {
      hint: `It has ${servers.join(', ')}.`,
    })
  }
  return { displayName, metadata, servers: server === undefined ? servers : [server] }
}
