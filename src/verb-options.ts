import * as v from 'valibot'
import {
  cancellable,
  checked,
  days,
  deadline,
  durationMs,
  functionOption,
  identifier,
  leaseLength,
  must,
  oneOf,
  optionsOf,
  parsed,
  part,
  positiveInteger,
  positiveMs,
  readOptions,
  recordNumber,
  texts,
  trueOrFalse,
} from './kernel/options.ts'
import type { Cancellable } from './kernel/abort.ts'
import { parseTenantId } from './kernel/names.ts'
import { parseDomain } from './kernel/domain-names.ts'
import { isPlainObject, storableText } from './kernel/storable.ts'
import type { CloseOptions, EnvironmentOptions, HistoryOptions } from './api.ts'
import type { AdoptOptions } from './provisioning/tenants/adopt.ts'
import type { CheckOptions } from './provisioning/tenants/check-tenant.ts'
import type { CloneOptions } from './provisioning/tenants/clone.ts'
import type { DrainOptions, VerbOptions } from './provisioning/context.ts'
import type { RotateOptions } from './provisioning/tenants/credentials.ts'
import type { DomainsOptions, VerifyDomainOptions } from './domains/domains.ts'
import type { OffboardOptions } from './provisioning/tenants/offboard.ts'
import type { PurgeExpiredOptions } from './provisioning/tenants/purge.ts'
import type { RestampOptions } from './provisioning/tenants/restamp.ts'
import type { ReconcileOptions } from './provisioning/reconcile/reconcile.ts'
import { existing, newTenantSchemas, type OnboardOptions, verbSchemas } from './provisioning/tenants/tenant-options.ts'
import type { PlanOptions } from './provisioning/rollouts/plan.ts'
import type { PreflightOptions } from './provisioning/rollouts/preflight.ts'
import type { JoinOptions } from './provisioning/rollouts/join.ts'
import type { RolloutOptions } from './provisioning/rollouts/roll-out.ts'
import type { ResumeOptions, RetryOptions, RolloutChoice, TargetListOptions } from './provisioning/rollouts/rollout.ts'
import type { TakePartOptions } from './provisioning/rollouts/take-part.ts'
import type { UpdateOptions } from './provisioning/tenants/update.ts'

const verb = optionsOf<VerbOptions>(verbSchemas)
const choice = { only: texts('a list of tenant ids', "Write only: ['acme']."), concurrency: positiveInteger }
const reading = optionsOf<Cancellable>(cancellable)
const takingPart = {
  ...verbSchemas,
  concurrency: recordNumber,
  onProgress: functionOption<NonNullable<TakePartOptions['onProgress']>>(
    'It gets the number of tenants so far: (progress) => { ... }',
  ),
}
const chosen = optionsOf<RolloutChoice>({ rollout: recordNumber, ...cancellable })
const resuming = { rollout: recordNumber, haltAfter: recordNumber, ...cancellable }

