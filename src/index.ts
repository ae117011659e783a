export { type ErrorCode, TenantryError } from './kernel/errors.ts'
export type { Cancellable } from './kernel/abort.ts'
export type { DomainName } from './kernel/domain-names.ts'
export type { TenantId } from './kernel/names.ts'
export type {
  CloseOptions,
  Domains,
  EnvironmentOptions,
  HistoryOptions,
  Servers,
  Templates,
  Tenantry,
  Tenants,
} from './api.ts'
export type { Rollouts } from './provisioning/rollouts/api.ts'
export type { Secret } from './kernel/secret.ts'
export type { AuditEntry, Verb } from './catalog/audit.ts'
export type { ListOptions } from './catalog/list-options.ts'
export type { TenantState } from './catalog/states.ts'
export type { Status } from './catalog/status.ts'
export type { Tenant } from './catalog/tenant.ts'
export { defineConfig, type TenantryConfig } from './config.ts'
export type { Logger } from './kernel/logger.ts'
export { type Diagnosis, doctor, type DoctorConfig, type DoctorOptions } from './doctor.ts'
export type {
  HandleFactory,
  Models,
  SchemaChange,
  SchemaSession,
  SchemaSource,
  TenantHandles,
  TenantIdentity,
} from './models/port.ts'
export { handlesOver } from './models/handles-over.ts'
export type { WithSchema } from './models/require-models.ts'
export type { Cancelled, ConnectionPool, PooledConnection, QueryClient } from './server/connection-pool.ts'
export type { Comparison, Difference, DifferingObject, SchemaObject, SchemaObjectKind } from './structure/comparison.ts'
export type { Accepted } from './provisioning/tenants/accept.ts'
export type { Adopted, AdoptOptions } from './provisioning/tenants/adopt.ts'
export type { CheckedTenant, CheckOptions } from './provisioning/tenants/check-tenant.ts'
export type { Cloned, CloneOptions } from './provisioning/tenants/clone.ts'
export type {
  ClaimEvent,
  DrainOptions,
  KeepingFailedEvent,
  BlockerEndedEvent,
  LeaseEvent,
  ReconciledEvent,
  RoleKeptEvent,
  Seed,
  InventoryEvent,
  TenantEvent,
  TenantHook,
  TenantryEvent,
  VerbOptions,
} from './provisioning/context.ts'
export type {
  ReencryptedCredentials,
  RotatedCredentials,
  RotateOptions,
  TenantCredentials,
} from './provisioning/tenants/credentials.ts'
export type { DomainRecord } from './domains/domain-proof.ts'
export type {
  AddedDomain,
  DomainsOptions,
  RemovedDomain,
  TenantDomain,
  VerifiedDomain,
  VerifyDomainOptions,
} from './domains/domains.ts'
export type { DifferingOption, EnsuredDatabase } from './provisioning/start-up/ensure-database.ts'
export type { EnsuredTables } from './provisioning/start-up/ensure-tables.ts'
export type { Offboarded, OffboardOptions, Restored } from './provisioning/tenants/offboard.ts'
export type { Onboarded, OnboardingPath } from './provisioning/tenants/onboard.ts'
export type { Purged, PurgedExpired, PurgeExpiredOptions } from './provisioning/tenants/purge.ts'
export {
  type CheckDatabaseOptions,
  type CheckedDatabase,
  checkDatabase,
  type ConnectOptions,
  ensureDatabase,
  type EnsureDatabaseOptions,
  ensureTables,
  type EnsureTablesOptions,
} from './provisioning/start-up/start-up.ts'
export type { Reconciled, Reconciliation, ReconcileOptions } from './provisioning/reconcile/reconcile.ts'
export type { Finding } from './provisioning/reconcile/reconcile-plan.ts'
export type { Restamped, RestampOptions } from './provisioning/tenants/restamp.ts'
export type { Version } from './catalog/versions.ts'
export type { Hazard, HazardCode } from './provisioning/rollouts/hazards.ts'
export type { PreflightOptions, PreflightResult, RowsInTheWay } from './provisioning/rollouts/preflight.ts'
export type { PlannedStep, PlannedVersion, PlanOptions, RolloutPlan } from './provisioning/rollouts/plan.ts'
export type { JoinOptions } from './provisioning/rollouts/join.ts'
export type { RolloutFailure, RolloutOptions, RolloutResult } from './provisioning/rollouts/roll-out.ts'
export type {
  ResumeOptions,
  RetryOptions,
  Rollout,
  RolloutChoice,
  RolloutTarget,
  TargetListOptions,
} from './provisioning/rollouts/rollout.ts'
export type { RolloutProgress, TakePartOptions } from './provisioning/rollouts/take-part.ts'
export type { TargetCounts } from './catalog/rollout-targets.ts'
export type { RolloutState, TargetError, TargetState } from './catalog/tables.ts'
export type { DesiredSet } from './provisioning/rollouts/set-desired.ts'
export type { RemovedTemplates } from './provisioning/templates/retire.ts'
export type { Resumed, Suspended } from './provisioning/tenants/suspend.ts'
export type { StartUp } from './provisioning/fleet/survey.ts'
export type { NewTenantOptions, OnboardOptions } from './provisioning/tenants/tenant-options.ts'
export type { Updated, UpdateOptions } from './provisioning/tenants/update.ts'
export type {
  Capabilities,
  Capability,
  ExaminedServer,
  ManagedService,
  Missing,
  RoleAttributes,
  ServerDiagnosis,
  Trial,
  UnreachableServer,
  Unseen,
  Warning,
  WarningCode,
} from './server/diagnosis.ts'
export type { FleetFilter, FleetProgress, FleetResult, ForEachOptions, TenantResult } from './routing/for-each.ts'
export type { CapturedTenant } from './routing/tenant-context.ts'
export type { WorkOptions } from './routing/tenant-work.ts'
export type { CreateDatabaseOptions, Server, SessionDefaults } from './server/port.ts'
export type { WrongPrivileges } from './server/wrong-privileges.ts'
export { openTenantry } from './tenantry.ts'
