import type { EntityManager } from '@mikro-orm/postgresql'
import { openTenantry, type Tenantry, TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { Address, User } from '../../examples/service/models.ts'

/** The options with which a process opens its Tenantry, as data that can be sent to it. */
export interface Opening {
  readonly url: string
  readonly installation: string
  /** The names of its servers; all are the one of the URL. */
  readonly servers: readonly string[]
  readonly spares?: number
  readonly revision?: string
  readonly naming?: 'readable' | 'opaque'
  /** True if it has hooks: `initialise`, `anonymise` and `seed`, each writing a row. */
  readonly hasHooks?: boolean
  /** True if its models have a column and a table more. */
  readonly isNewer?: boolean
  readonly lockTimeoutMs?: number
  readonly statementTimeoutMs?: number
}

/** A call of one verb, as data. */
export type Call =
  | { readonly verb: 'onboard'; readonly id: string; readonly server?: string }
  | { readonly verb: 'clone'; readonly source: string; readonly id: string }
  | { readonly verb: 'adopt'; readonly id: string; readonly database: string; readonly server?: string }
  | {
      readonly verb: 'suspend' | 'resume' | 'offboard' | 'restore' | 'purge' | 'update' | 'rotate-credentials' | 'work'
      readonly id: string
    }
  | { readonly verb: 'add-domain' | 'verify-domain' | 'remove-domain'; readonly id: string; readonly domain: string }
  | { readonly verb: 'roll-out'; readonly isOnline?: boolean }
  | { readonly verb: 'reconcile' | 'fill' | 'remove-templates' | 'open' }

/** The result of a call: its outcome, or the code of its error. */
export interface Answer {
  readonly outcome?: string
  readonly code?: string
  readonly message?: string
  readonly retryable?: boolean
  readonly sqlState?: string | undefined
}

/** A Tenantry of these suites. */
export type Opened = Tenantry<EntityManager>

const models = mikroOrm({ entities: [User, Address] })

/** The next version of the models. */
const newerModels: typeof models = {
  handles: models.handles,
  schema: {
    ...models.schema,
    fingerprint: async () => `${await models.schema.fingerprint()}-newer`,
    create: async (session) => {
      await models.schema.create(session)
      await session.script([
        `alter table user_account add column nickname text not null default 'none'`,
        'create table badge (id int primary key, user_id int not null references user_account)',
        'create index user_nickname on user_account (nickname)',
      ])
    },
  },
}

/** The time that work under way has on a tenant taken out of service: no work is longer here. */
const drainMs = 2_000

/** Opens a Tenantry. */
export function open(opening: Opening): Promise<Opened> {
  const { url, installation, servers, spares, revision, naming, hasHooks, isNewer, ...limits } = opening
  const { lockTimeoutMs, statementTimeoutMs } = limits
  const write = async (em: EntityManager, name: string) => {
    em.create(User, { name })
    await em.flush()
  }
  return openTenantry({
    models: isNewer ? newerModels : models,
    servers: servers.map((name) => postgres({ url, name, ...(statementTimeoutMs && { statementTimeoutMs }) })),
    installation,
    templates: {
      ...(spares !== undefined && { spares }),
      ...(revision !== undefined && { revision }),
      ...(hasHooks && { seed: (em: EntityManager) => write(em, 'seed') }),
    },
    hooks: hasHooks
      ? {
          initialise: (em: EntityManager) => write(em, 'initialise'),
          anonymise: (em: EntityManager) => write(em, 'anonymise'),
        }
      : {},
    tenants: { ...(naming && { naming }) },
    limits: { drainMs, ...(lockTimeoutMs !== undefined && { lockTimeoutMs }) },
  })
}

/** Carries out a call; its error is an answer, too. */
export async function answerTo(tenantry: Opened, call: Call): Promise<Answer> {
  try {
    return { outcome: await carryOut(tenantry, call) }
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error
    const { code, message, retryable, sqlState } = error
    return { code, message, retryable, sqlState }
  }
}

async function carryOut(tenantry: Opened, call: Call): Promise<string> {
  switch (call.verb) {
    case 'onboard':
      return (await tenantry.onboard(call.id, { ...(call.server && { server: call.server }) })).outcome
    case 'clone':
      return (await tenantry.tenants.clone(call.source, call.id)).outcome
    case 'adopt':
      return (
        await tenantry.tenants.adopt(call.id, { database: call.database, ...(call.server && { server: call.server }) })
      ).outcome
    case 'update':
      return (await tenantry.tenants.update(call.id, { metadata: { plan: 'pro' } })).outcome
    case 'work':
      await tenantry.with(call.id, (em) => em.execute('select 1'))
      return 'worked'
    case 'rotate-credentials':
      return (await tenantry.tenants.rotateCredentials(call.id)).outcome
    case 'add-domain':
      return (await tenantry.domains.add(call.id, call.domain)).outcome
    case 'verify-domain':
      return (await tenantry.domains.verify(call.id, call.domain, { proof: 'given' })).outcome
    case 'remove-domain':
      return (await tenantry.domains.remove(call.id, call.domain)).outcome
    case 'suspend':
    case 'resume':
    case 'offboard':
    case 'restore':
    case 'purge':
      return (await tenantry.tenants[call.verb](call.id)).outcome
    case 'reconcile': {
      const { findings } = await tenantry.servers.reconcile()
      const failed = findings.find(({ outcome }) => outcome === 'failed')
      if (failed !== undefined) throw failed.error ?? new Error(failed.what)
      return 'reconciled'
    }
    case 'roll-out': {
      // Another process takes the tenants of a killed one over at once.
      const options = { leaseMs: 1_000, ...(call.isOnline && { largeTableBytes: 1 }) }
      const { outcome, failures } = await tenantry.rollouts.start(await tenantry.rollouts.plan(), options)
      for (const { error } of failures) throw error
      return outcome
    }
    case 'remove-templates':
      await tenantry.templates.remove()
      return 'removed'
    case 'fill':
      return filled(tenantry)
    case 'open':
      return 'opened'
  }
}

/** Waits until the spares that this process keeps are there. */
async function filled(tenantry: Opened): Promise<string> {
  for (;;) {
    const told = new Promise<void>((resolve, reject) => {
      const stop = tenantry.on((event) => {
        if (event.event === 'filling-failed') reject(event.error)
        else if (event.event !== 'spare-filled') return
        stop()
        resolve()
      })
    })
    const { spares } = await tenantry.status()
    const own = spares.filter(({ wanted }) => wanted !== undefined)
    if (own.length > 0 && own.every(({ ready, wanted = 0 }) => ready >= wanted)) {
      told.catch(() => undefined)
      return 'filled'
    }
    await told
  }
}
