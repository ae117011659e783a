import { AsyncLocalStorage } from 'node:async_hooks'
import type { TenantId } from '../kernel/names.ts'
import { functionOption, readOptions } from '../kernel/options.ts'
import type { CapturedTenant, Tenantry } from '../api.ts'

/** The methods of a Tenantry that the integrations need. */
export type Entrance<Handle> = Pick<Tenantry<Handle>, 'run' | 'with' | 'captureTenant'>

/** The tenant of a request. */
export interface RequestTenant<Handle> {
  readonly id: TenantId
  /** Aborted when the client disconnects before it has its response. */
  readonly signal: AbortSignal
  /**
   * Returns the ORM's own handle on the tenant's database: one unit of work for the whole request, made at the first
   * call. Its queries are cancelled when the client disconnects. A transaction that is open when the request ends is
   * rolled back.
   *
   * @throws `tenant-unknown`, `tenant-not-active`, `aborted`
   */
  handle(): Promise<Handle>
  /** Runs `work` in the tenant's context: for a callback that has lost it. */
  run<T>(work: () => T): T
}

/** The tenant of a request, for the integration, which knows when the request ends. */
export interface EnteredTenant<Handle> extends RequestTenant<Handle> {
  /** Ends the unit of work, if one was begun. May be called again. */
  end(): Promise<void>
}

/** Enters the tenant's context. @throws `tenant-unknown`, `tenant-not-active`, `tenant-conflict`, `aborted` */
export async function enterTenant<Handle>(
  tenantry: Entrance<Handle>,
  tenant: CapturedTenant,
  signal: AbortSignal,
): Promise<EnteredTenant<Handle>> {
  const [run, captured] = await tenantry.run(
    tenant,
    () => [AsyncLocalStorage.snapshot(), tenantry.captureTenant()] as const,
    { signal },
  )
  const over = Promise.withResolvers<void>()
  let handle: Promise<Handle> | undefined
  let unitOfWork: Promise<void> | undefined
  const begin = () => {
    const given = Promise.withResolvers<Handle>()
    const hold = (own: Handle) => {
      given.resolve(own)
      return over.promise
    }
    // Rejects the handle for an error before it exists; later errors are ignored here.
    unitOfWork = run(() => tenantry.with(captured, hold, { signal })).catch(given.reject)
    return given.promise
  }
  return {
    id: captured.tenant,
    signal,
    run: (work) => {
      readOptions('work', functionOption(), work)
      return run(work)
    },
    handle: () => (handle ??= begin()),
    end: async () => {
      over.resolve()
      await unitOfWork
    },
  }
}
