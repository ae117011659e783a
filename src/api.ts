import type { Cancellable } from './kernel/abort.ts'
import type { TenantId } from './kernel/names.ts'
import type { AuditEntry } from './catalog/audit.ts'
import type { ListOptions } from './catalog/list-options.ts'
import type { Status } from './catalog/status.ts'
import type { Tenant } from './catalog/tenant.ts'
import type { Accepted } from './provisioning/tenants/accept.ts'
import type { Adopted, AdoptOptions } from './provisioning/tenants/adopt.ts'
import type { CheckedTenant, CheckOptions } from './provisioning/tenants/check-tenant.ts'
import type { Cloned, CloneOptions } from './provisioning/tenants/clone.ts'
import type {
  ReencryptedCredentials,
  RotatedCredentials,
  RotateOptions,
  TenantCredentials,
} from './provisioning/tenants/credentials.ts'
import type { DrainOptions, TenantryEvent, VerbOptions } from './provisioning/context.ts'
import type {
  AddedDomain,
  DomainsOptions,
  RemovedDomain,
  TenantDomain,
  VerifiedDomain,
  VerifyDomainOptions,
} from './domains/domains.ts'
import type { Offboarded, OffboardOptions, Restored } from './provisioning/tenants/offboard.ts'
import type { Onboarded } from './provisioning/tenants/onboard.ts'
import type { Purged, PurgedExpired, PurgeExpiredOptions } from './provisioning/tenants/purge.ts'
import type { Reconciliation, ReconcileOptions } from './provisioning/reconcile/reconcile.ts'
import type { Restamped, RestampOptions } from './provisioning/tenants/restamp.ts'
import type { Rollouts } from './provisioning/rollouts/api.ts'
import type { RemovedTemplates } from './provisioning/templates/retire.ts'
import type { Resumed, Suspended } from './provisioning/tenants/suspend.ts'
import type { StartUp } from './provisioning/fleet/survey.ts'
import type { FleetResult, ForEachOptions } from './routing/for-each.ts'
import type { CapturedTenant } from './routing/tenant-context.ts'
import type { WorkOptions } from './routing/tenant-work.ts'
import type { OnboardOptions } from './provisioning/tenants/tenant-options.ts'
import type { Updated, UpdateOptions } from './provisioning/tenants/update.ts'

export type { CapturedTenant } from './routing/tenant-context.ts'

/** Options of `history`. */
export interface HistoryOptions extends Cancellable {
  /** The largest number of entries. Default 100, at most 1,000. */
  readonly limit?: number
}

/** Options of `environment`. */
export interface EnvironmentOptions extends Cancellable {
  /**
   * The role that connects: `administrator`, the role of the server's URL; `owner`, the same role acting as the owner
   * of the tenant's tables, so that new objects belong to the owner and the tenant may use them; `tenant`, the tenant's
   * own role. Default `administrator`.
   */
  readonly as?: 'administrator' | 'owner' | 'tenant'
}

/** Options of `close`. */
export interface CloseOptions {
  /** The longest time that this takes, in milliseconds. Default 10,000. */
  readonly deadlineMs?: number
}

