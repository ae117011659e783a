export { type ErrorCode, TenantryError } from './kernel/errors.ts'
export type { Cancellable } from './kernel/abort.ts'
export type { TenantId } from './kernel/names.ts'
export type { Tenant } from './catalog/catalog.ts'
export type { TenantState } from './catalog/tables.ts'
export type { TenantryConfig } from './config.ts'
export type { Comparison, DifferingObject, Models, SchemaObject } from './models/port.ts'
export type { DifferingOption, EnsuredDatabase } from './provisioning/ensure-database.ts'
export type { EnsuredTables } from './provisioning/ensure-tables.ts'
export type { Onboarded } from './provisioning/onboard.ts'
export type { OnboardOptions } from './provisioning/onboard-options.ts'
export {
  type CheckedDatabase,
  checkDatabase,
  type ConnectOptions,
  ensureDatabase,
  type EnsureDatabaseOptions,
  ensureTables,
  type EnsureTablesOptions,
} from './provisioning/start-up.ts'
export type { CreateDatabaseOptions, Server } from './server/port.ts'
export { type ListOptions, openTenantry, type Tenantry } from './tenantry.ts'
