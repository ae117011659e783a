import { type Cancellable, untilAborted } from './kernel/abort.ts'
import { ConcurrencyLimit } from './kernel/concurrency.ts'
import { parseTenantId } from './kernel/names.ts'
import { longestMs } from './kernel/options.ts'
import { readListOptions, readModelsVersion } from './catalog/list-options.ts'
import { publicTenant } from './catalog/tenant.ts'
import type { Rollouts } from './provisioning/rollouts/api.ts'
import type { Domains, Servers, Templates, Tenants } from './api.ts'
import type { Calls } from './calls.ts'
import { addDomain, domainNamed, domainsOf, removeDomain, verifyDomain } from './domains/domains.ts'
import type { MakingContext, TenantHook } from './provisioning/context.ts'
import { despiteFullQueue } from './provisioning/locks/full-queue.ts'
import { planRollout } from './provisioning/rollouts/plan-rollout.ts'
import { readPlan } from './provisioning/rollouts/plan.ts'
import { preflight } from './provisioning/rollouts/preflight.ts'
import { joinRollout, workOnRollouts } from './provisioning/rollouts/join.ts'
import { rollOut } from './provisioning/rollouts/roll-out.ts'
import {
  describeRollout,
  endRollout,
  goOnWith,
  listRollouts,
  planOf,
  type ResumeOptions,
  type RetryOptions,
  type RolloutChoice,
  targetsOf,
  watchRollout,
} from './provisioning/rollouts/rollout.ts'
import { setDesired } from './provisioning/rollouts/set-desired.ts'
import { reconcile } from './provisioning/reconcile/reconcile.ts'
import type { Keeper } from './provisioning/templates/keeper.ts'
import { removeTemplates } from './provisioning/templates/retire.ts'
import { accept } from './provisioning/tenants/accept.ts'
import { adopt } from './provisioning/tenants/adopt.ts'
import { checkTenant } from './provisioning/tenants/check-tenant.ts'
import { clone } from './provisioning/tenants/clone.ts'
import {
  credentialsOf,
  environmentOf,
  reencryptCredentials,
  rotateCredentials,
} from './provisioning/tenants/credentials.ts'
import { offboard, restore } from './provisioning/tenants/offboard.ts'
import { purge, purgeExpired } from './provisioning/tenants/purge.ts'
import { restamp } from './provisioning/tenants/restamp.ts'
import { resume, suspend } from './provisioning/tenants/suspend.ts'
import { update } from './provisioning/tenants/update.ts'
import type { TenantWork } from './routing/tenant-work.ts'
import type { Call } from './verb-options.ts'

/** The parts that the groups of calls need. */
export interface GroupParts<Handle> {
  readonly calls: Calls
  readonly making: MakingContext<Handle>
  readonly mode: 'full' | 'router'
  readonly work: TenantWork<Handle>
  readonly keeper: Keeper<Handle>
  /** Returns a hook that runs in the context of its tenant. */
  readonly inContext: (hook: TenantHook<Handle>) => TenantHook<Handle>
}

/** A verb, as provisioning implements it. */
type Verb<Handle, Options, T> = (context: MakingContext<Handle>, id: string, options: Options) => Promise<T>

/** Returns the calls that concern tenants. */
export function tenantsGroup<Handle>(parts: GroupParts<Handle>): Tenants<Handle> {
  const { calls, making, mode, inContext } = parts
  const { catalog } = making
  const changing =
    <Options extends Cancellable, T>(call: Call, verb: Verb<Handle, Options, T>) =>
    (id: string, options?: Options): Promise<T> =>
      calls.change(call, options, (checked) => verb(making, id, checked))
  const reading =
    <Options extends Cancellable, T>(call: Call, verb: Verb<Handle, Options, T>) =>
    async (id: string, options?: Options): Promise<T> =>
      verb(making, id, calls.read(call, options))
  return {
    get: reading('tenants.get', async (_, id, { signal }: Cancellable) => {
      const row = await untilAborted(catalog.find(parseTenantId(id)), signal)
      return row && publicTenant(row)
    }),
    list: async (options = {}) => {
      calls.refuseClosed()
      const { filter, limit, after, signal } = readListOptions(options)
      const rows = await untilAborted(catalog.list(filter, limit, after), signal)
      return rows.map(publicTenant)
    },
    history: reading('tenants.history', async (_, id, { limit = 100, signal }) =>
      untilAborted(catalog.history(parseTenantId(id), Math.min(limit, 1_000)), signal),
    ),
    update: changing('tenants.update', update),
    suspend: changing('tenants.suspend', suspend),
    resume: changing('tenants.resume', resume),
    offboard: changing('tenants.offboard', offboard),
    restore: changing('tenants.restore', restore),
    purge: (id, options) => notifying(parts, 'tenants.purge', options, (checked) => purge(making, id, checked)),
    purgeExpired: (options) =>
      calls.change('tenants.purgeExpired', options, (checked) => purgeExpired(making, checked)),
    clone: (source, id, options) =>
      calls.change('tenants.clone', options, (checked) => {
        const { anonymise } = checked
        return clone(making, source, id, { ...checked, ...(anonymise && { anonymise: inContext(anonymise) }) })
      }),
    adopt: changing('tenants.adopt', adopt),
    accept: changing('tenants.accept', accept),
    restamp: changing('tenants.restamp', restamp),
    check: reading('tenants.check', (context, id, options) => checkTenant(context, id, options, mode === 'full')),
    environment: reading('tenants.environment', environmentOf),
    credentials: reading('tenants.credentials', credentialsOf),
    rotateCredentials: changing('tenants.rotateCredentials', rotateCredentials),
    reencryptCredentials: (options) =>
      calls.change('tenants.reencryptCredentials', options, (checked) => reencryptCredentials(making, checked)),
  }
}