/** The calls on tenants, besides the daily ones of {@link Tenantry}. */
export interface Tenants<Handle> {
  /** Returns a tenant as the catalog knows it; undefined if there is none. */
  get(id: string, options?: Cancellable): Promise<Tenant | undefined>
  /** Returns tenants in the order of their ids, a page at a time. */
  list(options?: ListOptions): Promise<readonly Tenant[]>
  /** Returns the audit trail of a tenant, the latest entry first; also of a purged one. */
  history(id: string, options?: HistoryOptions): Promise<readonly AuditEntry[]>
  /**
   * Changes a tenant's record in the catalog.
   *
   * @throws `tenant-unknown`, `tenant-state`
   */
  update(id: string, options: UpdateOptions): Promise<Updated>
  /**
   * Takes a tenant out of service: no process begins new work on it. Work under way may end until the deadline, then
   * its sessions are ended.
   *
   * @throws `tenant-unknown`, `tenant-state`, `server-unknown`, `database-missing`, `foreign-database`,
   *   `sessions-remain`, `permission-denied`, `lock-timeout`
   */
  suspend(id: string, options?: DrainOptions): Promise<Suspended>
  /**
   * Puts a suspended tenant back into service.
   *
   * @throws `tenant-unknown`, `tenant-state`, `server-unknown`, `database-missing`, `foreign-database`,
   *   `permission-denied`, `lock-timeout`
   */
  resume(id: string, options?: VerbOptions): Promise<Resumed>
  /**
   * Ends a tenant's service: all sessions in its database end, the database is archived, its id stays reserved, and
   * everything is kept for the retention.
   *
   * @throws `tenant-unknown`, `tenant-state`, `server-unknown`, `database-missing`, `foreign-database`,
   *   `sessions-remain`, `permission-denied`, `lock-timeout`
   */
  offboard(id: string, options?: OffboardOptions): Promise<Offboarded>
  /**
   * Returns an offboarded tenant, with all its data, to the state it had before.
   *
   * @throws `tenant-unknown`, `tenant-state`, `server-unknown`, `database-missing`, `foreign-database`,
   *   `sessions-remain`, `permission-denied`, `lock-timeout`
   */
  restore(id: string, options?: VerbOptions): Promise<Restored>
  /**
   * Destroys an offboarded tenant with all its data, even before its retention has ended, or removes one that was never
   * finished. The id is free then.
   *
   * @throws `tenant-unknown`, `tenant-state`, `server-unknown`, `catalog-disagrees`, `foreign-database`,
   *   `sessions-remain`, `permission-denied`, `lock-timeout`
   */
  purge(id: string, options?: VerbOptions): Promise<Purged>
  /** Purges the tenants whose retention has ended. Tenantry never calls this by itself: run it once a day. */
  purgeExpired(options?: PurgeExpiredOptions): Promise<PurgedExpired>
  /**
   * Makes a new tenant with a copy of another one's database, on the same server. The source is unreachable while it is
   * copied: work on it waits.
   *
   * @throws `tenant-unknown`, `tenant-state`, `tenant-exists`, `server-unknown`, `no-open-server`, `database-missing`,
   *   `foreign-database`, `catalog-disagrees`, `template-in-use`, `hook-failed`, `sessions-remain`,
   *   `permission-denied`, `lock-timeout`
   */
  clone(source: string, id: string, options?: CloneOptions<Handle>): Promise<Cloned>
  /**
   * Makes a tenant of an existing database that matches the models.
   *
   * @throws `invalid-name`, `tenant-exists`, `tenant-state`, `tenant-unknown` if its row is removed meanwhile,
   *   `server-unknown`, `no-open-server`, `database-missing`, `foreign-database`, `verification-failed`,
   *   `models-invalid`, `hook-failed`, `sessions-remain`, `permission-denied`, `lock-timeout`
   */
  adopt(id: string, options: AdoptOptions): Promise<Adopted>
  /**
   * Records that a tenant has this process's version, after its tables were changed by hand. Its database must match
   * the models. Objects that the tenant cannot use, since another role made them, are transferred to the objects role.
   *
   * @throws `tenant-unknown`, `tenant-state`, `server-unknown`, `database-missing`, `foreign-database`,
   *   `verification-failed`, `models-invalid`, `hook-failed` of a `seed`, `sessions-remain`, `permission-denied`,
   *   `lock-timeout`
   */
  accept(id: string, options?: VerbOptions): Promise<Accepted>
  /**
   * Renews the stamp of a tenant's database that has lost it, for example by `pg_restore`: after a check that it has
   * the tenant's name, no other stamp, and the tables of the models.
   *
   * @throws `tenant-unknown`, `tenant-state` for a tenant that is being made or purged, `server-unknown`,
   *   `database-missing`, `foreign-database`, `verification-failed`, `models-invalid`, `hook-failed` of a `seed`,
   *   `sessions-remain`, `permission-denied`, `lock-timeout`
   */
  restamp(id: string, options?: RestampOptions): Promise<Restamped>
  /**
   * Compares a tenant's database with the models, or with its own version, changing nothing.
   *
   * @throws `tenant-unknown`, `tenant-state`, `server-unknown`, `database-missing`, `credentials-unreadable`,
   *   `models-invalid`, `permission-denied`; if it has to build a template, also `verification-failed`, `hook-failed` of
   *   a `seed`, `foreign-database`, `sessions-remain`, `lock-timeout`
   */
  check(id: string, options?: CheckOptions): Promise<CheckedTenant>
  /**
   * Returns the environment in which a program such as `psql` connects to a tenant's database: PGHOST, PGPASSWORD and
   * so on, and DATABASE_URL. It holds the password.
   *
   * @throws `tenant-unknown`, `tenant-state` for a tenant without a database in service, `server-unknown`,
   *   `roles-shared`, `credentials-unreadable`
   */
  environment(id: string, options?: EnvironmentOptions): Promise<Readonly<Record<string, string>>>
  /**
   * Returns the credentials of a tenant's own role.
   *
   * @throws `tenant-unknown`, `tenant-state` for a tenant without a database in service, `roles-shared`,
   *   `credentials-unreadable`
   */
  credentials(id: string, options?: Cancellable): Promise<TenantCredentials>
  /**
   * Gives a tenant's role a new password, and ends the sessions that have the old one. It also repairs a role that was
   * dropped or changed by hand, and a password that no key can read any more.
   *
   * @throws `tenant-unknown`, `tenant-state`, `server-unknown`, `roles-shared`, `catalog-disagrees`,
   *   `foreign-database`, `sessions-remain`, `permission-denied`, `lock-timeout`
   */
  rotateCredentials(id: string, options?: RotateOptions): Promise<RotatedCredentials>
  /**
   * Encrypts every password with the first of the configured keys, so that the others can be left out. The passwords
   * stay.
   *
   * @throws `roles-shared`
   */
  reencryptCredentials(options?: VerbOptions): Promise<ReencryptedCredentials>
}

