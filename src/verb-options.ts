import {
  cancellable,
  type Checks,
  days,
  deadline,
  durationMs,
  functionOption,
  oneOf,
  positiveInteger,
  readOptions,
  trueOrFalse,
} from './kernel/option-checks.ts'
import { parseDomain } from './kernel/domain-names.ts'
import { parseIdentifier } from './kernel/names.ts'
import { storableText } from './kernel/storable.ts'
import type { CloseOptions, EnvironmentOptions, HistoryOptions } from './api.ts'
import type { AdoptOptions } from './provisioning/tenants/adopt.ts'
import type { CheckOptions } from './provisioning/tenants/check-tenant.ts'
import type { CloneOptions } from './provisioning/tenants/clone.ts'
import type { DrainOptions } from './provisioning/context.ts'
import type { RotateOptions } from './provisioning/tenants/credentials.ts'
import type { DomainsOptions, VerifyDomainOptions } from './domains/domains.ts'
import type { OffboardOptions } from './provisioning/tenants/offboard.ts'
import type { PurgeExpiredOptions } from './provisioning/tenants/purge.ts'
import type { RestampOptions } from './provisioning/tenants/restamp.ts'
import type { ReconcileOptions } from './provisioning/reconcile/reconcile.ts'
import { existing, newTenantChecks, type OnboardOptions, verbChecks } from './provisioning/tenants/tenant-options.ts'
import type { UpdateOptions } from './provisioning/tenants/update.ts'

/** The checks of the options of each call; `list`, `forEach`, `with` and `run` have theirs in the catalog and the routing. */
const checks = {
  onboard: { ...newTenantChecks, server: storableText, existing } satisfies Checks<OnboardOptions>,
  'tenants.update': {
    ...newTenantChecks,
    displayName: (option, text) => (text === null ? null : storableText(option, text)),
  } satisfies Checks<UpdateOptions>,
  'tenants.suspend': { ...verbChecks, drainMs: durationMs } satisfies Checks<DrainOptions>,
  'tenants.resume': verbChecks,
  'tenants.offboard': { ...verbChecks, drainMs: durationMs, retentionDays: days } satisfies Checks<OffboardOptions>,
  'tenants.restore': verbChecks,
  'tenants.purge': verbChecks,
  'tenants.purgeExpired': { ...verbChecks, limit: positiveInteger } satisfies Checks<PurgeExpiredOptions>,
  'tenants.clone': {
    ...newTenantChecks,
    anonymise: (option, hook) => (hook === false ? hook : functionOption(option, hook, 'Give false for none.')),
    drainMs: durationMs,
    existing,
  } satisfies Checks<CloneOptions<unknown>>,
  'tenants.adopt': {
    ...newTenantChecks,
    database: (_, name) => parseIdentifier(name as string, 'database'),
    server: storableText,
  } satisfies Checks<AdoptOptions>,
  'tenants.accept': verbChecks,
  'tenants.restamp': { ...verbChecks, differences: oneOf(['allow', 'refuse']) } satisfies Checks<RestampOptions>,
  'servers.reconcile': { ...verbChecks, dryRun: trueOrFalse } satisfies Checks<ReconcileOptions>,
  'templates.remove': cancellable,
  'tenants.check': { exact: trueOrFalse, ...cancellable } satisfies Checks<CheckOptions>,
  'tenants.get': cancellable,
  'tenants.history': { limit: positiveInteger, ...cancellable } satisfies Checks<HistoryOptions>,
  status: cancellable,
  'tenants.environment': {
    as: oneOf(['administrator', 'owner', 'tenant']),
    ...cancellable,
  } satisfies Checks<EnvironmentOptions>,
  'tenants.credentials': cancellable,
  'tenants.rotateCredentials': { ...verbChecks, endSessions: trueOrFalse } satisfies Checks<RotateOptions>,
  'tenants.reencryptCredentials': verbChecks,
  'domains.add': verbChecks,
  'domains.verify': {
    ...verbChecks,
    proof: oneOf(['dns', 'given'], 'Leave it out to look for the record in the DNS.'),
  } satisfies Checks<VerifyDomainOptions>,
  'domains.remove': verbChecks,
  'domains.list': {
    limit: positiveInteger,
    after: (_, domain) => parseDomain(domain as string),
    ...cancellable,
  } satisfies Checks<DomainsOptions>,
  'domains.get': cancellable,
  'domains.tenantOf': cancellable,
  close: { deadlineMs: deadline } satisfies Checks<CloseOptions>,
}

/** A call of an open Tenantry with options that are read here. */
export type Call = keyof typeof checks

/** Reads the options of a call. @throws `invalid-option`, and the errors of checks of names */
export function readCallOptions<Options extends object>(call: Call, options: Options): Options {
  return readOptions(call, options, checks[call] as unknown as Checks<Options>)
}
