import { throwIfAborted } from '../kernel/abort.ts'
import { functionOption, readOptions } from '../kernel/options.ts'
import { type ConnectionPool, type PooledConnection, queryOnce } from '../server/connection-pool.ts'
import type { HandleFactory } from './port.ts'

/**
 * Makes the handles of a library that takes a `pg` pool, and holds nothing that has to be freed. All units of work of a
 * tenant share one handle, but for those with a signal.
 *
 * @param toHandle makes a handle on a tenant's connections
 * @throws `invalid-option`
 */
export function handlesOver<Handle>(toHandle: (pool: ConnectionPool) => Handle): HandleFactory<Handle> {
  readOptions('The argument of handlesOver()', functionOption(), toHandle)
  return {
    open: async (pool) => {
      const shared = toHandle(pool)
      return {
        handle: (signal) => (signal === undefined ? shared : toHandle(cancelledBy(signal, pool))),
        finish: () => undefined,
      }
    },
  }
}

/** Returns the connections of a pool such that an abort of the signal cancels the statements that they run. */
export function cancelledBy(signal: AbortSignal, pool: ConnectionPool): ConnectionPool {
  const connect = async () => {
    throwIfAborted(signal)
    const connection = cancellableConnection(await pool.connect(), pool, () => signal)
    if (signal.aborted) connection.release()
    throwIfAborted(signal)
    return connection
  }
  return {
    options: pool.options,
    cancel: (processID, what) => pool.cancel(processID, what),
    connect,
    query: (query, values) => queryOnce(connect(), query, values),
    end: () => pool.end(),
  }
}

/**
 * Returns a connection of a pool such that an abort cancels the statement that it runs.
 *
 * @param signalOf returns the signal of a statement, when it begins
 */
export function cancellableConnection(
  connection: PooledConnection,
  pool: ConnectionPool,
  signalOf: () => AbortSignal | undefined,
): PooledConnection {
  let cancelling: Promise<void> | undefined
  const cancel = () => {
    if (connection.processID === undefined) return
    // A statement that cannot be cancelled continues to its own end.
    cancelling = pool.cancel(connection.processID, 'statement').catch(() => undefined)
  }
  return {
    origin: connection.origin ?? connection,
    processID: connection.processID,
    getTypeParser: (oid, format) => connection.getTypeParser(oid, format),
    release: (destroy) => {
      // Otherwise it could cancel a statement of the next user.
      if (cancelling === undefined) connection.release(destroy)
      else void cancelling.then(() => connection.release(destroy))
    },
    query: (query, values) => {
      const signal = signalOf()
      const running = connection.query(query, values)
      // A cursor has ends of its own.
      if (signal === undefined || !(running instanceof Promise)) return running
      signal.addEventListener('abort', cancel, { once: true })
      return running.finally(() => signal.removeEventListener('abort', cancel))
    },
  }
}
