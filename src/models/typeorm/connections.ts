import type { PooledConnection } from '../../server/port.ts'

/** The part of a connection that is used. */
export type UsedConnection = Pick<PooledConnection, 'query' | 'release'>

type Connected = (error?: unknown, client?: object, release?: (error?: Error) => void) => void

const nothing = () => undefined

/** A pool as TypeORM takes it, on connections that are not its own to end. */
export class TypeOrmPool {
  readonly #connect: () => Promise<UsedConnection>

  constructor(connect: () => Promise<UsedConnection>) {
    this.#connect = connect
  }

  connect(done: Connected): void {
    void this.#lease(done)
  }

  on(): void {}

  end(done: () => void): void {
    done()
  }

  async #lease(done: Connected): Promise<void> {
    let connection: UsedConnection
    try {
      connection = await this.#connect()
    } catch (error) {
      done(error)
      return
    }
    const query = (text: unknown, values?: unknown) => connection.query(text, values)
    // TypeORM listens for errors of a connection that it has, and its next query fails anyway.
    const client = { query, on: nothing, removeListener: nothing }
    done(undefined, client, (error) => connection.release(error))
  }
}
