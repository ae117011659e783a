import type { Cancellable } from './kernel/abort.ts'
import type { TenantId } from './kernel/names.ts'
import type { AuditEntry } from './catalog/audit.ts'
import type { ListOptions } from './catalog/list-options.ts'
import type { Status } from './catalog/status.ts'
import type { Tenant } from './catalog/tenant.ts'
import type { Adopted, AdoptOptions } from './provisioning/adopt.ts'
import type { CheckedTenant, CheckOptions } from './provisioning/check-tenant.ts'
import type { Cloned, CloneOptions } from './provisioning/clone.ts'
import type {
  ReencryptedCredentials,
  RotatedCredentials,
  RotateOptions,
  TenantCredentials,
} from './provisioning/credentials.ts'
import type { DrainOptions, TenantryEvent, VerbOptions } from './provisioning/context.ts'
import type {
  AddedDomain,
  DomainsOptions,
  RemovedDomain,
  TenantDomain,
  VerifiedDomain,
  VerifyDomainOptions,
} from './provisioning/domains.ts'
import type { Offboarded, OffboardOptions, Restored } from './provisioning/offboard.ts'
import type { Onboarded } from './provisioning/onboard.ts'
import type { Purged, PurgedExpired, PurgeExpiredOptions } from './provisioning/purge.ts'
import type { Reconciliation, ReconcileOptions } from './provisioning/reconcile.ts'
import type { Restamped, RestampOptions } from './provisioning/restamp.ts'
import type { RemovedTemplates } from './provisioning/retire.ts'
import type { Resumed, Suspended } from './provisioning/suspend.ts'
import type { StartUp } from './provisioning/survey.ts'
import type { FleetResult, ForEachOptions } from './routing/for-each.ts'
import type { CapturedTenant } from './routing/tenant-context.ts'
import type { WorkOptions } from './routing/tenant-work.ts'
import type { OnboardOptions } from './provisioning/tenant-options.ts'
import type { Updated, UpdateOptions } from './provisioning/update.ts'

export type { CapturedTenant } from './routing/tenant-context.ts'

/** Options of `history`. */
export interface HistoryOptions extends Cancellable {
  /** How many entries at most. Default 100, at most 1,000. */
  readonly limit?: number
}

/** Options of `environment`. */
export interface EnvironmentOptions extends Cancellable {
  /**
   * Whose connection it is: the one that administers; the same, acting as the owner of the tenant's tables, so that what
   * it makes is the owner's and the tenant may use it; or that of the tenant's own role. Default `administrator`.
   */
  readonly as?: 'administrator' | 'owner' | 'tenant'
}

/**
 * An open Tenantry. Close it when the service stops.
 *
 * Every verb may be repeated: what was done already is an outcome, what was interrupted is finished. Each throws, besides
 * what it names, what may be wrong with a connection; `aborted` by its signal; `closed` after `close`; and those that
 * change something `router-only` in a process opened with `mode: 'router'`.
 */
