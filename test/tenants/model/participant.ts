import type { EntityManager } from '@mikro-orm/postgresql'
import { type AuditEntry, openTenantry, type Tenant, type Tenantry, TenantryError } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import type { AuditView, Call, Request, Result, TenantView } from './calls.ts'
import { models, Note } from './note.ts'

/** The options with which a process opens its Tenantry. */
export interface Opening {
  readonly installation: string
  readonly url: string
  /** The names of the servers; behind all of them is the one that the tests have. */
  readonly servers: readonly string[]
}

/** The result of a call, with its parts for people. */
export interface Answer {
  readonly result: Result
  readonly detail: string
}

/** One process that takes part: it has its own Tenantry, and carries out its orders with it. */
export class Participant {
  #opening: Opening | undefined
  #tenantry: Tenantry<EntityManager> | undefined

  async open(opening: Opening): Promise<void> {
    const { installation, url, servers } = opening
    this.#opening = opening
    this.#tenantry = await openTenantry({
      models,
      installation,
      servers: servers.map((name) => postgres({ name, url, maxConnections: 4 })),
      limits: {
        // Work in these tests takes moments, and a wait for the release of a tenant must end.
        drainMs: 5_000,
      },
      hooks: {
        initialise: (_, { metadata }) => {
          if (metadata['broken'] === true) throw new Error('It is broken.')
        },
      },
    })
  }

  async perform({ call, label }: Request): Promise<Answer> {
    try {
      return { result: await this.#call(call, label), detail: '' }
    } catch (error) {
      const code = error instanceof TenantryError ? error.code : 'unexpected'
      return { result: { code }, detail: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
  }

  async close(): Promise<void> {
    await this.#tenantry?.close()
    this.#tenantry = undefined
  }

  async #call(call: Call, actor: string): Promise<Result> {
    const tenantry = this.#tenantry as Tenantry<EntityManager>
    switch (call.verb) {
      case 'onboard': {
        const { verb, id, ...options } = call
        return this.#outcome(await tenantry.onboard(id, { ...options, actor }))
      }
      case 'clone': {
        const { verb, id, source, breaks, ...options } = call
        const anonymise = () => {
          if (breaks === true) throw new Error('It is to fail.')
        }
        return this.#outcome(await tenantry.tenants.clone(source, id, { ...options, actor, anonymise }))
      }
      case 'adopt': {
        const { verb, id, database, ...options } = call
        return this.#outcome(await tenantry.tenants.adopt(id, { ...options, actor, database: this.#full(database) }))
      }
      case 'update': {
        const { verb, id, ...options } = call
        return this.#outcome(await tenantry.tenants.update(id, { ...options, actor }))
      }
      case 'offboard': {
        const { verb, id, ...options } = call
        return this.#outcome(await tenantry.tenants.offboard(id, { ...options, actor }))
      }
      case 'suspend':
      case 'resume':
      case 'restore':
        return this.#outcome(await tenantry.tenants[call.verb](call.id, { actor }))
      case 'purge':
        return tenantry.tenants.purge(call.id, { actor })
      case 'purgeExpired': {
        const { purged, failed } = await tenantry.tenants.purgeExpired({ actor })
        const failures = failed.map(({ tenant, error }) => `${tenant}: ${error.code}`)
        return { purged: purged.toSorted(), failed: failures.toSorted() }
      }
      case 'read': {
        const notes = await tenantry.with(call.id, (em) => em.find(Note, {}))
        return { rows: notes.map(({ text }) => text).toSorted() }
      }
      case 'write':
        await tenantry.with(call.id, async (em) => {
          em.create(Note, { text: actor })
          await em.flush()
        })
        return { outcome: 'written' }
      case 'run':
        return { outcome: await tenantry.run(call.id, () => 'ran') }
      case 'get': {
        const tenant = await tenantry.tenants.get(call.id)
        return { tenants: tenant === undefined ? [] : [this.#view(tenant)] }
      }
      case 'list': {
        const { verb, ...options } = call
        return { tenants: (await tenantry.tenants.list(options)).map((tenant) => this.#view(tenant)) }
      }
      case 'history':
        return { entries: (await tenantry.tenants.history(call.id, { limit: 1_000 })).filter(isDone).map(auditView) }
    }
  }

  #outcome({ outcome, tenant }: { readonly outcome: string; readonly tenant: Tenant }): Result {
    return { outcome, tenant: this.#view(tenant) }
  }

  #view(tenant: Tenant): TenantView {
    const { id, state, stateSince, displayName = null, metadata, server, activatedAt, purgeAfter } = tenant
    const retentionDays =
      purgeAfter === undefined ? null : Math.round((purgeAfter.getTime() - stateSince.getTime()) / 86_400_000)
    const database = tenant.database.replace(this.#full(''), '')
    return { id, state, displayName, metadata, server, database, activated: activatedAt !== undefined, retentionDays }
  }

  #full(database: string): string {
    return `${this.#opening?.installation}${database}`
  }
}

/** The model knows the changes alone. */
function isDone({ outcome }: AuditEntry): boolean {
  return outcome === 'done'
}

function auditView({ verb, from, to, actor }: AuditEntry): AuditView {
  return { verb, from: from ?? null, to: to ?? null, actor: actor ?? null }
}
