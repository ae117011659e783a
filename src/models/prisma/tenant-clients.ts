import type { PrismaPg } from '@prisma/adapter-pg'
import { abortedError, throwIfAborted } from '../../kernel/abort.ts'
import { TenantryError } from '../../kernel/errors.ts'
import { hasMethods } from '../../kernel/options.ts'
import { RecentlyUsed } from '../../kernel/recently-used.ts'
import type { ConnectionPool } from '../../server/port.ts'
import type { HandleFactory } from '../port.ts'
import { querySignal, TenantAdapter } from './tenant-adapter.ts'

/** The part of a generated PrismaClient, extended or not, that Tenantry uses. */
export interface GeneratedClient {
  readonly $extends: unknown
  $disconnect(): Promise<void>
}

/**
 * Makes a client for each tenant: one for several would put reads of different tenants into one statement.
 *
 * @param kept the number of tenants whose client is kept. Others are made again for their next unit of work
 */
export function tenantClients<Client extends GeneratedClient>(
  make: (adapter: PrismaPg) => Client,
  kept: number,
): HandleFactory<Client> {
  // A client that is forgotten here works on for the units of work that have it, and needs no end.
  const clients = new RecentlyUsed<ConnectionPool, Client>(kept)
  const clientOn = (pool: ConnectionPool) => {
    const known = clients.get(pool)
    if (known !== undefined) return known
    const client = make(new TenantAdapter(pool))
    if (!hasMethods(client, '$extends', '$disconnect')) throw noClientError()
    clients.set(pool, client)
    return client
  }
  return {
    open: async (pool) => {
      clientOn(pool)
      return {
        handle: (signal) => (signal === undefined ? clientOn(pool) : endedBy(signal, clientOn(pool))),
        finish: () => undefined,
        close: async () => {
          const client = clients.peek(pool)
          clients.delete(pool)
          await client?.$disconnect()
        },
      }
    },
  }
}

/** One query of a client, as Prisma's extensions get it. */
interface ExtendedQuery {
  readonly operation: string
  readonly args: unknown
  readonly query: (args: unknown) => Promise<unknown>
}

type Extend = (extension: { query: { $allOperations: (it: ExtendedQuery) => Promise<unknown> } }) => unknown

/** Prisma puts these of several units of work into one statement, which the signal of one must not end. */
const batched: ReadonlySet<string> = new Set(['findUnique', 'findUniqueOrThrow'])

/** Returns a client whose queries an abort of the signal ends. */
function endedBy<Client extends GeneratedClient>(signal: AbortSignal, client: Client): Client {
  const $allOperations = async ({ operation, args, query }: ExtendedQuery) => {
    throwIfAborted(signal)
    try {
      // Awaited inside: a query of Prisma begins when it is.
      return await querySignal.run(batched.has(operation) ? undefined : signal, async () => await query(args))
    } catch (error) {
      throw signal.aborted ? abortedError(signal) : error
    }
  }
  return (client.$extends as Extend)({ query: { $allOperations } }) as Client
}

function noClientError(): TenantryError {
  return new TenantryError('models-invalid', 'The `client` of prisma() returned no PrismaClient.', {
    hint: 'Write client: (adapter) => new PrismaClient({ adapter }).',
  })
}
