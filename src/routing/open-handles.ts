import type { TenantHandles } from '../models/port.ts'

/** The handles of one tenant. They are closed once they are dropped and their last unit of work has ended. */
export class OpenHandles<Handle> {
  readonly #handles: TenantHandles<Handle>
  #underWay = 0
  #dropped: PromiseWithResolvers<void> | undefined
  #mayClose = false

  constructor(handles: TenantHandles<Handle>) {
    this.#handles = handles
  }

  /** Begins a unit of work, to be ended by {@link finish}. */
  begin(signal: AbortSignal | undefined): Handle {
    const handle = this.#handles.handle(signal)
    this.#underWay++
    return handle
  }

  finish(handle: Handle): void | Promise<void> {
    const finishing = this.#handles.finish(handle)
    if (finishing !== undefined) return finishing.finally(() => this.#leave())
    this.#leave()
  }

  /** Gives the handles up. @returns once they are closed */
  async drop(): Promise<void> {
    if (this.#dropped !== undefined) return this.#dropped.promise
    this.#dropped = Promise.withResolvers()
    // Work that has received them already begins before that.
    setImmediate(() => {
      this.#mayClose = true
      this.#closeIfUnused()
    })
    return this.#dropped.promise
  }

  #leave(): void {
    this.#underWay--
    if (this.#mayClose) this.#closeIfUnused()
  }

  #closeIfUnused(): void {
    if (this.#underWay === 0) void this.#close().catch(warn).then(this.#dropped?.resolve)
  }

  async #close(): Promise<void> {
    await this.#handles.close?.()
  }
}

/** The work that used the handles is over, so that no call is left to fail. */
function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error))
}