/** The options of each call; `list`, `forEach`, `with` and `run` have theirs in the catalog and the routing. */
const schemas = {
  onboard: optionsOf<OnboardOptions>({ ...newTenantSchemas, server: storableText, existing }),
  status: reading,
  close: optionsOf<CloseOptions>({ deadlineMs: deadline }),
  'tenants.get': reading,
  'tenants.history': optionsOf<HistoryOptions>({ limit: positiveInteger, ...cancellable }),
  'tenants.update': optionsOf<UpdateOptions>({ ...newTenantSchemas, displayName: v.nullable(storableText) }),
  'tenants.suspend': optionsOf<DrainOptions>({ ...verbSchemas, drainMs: durationMs }),
  'tenants.resume': verb,
  'tenants.offboard': optionsOf<OffboardOptions>({ ...verbSchemas, drainMs: durationMs, retentionDays: days }),
  'tenants.restore': verb,
  'tenants.purge': verb,
  'tenants.purgeExpired': optionsOf<PurgeExpiredOptions>({ ...verbSchemas, limit: positiveInteger }),
  'tenants.clone': optionsOf<CloneOptions<unknown>>({
    ...newTenantSchemas,
    anonymise: checked<NonNullable<CloneOptions<unknown>['anonymise']>>(
      (hook) => hook === false || typeof hook === 'function',
      'a function',
      'Give false for none.',
    ),
    drainMs: durationMs,
    existing,
  }),
  'tenants.adopt': optionsOf<AdoptOptions>(
    { ...newTenantSchemas, database: identifier('database'), server: storableText },
    'database',
  ),
  'tenants.accept': verb,
  'tenants.restamp': optionsOf<RestampOptions>({ ...verbSchemas, differences: oneOf(['allow', 'refuse']) }),
  'tenants.check': optionsOf<CheckOptions>({
    exact: trueOrFalse,
    against: oneOf(['models', 'version']),
    ...cancellable,
  }),
  'tenants.environment': optionsOf<EnvironmentOptions>({
    as: oneOf(['administrator', 'owner', 'tenant']),
    ...cancellable,
  }),
  'tenants.credentials': reading,
  'tenants.rotateCredentials': optionsOf<RotateOptions>({ ...verbSchemas, endSessions: trueOrFalse }),
  'tenants.reencryptCredentials': verb,
  'domains.add': verb,
  'domains.verify': optionsOf<VerifyDomainOptions>({
    ...verbSchemas,
    proof: oneOf(['dns', 'given'], 'Leave it out to look for the record in the DNS.'),
  }),
  'domains.remove': verb,
  'domains.list': optionsOf<DomainsOptions>({ limit: positiveInteger, after: parsed(parseDomain), ...cancellable }),
  'domains.get': reading,
  'domains.tenantOf': reading,
  'templates.remove': reading,
  'rollouts.setDesired': reading,
  'rollouts.plan': optionsOf<PlanOptions>({
    from: positiveInteger,
    steps: texts('a list of statements', "Write steps: ['alter table ...']."),
    renames: checked<Readonly<Record<string, string>>>(
      (renames) => isPlainObject(renames) && Object.values(renames).every((it) => typeof it === 'string'),
      'an object of new names by the old ones',
      "Write { 'author.name': 'author.full_name' }.",
    ),
    ...cancellable,
  }),
  'rollouts.preflight': optionsOf<PreflightOptions>({
    ...choice,
    ...cancellable,
    onProgress: functionOption<NonNullable<PreflightOptions['onProgress']>>(
      'It gets the number of tenants so far: (progress) => { ... }',
    ),
  }),
  'rollouts.start': optionsOf<RolloutOptions>({
    ...verbSchemas,
    ...choice,
    ...takingPart,
    only: choice.only,
    canary: texts('a list of tenant ids', "Write canary: ['acme']."),
    waves: v.pipe(
      v.array(part, must('a list of shares', 'Write waves: [0.05, 0.25].')),
      v.check(
        (shares) => shares.every((share, i) => share > (shares[i - 1] ?? 0)),
        must('rising', 'Write waves: [0.05, 0.25].'),
      ),
    ),
    allow: texts('a list of hazards', "Write allow: ['drop-column:author.name']."),
    haltAfter: recordNumber,
    lockTimeoutMs: positiveMs,
    largeTableBytes: positiveInteger,
    leaseMs: leaseLength,
    detach: trueOrFalse,
  }),
  'rollouts.join': optionsOf<JoinOptions>({ ...takingPart, rollout: recordNumber }),
  'rollouts.work': optionsOf<TakePartOptions>(takingPart),
  'rollouts.pause': chosen,
  'rollouts.abort': chosen,
  'rollouts.get': chosen,
  'rollouts.planOf': chosen,
  'rollouts.watch': chosen,
  'rollouts.resume': optionsOf<ResumeOptions>(resuming),
  'rollouts.retry': optionsOf<RetryOptions>({ ...resuming, only: choice.only }),
  'rollouts.list': optionsOf<Cancellable & { readonly limit?: number }>({ limit: positiveInteger, ...cancellable }),
  'rollouts.targets': optionsOf<TargetListOptions>({
    state: oneOf(['waiting', 'running', 'changed', 'failed', 'skipped']),
    after: parsed(parseTenantId),
    limit: positiveInteger,
    rollout: recordNumber,
    ...cancellable,
  }),
  'servers.reconcile': optionsOf<ReconcileOptions>({ ...verbSchemas, dryRun: trueOrFalse }),
}

/** A call of an open Tenantry with options that are read here. */
export type Call = keyof typeof schemas

/** Reads the options of a call. @throws `invalid-option`, and the errors of schemas of names */
export function readCallOptions<Options extends object>(call: Call, options: Options): Options {
  return readOptions(call, schemas[call] as v.GenericSchema<unknown, Options>, options)
}