/** The domains that tenants have of their own. */
export interface Domains {
  /**
   * Adds a domain of its own to a tenant: it is reserved for the tenant, and routed to it once it is verified.
   *
   * @throws `invalid-domain`, `tenant-unknown`, `tenant-state`, `domain-taken`
   */
  add(id: string, domain: string, options?: VerbOptions): Promise<AddedDomain>
  /**
   * Routes requests for a domain to the tenant, once its record is in the DNS, or the service declares that it is
   * proven. A missing record is an outcome.
   *
   * @throws `invalid-domain`, `tenant-unknown`, `tenant-state`, `domain-unknown`, `domain-lookup-failed`
   */
  verify(id: string, domain: string, options?: VerifyDomainOptions): Promise<VerifiedDomain>
  /** Removes a domain from a tenant; it is free then. @throws `invalid-domain`, `tenant-unknown` */
  remove(id: string, domain: string, options?: VerbOptions): Promise<RemovedDomain>
  /**
   * Returns a tenant's domains in their order, a page at a time.
   *
   * @throws `invalid-domain`, `tenant-unknown`
   */
  list(id: string, options?: DomainsOptions): Promise<readonly TenantDomain[]>
  /** Returns a domain of any tenant, verified or not; undefined if no tenant has it. @throws `invalid-domain` */
  get(domain: string, options?: Cancellable): Promise<TenantDomain | undefined>
  /**
   * Returns the tenant of a request's domain, such as its host name without the port; undefined if it belongs to no
   * tenant, is not verified, or is no domain at all. It is fast enough for every request: the catalog's answer is
   * remembered until it changes. Passed to `with` or `run` in place of an id, it means that tenant, and never another
   * one that has the id since. The tenant may be out of service: `with` checks that.
   */
  tenantOf(domain: string, options?: Cancellable): Promise<CapturedTenant | undefined>
}

/** The templates and spares of an installation. */
export interface Templates {
  /**
   * Drops all templates and spares, of every version: before an upgrade by pg_upgrade, which refuses databases that are
   * closed to connections. This process keeps none from then on; stop other processes that do, or they make new ones.
   *
   * @throws `permission-denied`, `lock-timeout`
   */
  remove(options?: Cancellable): Promise<RemovedTemplates>
}

/** The servers of an installation. */
export interface Servers {
  /**
   * Brings the catalog and the servers into agreement: finishes or undoes interrupted work that no process continues,
   * and reports problems that a person has to decide on. A second call in a row changes nothing. An error with one
   * finding is in its result.
   */
  reconcile(options?: ReconcileOptions): Promise<Reconciliation>
}

