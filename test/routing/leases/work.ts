import type { EntityManager } from '@mikro-orm/postgresql'
import type { Random } from '../../faults/random.ts'
import type { Handle } from './tenants.ts'
import { foreign, type Identity, isUsed, look, namedStatement, type Seen, traces } from './traces.ts'

type Work = (handle: Handle, tenant: Identity) => Promise<void>
type Ask = (sql: string) => Promise<readonly unknown[]>

/** An error that is thrown on purpose. */
class Planned extends Error {}

/** True if an error was planned: our own, or of a statement or a session that was ended on purpose. */
export function isPlanned(error: unknown): boolean {
  if (error instanceof Planned) return true
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  // division_by_zero, in_failed_sql_transaction, admin_shutdown
  return ['22012', '25P02', '57P01'].includes(String(code)) || (cause instanceof Error && isPlanned(cause))
}

/** Works on leases, leaves traces in each session, and counts its findings. */
export class Lessee {
  looks = 0
  used = 0
  cancelled = 0
  failed = 0
  readonly violations: string[] = []
  /** A handle that outlived its unit of work, by its tenant. */
  #kept: { readonly handle: Handle; readonly id: string } | undefined

  choose(random: Random, isCancelled: boolean): Work {
    // Only a query of the unit of work can be cancelled.
    if (isCancelled) return random.pick([this.#slow, this.#inTransaction(random), this.#eachAlone(random)])
    return random.pick([
      this.#onConnection(random),
      this.#onConnection(random),
      this.#actingAsGroup,
      this.#leavingTransaction(random),
      this.#failing(random),
      this.#endingSession,
      this.#inTransaction(random),
      this.#begunOnly(random),
      this.#eachAlone(random),
    ])
  }

  /** A kept handle still reaches its own tenant. */
  async afterwards(random: Random, tenant: Identity): Promise<void> {
    const kept = this.#kept
    if (kept?.id !== tenant.id || random.below(4) > 0) return
    this.#kept = undefined
    await this.#look(tenant, async (sql) => ((await kept.handle.pool.query(sql)) as { rows: unknown[] }).rows)
  }

  /** Returns work on a lease held for several statements, whose traces stay in the session. */
  #onConnection(random: Random): Work {
    return ({ pool, em }, tenant) =>
      this.#leased({ pool, em }, tenant, async (ask) => {
        for (const trace of this.#some(random, tenant)) await ask(trace)
        if (random.below(3) === 0) this.#kept = { handle: { pool, em }, id: tenant.id }
      })
  }

  /** Its session stays so, and the next work in the same session sees it, and ends that. */
  readonly #actingAsGroup: Work = (handle, tenant) =>
    this.#leased(handle, tenant, async (ask) => {
      await ask(traces(tenant).role)
    })

  /** Given back with a transaction open, which may have failed. */
  #leavingTransaction(random: Random): Work {
    return (handle, tenant) =>
      this.#leased(handle, tenant, async (ask) => {
        await ask('begin')
        for (const trace of [...this.#some(random, tenant), traces(tenant).localRole]) await ask(trace)
        if (random.below(2) === 0) await ask('select 1 / 0')
      })
  }

  #failing(random: Random): Work {
    return (handle, tenant) =>
      this.#leased(handle, tenant, async (ask) => {
        for (const trace of this.#some(random, tenant)) await ask(trace)
        throw new Planned('as it was meant to')
      })
  }

  readonly #endingSession: Work = (handle, tenant) =>
    this.#leased(handle, tenant, async (ask) => {
      await ask(traces(tenant).setting)
      await ask('select pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())')
    })

  #inTransaction(random: Random): Work {
    return ({ em }, tenant) =>
      em.transactional(async (inside) => {
        await this.#look(tenant, asking(inside))
        for (const trace of this.#some(random, tenant)) await inside.execute(trace)
        if (random.below(3) === 0) throw new Planned('to be rolled back')
      })
  }

  #begunOnly(random: Random): Work {
    return async ({ em }, tenant) => {
      await em.begin()
      await this.#look(tenant, asking(em))
      for (const trace of [...this.#some(random, tenant), traces(tenant).localRole]) await em.execute(trace)
    }
  }

  /** Every statement a lease of its own. */
  #eachAlone(random: Random): Work {
    return async ({ em }, tenant) => {
      const { setting, path, channel, lock } = traces(tenant)
      // Any of its sessions, as which role soever: no temporary table, which the group may not make.
      for (const trace of [setting, path, channel, lock].slice(random.below(4))) await em.execute(trace)
      await this.#look(tenant, asking(em))
    }
  }

  readonly #slow: Work = async ({ em }, tenant) => {
    await this.#look(tenant, asking(em))
    await em.execute(traces(tenant).setting)
    await em.execute('select pg_catalog.pg_sleep(0.03)')
  }

  async #leased({ pool }: Handle, tenant: Identity, work: (ask: Ask) => Promise<void>): Promise<void> {
    const connection = await pool.connect()
    const ask: Ask = async (sql) => ((await connection.query(sql)) as { rows: unknown[] }).rows
    try {
      await this.#look(tenant, ask)
      // The driver refuses a name that a connection knows with another text.
      await connection.query({ name: namedStatement, text: `select ${tenant.number}` })
      await work(ask)
    } finally {
      connection.release()
    }
  }

  async #look(tenant: Identity, ask: Ask): Promise<void> {
    const [seen] = (await ask(look)) as readonly [Seen]
    // The group may not make temporary tables.
    if (seen.acting !== '') await ask("set app.acting = ''; reset role")
    this.looks++
    if (isUsed(seen)) this.used++
    this.violations.push(...foreign(tenant, seen))
  }

  #some(random: Random, tenant: Identity): string[] {
    const { setting, path, table, channel, lock } = traces(tenant)
    return random.shuffled([setting, path, table, channel, lock]).slice(0, random.below(4))
  }
}

function asking(em: EntityManager): Ask {
  return (sql) => em.execute<unknown[]>(sql)
}