/** The number of domains that are looked up in the DNS at once. */
const lookupsAtOnce = 4

/** Returns the calls that concern domains. */
export function domainsGroup<Handle>(parts: GroupParts<Handle>): Domains {
  const { calls, making, work } = parts
  // A limit of its own, since the DNS may be slow.
  const verifying = new ConcurrencyLimit(lookupsAtOnce)
  return {
    add: (id, domain, options) =>
      notifying(parts, 'domains.add', options, (checked) => addDomain(making, id, domain, checked)),
    verify: (id, domain, options) =>
      notifying(parts, 'domains.verify', options, (checked) => verifyDomain(making, id, domain, checked), verifying),
    remove: (id, domain, options) =>
      notifying(parts, 'domains.remove', options, (checked) => removeDomain(making, id, domain, checked)),
    list: async (id, options) => domainsOf(making, id, calls.read('domains.list', options)),
    get: async (domain, options) => domainNamed(making, domain, calls.read('domains.get', options)),
    tenantOf: async (domain, options) => {
      const { signal } = calls.read('domains.tenantOf', options)
      return untilAborted(work.tenantOfDomain(domain), signal)
    },
  }
}

/** Returns the calls that concern templates and spares. */
export function templatesGroup<Handle>({ calls, making, keeper }: GroupParts<Handle>): Templates {
  return {
    remove: (options) =>
      calls.change('templates.remove', options, async (checked) => {
        // It would make its own again at once.
        await keeper.stop(longestMs)
        return removeTemplates(making, checked)
      }),
  }
}

/** Returns the calls that concern changes of the tables of all tenants. */
export function rolloutsGroup<Handle>({ calls, making }: GroupParts<Handle>): Rollouts {
  const working = new ConcurrencyLimit(1)
  const changing =
    <Options extends Cancellable, T>(call: Call, verb: (options: Options) => Promise<T>) =>
    (options?: Options): Promise<T> =>
      calls.change(call, options, (checked) => untilAborted(verb(checked), checked.signal))
  return {
    setDesired: (version, options) =>
      calls.change('rollouts.setDesired', options, ({ signal }) =>
        untilAborted(setDesired(making, readModelsVersion(version)), signal),
      ),
    plan: (options) => calls.change('rollouts.plan', options, (checked) => planRollout(making, checked)),
    preflight: async (plan, options) => {
      const read = readPlan(plan)
      return calls.change('rollouts.preflight', options, (checked) => preflight(making, read, checked))
    },
    start: async (plan, options) => {
      const read = readPlan(plan)
      return calls.change('rollouts.start', options, (checked) => rollOut(making, read, checked))
    },
    join: (options) => calls.change('rollouts.join', options, (checked) => joinRollout(making, checked)),
    // It lasts as long as the process, and takes no turn of its other calls.
    work: (options) => calls.change('rollouts.work', options, (checked) => workOnRollouts(making, checked), working),
    pause: changing('rollouts.pause', (checked: RolloutChoice) => endRollout(making, 'pause', checked)),
    abort: changing('rollouts.abort', (checked: RolloutChoice) => endRollout(making, 'abort', checked)),
    resume: changing('rollouts.resume', (checked: ResumeOptions) => goOnWith(making, 'resume', checked)),
    retry: changing('rollouts.retry', (checked: RetryOptions) => goOnWith(making, 'retry', checked)),
    get: async (options) => describeRollout(making, calls.read('rollouts.get', options)),
    list: async (options) => listRollouts(making, calls.read('rollouts.list', options)),
    planOf: async (options) => planOf(making, calls.read('rollouts.planOf', options)),
    targets: async (options) => targetsOf(making, calls.read('rollouts.targets', options)),
    watch: (options) => watchRollout(making, calls.read('rollouts.watch', options)),
  }
}

/** Returns the calls that concern servers. */
export function serversGroup<Handle>({ calls, making }: GroupParts<Handle>): Servers {
  return {
    reconcile: async (options) => {
      const read = calls.read('servers.reconcile', options)
      if (read.dryRun !== true) return calls.change('servers.reconcile', read, (checked) => reconcile(making, checked))
      return calls.run((signal) => reconcile(making, { ...read, signal }), read.signal)
    },
  }
}

/** Runs a verb whose commit notifies other processes. */
function notifying<Handle, Options extends Cancellable, T>(
  { calls, making }: GroupParts<Handle>,
  call: Call,
  options: Options | undefined,
  verb: (checked: Options) => Promise<T>,
  turns?: ConcurrencyLimit,
): Promise<T> {
  return calls.change(call, options, (checked) => despiteFullQueue(making, checked, () => verb(checked)), turns)
}