/**
 * An open Tenantry. Close it when the service stops.
 *
 * Every verb may be repeated: a repeated call reports an outcome if the work was done already, and finishes interrupted
 * work.
 *
 * Besides the errors that it names, a call may throw `invalid-tenant-id` and `invalid-option` for its arguments;
 * `aborted` by its signal; `closed` after `close`; and the errors of a connection or a statement, such as
 * `server-unreachable`, `pool-timeout`, `timeout` and `query-failed`. Those that change something throw `router-only` in
 * a process opened with `mode: 'router'`.
 */
export interface Tenantry<Handle> extends AsyncDisposable {
  /** The state of the installation when it was opened: the number of tenants, and the tenants with a problem. */
  readonly startUp: StartUp
  /** Reading, changing and ending tenants. */
  readonly tenants: Tenants<Handle>
  readonly domains: Domains
  readonly templates: Templates
  readonly rollouts: Rollouts
  readonly servers: Servers
  /**
   * Makes a tenant with a database of its own. An id that exists already is an outcome, not an error.
   *
   * @throws `tenant-exists`, `tenant-state`, `tenant-unknown` if its row is removed meanwhile, `server-unknown`,
   *   `no-open-server`, `foreign-database`, `catalog-disagrees`, `verification-failed`, `models-invalid`, `hook-failed`,
   *   `sessions-remain`, `permission-denied`, `lock-timeout`
   */
  onboard(id: string, options?: OnboardOptions): Promise<Onboarded>
  /**
   * Runs `work` with the ORM's own handle on the tenant's database, in the tenant's context. The handle is a new unit
   * of work; it holds a connection only while a query or a transaction runs.
   *
   * @throws `tenant-unknown`, `tenant-not-active`, `tenant-behind`, `tenant-conflict`, `server-unknown`, and the errors
   *   of `work`
   */
  with<T>(id: string | CapturedTenant, work: (handle: Handle) => T | Promise<T>, options?: WorkOptions): Promise<T>
  /**
   * Runs `work` in the tenant's context.
   *
   * @throws `tenant-unknown`, `tenant-not-active`, `tenant-behind`, `tenant-conflict`, and the errors of `work`
   */
  run<T>(id: string | CapturedTenant, work: () => T | Promise<T>, options?: WorkOptions): Promise<T>
  /**
   * Runs `work` for every active tenant, or those that match the filter, a few at once, as `with` does: with the ORM's
   * own handle, in the tenant's context. `tenant` is as it was listed. All fleet queries of a process together take at
   * most half of each server's `maxConnections`, or two.
   *
   * A tenant whose work takes longer than `tenantTimeoutMs` has failed with `timeout`, and the next has its turn. The
   * result contains all tenants so far even if the call ended early: neither an error of one tenant nor the signal is
   * an error of this call.
   *
   * @throws `tenant-conflict` inside a tenant's context, and the errors of `onProgress`
   */
  forEach<T>(
    work: (handle: Handle, tenant: Tenant) => T | Promise<T>,
    options?: ForEachOptions<T>,
  ): Promise<FleetResult<T>>
  /** Returns the tenant of the current context. @throws `no-tenant` outside of one */
  currentTenant(): TenantId
  /**
   * Returns the tenant of the current context, as plain data that can be carried into a job queue and back: passed to
   * `with` or `run` in place of an id, it means that tenant, and never another one that has the id since.
   *
   * @throws `no-tenant` outside of one
   */
  captureTenant(): CapturedTenant
  /** Returns the numbers of tenants, servers, versions, templates and spares. */
  status(options?: Cancellable): Promise<Status>
  /**
   * Calls back after every change that this process makes to a tenant, a template or a spare. @returns an unsubscribe
   * function
   */
  on(listener: (event: TenantryEvent) => void): () => void
  /**
   * Waits for work under way, and closes every connection. Unfinished work is ended early enough that this returns
   * within the deadline, even on a failed network; for a deadline of less than ten seconds, within three seconds more.
   */
  close(options?: CloseOptions): Promise<void>
}
