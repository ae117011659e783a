import { type ErrorCode, TenantryError } from '../../../kernel/errors.ts'
import { type Capabilities, type Capability, untried } from '../../diagnosis.ts'

/** The server's message about a failed trial. */
export interface Refusal {
  readonly capability: Capability
  readonly message: string
  readonly sqlState: string | undefined
}

/** Errors that are no result of a trial: the probe itself cannot continue. */
const interruptions: ReadonlySet<ErrorCode> = new Set([
  'aborted',
  'closed',
  'connection-lost',
  'server-unreachable',
  'timeout',
  'too-many-connections',
  'unknown-host',
])

/** Records the trials and their results. */
export class Attempts {
  #capabilities = untried
  readonly #refusals: Refusal[] = []

  get capabilities(): Capabilities {
    return this.#capabilities
  }

  get refusals(): readonly Refusal[] {
    return this.#refusals
  }

  /**
   * Tries a capability. It fails if it is refused, or has no effect (`work` returns false).
   *
   * @throws the errors that keep the probe from continuing
   */
  async try(capability: Capability, work: () => Promise<unknown>): Promise<boolean> {
    const refusal = await refusalOf(work)
    this.#capabilities = { ...this.#capabilities, [capability]: refusal === undefined }
    if (refusal !== undefined) this.#refusals.push({ capability, ...refusal })
    return refusal === undefined
  }
}

/** Returns the reason of a refusal; undefined if it worked. @throws the errors that keep the probe from continuing */
export async function refusalOf(work: () => Promise<unknown>): Promise<Omit<Refusal, 'capability'> | undefined> {
  try {
    if ((await work()) !== false) return undefined
    return { message: 'the server did not refuse it, but it had no effect', sqlState: undefined }
  } catch (error) {
    if (!(error instanceof TenantryError) || interruptions.has(error.code)) throw error
    const message = error.cause instanceof Error ? error.cause.message : error.message
    return { message, sqlState: error.sqlState }
  }
}