export interface Tenantry<Handle> extends AsyncDisposable {
  /** What was found when it was opened: how many tenants there are, and which of them are not as they should be. */
  readonly startUp: StartUp
  /**
   * Makes a tenant with a database of its own. An id that exists already is an outcome, not an error.
   *
   * @throws `invalid-tenant-id`, `invalid-option`, `no-open-server`, `tenant-exists`, `tenant-not-active`,
   *   `tenant-state`, `foreign-database`, `verification-failed`, `hook-failed`, `lock-timeout`, `permission-denied`
   */
  onboard(id: string, options?: OnboardOptions): Promise<Onboarded>
  /**
   * Changes what the catalog says of a tenant.
   *
   * @throws `invalid-tenant-id`, `invalid-option`, `tenant-unknown`, `tenant-state`
   */
  update(id: string, options: UpdateOptions): Promise<Updated>
  /**
   * Takes a tenant out of service: no process begins new work on it. What is under way may end until the deadline, then
   * its sessions are ended.
   *
   * @throws `tenant-unknown`, `tenant-state`, `sessions-remain`, `permission-denied`, `lock-timeout`
   */
  suspend(id: string, options?: DrainOptions): Promise<Suspended>
  /** Puts a suspended tenant back into service. @throws `tenant-unknown`, `tenant-state`, `lock-timeout` */
  resume(id: string, options?: VerbOptions): Promise<Resumed>
  /**
   * Ends a tenant's service: its database is left by everybody and set aside, its id stays reserved, and all is kept
   * for the retention.
   *
   * @throws `tenant-unknown`, `tenant-state`, `database-missing`, `foreign-database`, `sessions-remain`,
   *   `permission-denied`, `lock-timeout`
   */
  offboard(id: string, options?: OffboardOptions): Promise<Offboarded>
  /**
   * Takes an offboarded tenant back, with all its data, into the state it had before.
   *
   * @throws `tenant-unknown`, `tenant-state`, `database-missing`, `foreign-database`, `sessions-remain`, `lock-timeout`
   */
  restore(id: string, options?: VerbOptions): Promise<Restored>
  /**
   * Destroys an offboarded tenant with all its data, whether its retention has ended or not, or takes back one that was
   * never finished. The id is free then.
   *
   * @throws `tenant-unknown`, `tenant-state`, `foreign-database`, `sessions-remain`, `permission-denied`, `lock-timeout`
   */
  purge(id: string, options?: VerbOptions): Promise<Purged>
  /** Purges the tenants whose retention has ended. Nothing calls this by itself: run it once a day. */
  purgeExpired(options?: PurgeExpiredOptions): Promise<PurgedExpired>
  /**
   * Makes a new tenant with a copy of another one's database, on the same server. The source is out of reach while it is
   * copied: work on it waits.
   *
   * @throws `invalid-option`, `tenant-unknown`, `tenant-state`, `tenant-exists`, `template-in-use`, `database-missing`,
   *   `hook-failed`, `foreign-database`, `lock-timeout`, `permission-denied`
   */
  clone(source: string, id: string, options?: CloneOptions<Handle>): Promise<Cloned>
  /**
   * Makes a tenant of a database that is there and matches the models.
   *
   * @throws `invalid-option`, `database-missing`, `foreign-database`, `verification-failed`, `tenant-exists`,
   *   `tenant-state`, `hook-failed`, `lock-timeout`, `permission-denied`
   */
  adopt(id: string, options: AdoptOptions): Promise<Adopted>
  /**
   * Stamps a tenant's database again that lost its stamp, as one does that was restored by `pg_restore`: after a check that
   * it has the tenant's name, no other stamp, and the tables of the models.
   *
   * @throws `invalid-option`, `tenant-unknown`, `tenant-state`, `database-missing`, `foreign-database`,
   *   `verification-failed`, `permission-denied`, `lock-timeout`
   */
  restamp(id: string, options?: RestampOptions): Promise<Restamped>
  /**
   * Drops all templates and spares, of every version: before an upgrade by pg_upgrade, which refuses databases that are
   * closed to connections. This process keeps none from then on; stop others that do, or they make them anew.
   *
   * @throws `permission-denied`, `lock-timeout`
   */
  removeTemplates(options?: Cancellable): Promise<RemovedTemplates>
  /**
   * Brings the catalog and the servers into agreement: finishes or takes back what was interrupted and nobody is at work
   * on, and reports what is for a person to decide. Twice in a row changes nothing the second time.
   *
   * @throws `invalid-option`
   */
  reconcile(options?: ReconcileOptions): Promise<Reconciliation>
  /** Compares a tenant's database with the models, changing nothing. @throws `tenant-unknown`, `tenant-state` */
  check(id: string, options?: CheckOptions): Promise<CheckedTenant>
  /** A tenant as the catalog knows it; undefined where there is none. @throws `invalid-tenant-id` */
  get(id: string, options?: Cancellable): Promise<Tenant | undefined>
  /** Tenants in the order of their ids, a page at a time. @throws `invalid-option`, `invalid-tenant-id` */
  list(options?: ListOptions): Promise<readonly Tenant[]>
  /** What was done to a tenant, the latest first; of one that was purged, too. @throws `invalid-tenant-id` */
  history(id: string, options?: HistoryOptions): Promise<readonly AuditEntry[]>
  /** Tenants, servers, versions, templates and spares in numbers. */
  status(options?: Cancellable): Promise<Status>
  /**
   * What a program such as `psql` needs in its environment to connect to a tenant's database: PGHOST, PGPASSWORD and so
   * on, and DATABASE_URL. It holds the password.
   *
   * @throws `tenant-unknown`, `tenant-state` for a tenant without a database in service; `roles-shared`,
   *   `credentials-unreadable`
   */
  environment(id: string, options?: EnvironmentOptions): Promise<Readonly<Record<string, string>>>
  /**
   * What a tenant's own role logs in with.
   *
   * @throws `tenant-unknown`, `tenant-state` for a tenant without a database in service, `roles-shared`,
   *   `credentials-unreadable`
   */
  credentials(id: string, options?: Cancellable): Promise<TenantCredentials>
  /**
   * Gives a tenant's role a new password, and ends the sessions that have the old one. It also sets right a role that
   * somebody dropped or changed, and a password that no key can read any more.
   *
   * @throws `tenant-unknown`, `tenant-state`, `roles-shared`, `sessions-remain`, `permission-denied`, `lock-timeout`
   */
  rotateCredentials(id: string, options?: RotateOptions): Promise<RotatedCredentials>
  /**
   * Encrypts every password with the first of the configured keys: then the others can be left out. The passwords stay.
   *
   * @throws `roles-shared`
   */
  reencryptCredentials(options?: VerbOptions): Promise<ReencryptedCredentials>
  /**
   * Adds a domain of its own to a tenant: it is reserved for it, and led to it once it is verified.
   *
   * @throws `invalid-tenant-id`, `invalid-domain`, `tenant-unknown`, `tenant-state`, `domain-taken`
   */
  addDomain(id: string, domain: string, options?: VerbOptions): Promise<AddedDomain>
  /**
   * Makes requests to a domain the tenant's, once its record is in the DNS, or the service says that it is proven. A
   * record that is not there is an outcome.
   *
   * @throws `invalid-tenant-id`, `invalid-domain`, `invalid-option`, `tenant-unknown`, `tenant-state`, `domain-unknown`,
   *   `domain-lookup-failed`
   */
  verifyDomain(id: string, domain: string, options?: VerifyDomainOptions): Promise<VerifiedDomain>
  /** Takes a domain from a tenant; it is free then. @throws `invalid-tenant-id`, `invalid-domain`, `tenant-unknown` */
  removeDomain(id: string, domain: string, options?: VerbOptions): Promise<RemovedDomain>
  /**
   * A tenant's domains in their order, a page at a time.
   *
   * @throws `invalid-tenant-id`, `invalid-domain`, `invalid-option`, `tenant-unknown`
   */
  domains(id: string, options?: DomainsOptions): Promise<readonly TenantDomain[]>
  /** A domain, whoever has it, verified or not; undefined where nobody has. @throws `invalid-domain` */
  getDomain(domain: string, options?: Cancellable): Promise<TenantDomain | undefined>
  /**
   * The tenant of the domain that a request was sent to, such as its host name without the port; undefined where it is
   * nobody's, not verified, or no domain. It is for every request: what the catalog said is remembered until it changes.
   * Given to `with` or `run` in place of an id, it means that tenant, and never another one that has the id since. It does
   * not say whether the tenant is in service: `with` does.
   */
  tenantOfDomain(domain: string, options?: Cancellable): Promise<CapturedTenant | undefined>
  /** Calls back after every change that this process makes to a tenant, a template or a spare. @returns what ends it */
  on(listener: (event: TenantryEvent) => void): () => void
  /**
   * Runs `work` with the ORM's own handle on the tenant's database, in the tenant's context. The handle is a new unit
   * of work; it holds no connection but while a query or a transaction runs.
   *
   * @throws `tenant-unknown`, `tenant-not-active`, `tenant-behind`, `tenant-conflict`, and what `work` throws
   */
  with<T>(id: string | CapturedTenant, work: (handle: Handle) => T | Promise<T>, options?: WorkOptions): Promise<T>
  /** Runs `work` in the tenant's context. @throws `tenant-unknown`, `tenant-not-active`, `tenant-behind`, `tenant-conflict` */
  run<T>(id: string | CapturedTenant, work: () => T | Promise<T>, options?: WorkOptions): Promise<T>
  /**
   * Runs `work` for every active tenant, or those that the filter means, a few at once, as `with` does: with the ORM's own
   * handle, in the tenant's context. `tenant` is as it was listed. All fleet queries of a process together take at most
   * half of each server's `maxConnections`, or two.
   *
   * A tenant whose work takes longer than `tenantTimeoutMs` has failed with `timeout`, and the next has its turn.
   *
   * What it got before its end is in what it gives, whatever that end was: an error of one tenant, or the signal, is no
   * error of this call.
   *
   * @throws `invalid-option`, `tenant-conflict` inside a tenant's context, and what `onProgress` throws
   */
  forEach<T>(
    work: (handle: Handle, tenant: Tenant) => T | Promise<T>,
    options?: ForEachOptions<T>,
  ): Promise<FleetResult<T>>
  /** The tenant in whose context this is called. @throws `no-tenant` outside of one */
  currentTenant(): TenantId
  /**
   * The tenant in whose context this is called, as plain data to be carried into a job queue and back: given to `with` or
   * `run` in place of an id, it means that tenant, and never another one that has the id since.
   *
   * @throws `no-tenant` outside of one
   */
  captureTenant(): CapturedTenant
  /**
   * Lets work under way finish, and closes every connection. What does not finish is ended so early that this returns
   * within `deadlineMs` milliseconds (default 10,000), whatever the network does; within three seconds more where that is
   * less than ten.
   */
  close(deadlineMs?: number): Promise<void>
}
