import type { Identifier } from '../../kernel/names.ts'
import type { Listeners, Membership } from '../coordination.ts'
import type { QueryResult, Session } from '../session.ts'
import { openListener, type SessionSource } from './session.ts'

const channel = 'tenantry'
/** The key of the lock that every present process shares. */
const presenceKey = `pg_catalog.hashtextextended('tenantry:presence', 0)`

/** Becomes one of the processes that share a database; see `Coordination.join`. */
export async function joinProcesses(
  source: SessionSource,
  database: Identifier,
  listeners: Listeners,
): Promise<Membership> {
  const session = await openListener(source, database, channel, listeners)
  try {
    const { rows } = await session.query<{ pid: number }>(
      `select pg_backend_pid() as pid, pg_advisory_lock_shared(${presenceKey})`,
    )
    return new ListeningSession(session, rows[0]?.pid ?? 0)
  } catch (error) {
    await session.close()
    throw error
  }
}

/**
 * A session that listens. A published number is the second half of the key of an advisory lock; the first half is the
 * topic's. Others see it in pg_locks.
 */
class ListeningSession implements Membership {
  readonly processId: number
  readonly session: Pick<Session, 'query'> = {
    query: (sql, params) => this.#inTurn(() => this.#session.query(sql, params)),
  }
  readonly #session: Session
  #last: Promise<unknown> = Promise.resolve()

  constructor(session: Session, processId: number) {
    this.#session = session
    this.processId = processId
  }

  async send(text: string): Promise<void> {
    await this.session.query('select pg_notify($1, $2)', [channel, text])
  }

  async present(): Promise<readonly number[]> {
    const { rows } = await this.#locks<{ pid: number }>(
      `pid`,
      `objsubid = 1 and mode = 'ShareLock' and (classid::bigint << 32 | objid::bigint) = ${presenceKey}`,
    )
    return rows.map(({ pid }) => pid)
  }

  async publish(topic: string, value: number): Promise<void> {
    await this.session.query('select pg_advisory_lock_shared(hashtext($1), $2)', [`tenantry:${topic}`, value | 0])
  }

  async withdraw(topic: string, value: number): Promise<void> {
    await this.session.query('select pg_advisory_unlock_shared(hashtext($1), $2)', [`tenantry:${topic}`, value | 0])
  }

  async published(topic: string): Promise<readonly number[]> {
    const condition = 'objsubid = 2 and classid = hashtext($1)::oid'
    const { rows } = await this.#locks<{ key: string }>('objid::text as key', condition, [`tenantry:${topic}`])
    return rows.map(({ key }) => Number(key))
  }

  tryLock(name: string): Promise<boolean> {
    return this.#inTurn(() => this.#session.tryLock(name, 'exclusive'))
  }

  unlock(name: string): Promise<void> {
    return this.#inTurn(() => this.#session.unlock(name, 'exclusive'))
  }

  end(): Promise<void> {
    return this.#session.close()
  }

  #locks<Row extends object>(
    columns: string,
    condition: string,
    params?: readonly string[],
  ): Promise<QueryResult<Row>> {
    return this.session.query<Row>(
      `select ${columns} from pg_catalog.pg_locks
       where locktype = 'advisory' and granted and ${condition}
         and database = (select oid from pg_catalog.pg_database where datname = current_database())`,
      params,
    )
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const next = this.#last.then(step)
    this.#last = next.catch(() => undefined)
    return next
  }
}
