import { claimFunction } from './claim-function.ts'
import { claimTargetsFunction, reportTargetFunction } from './rollout-functions.ts'

/**
 * One step of the catalog's own schema. A step that has landed is never changed; only the claim function, which a later step
 * replaces, is kept in the last of its versions.
 */
export interface Migration {
  readonly number: number
  readonly statements: readonly string[]
  /** The oldest catalog version whose Tenantry still works after this step. */
  readonly compatibleFrom: number
}

/** Every step, in order, from an empty database on. */
export const migrations: readonly Migration[] = [
  {
    number: 1,
    compatibleFrom: 1,
    statements: [
      `create schema tenantry`,
      `create table tenantry.migration (
         number int primary key,
         compatible_from int not null,
         applied_at timestamptz not null default now()
       )`,
      `create table tenantry.installation (
         id uuid not null default gen_random_uuid(),
         name text not null,
         single boolean primary key default true check (single)
       )`,
      `create table tenantry.server (
         id int generated always as identity primary key,
         name text not null unique,
         state text not null default 'open' check (state in ('open', 'closed'))
       )`,
      `create table tenantry.version (
         number int generated always as identity primary key,
         fingerprint text not null unique,
         first_seen_at timestamptz not null default now()
       )`,
      `create table tenantry.tenant (
         row_id uuid primary key default gen_random_uuid(),
         id text not null unique check (id ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
         display_name text,
         metadata jsonb not null default '{}',
         state text not null default 'onboarding'
           check (state in ('onboarding', 'active', 'suspended', 'offboarded', 'purging')),
         server_id int not null references tenantry.server,
         database text not null,
         fingerprint text references tenantry.version (fingerprint),
         created_at timestamptz not null default now(),
         activated_at timestamptz,
         unique (server_id, database),
         check (state = 'onboarding' or (fingerprint is not null and activated_at is not null))
       )`,
    ],
  },
  {
    number: 2,
    // A Tenantry that knows only step 1 receives no notice when another process suspends or offboards a tenant.
    compatibleFrom: 2,
    statements: [
      `alter table tenantry.tenant
         add column origin text not null default 'models' check (origin in ('models', 'clone', 'adopt')),
         add column source text,
         add column resting_state text check (resting_state in ('active', 'suspended')),
         add column purge_after timestamptz,
         add column state_since timestamptz not null default now(),
         drop constraint tenant_check,
         add constraint tenant_made
           check (state in ('onboarding', 'purging') or (fingerprint is not null and activated_at is not null)),
         add constraint tenant_set_aside
           check (state <> 'offboarded' or (resting_state is not null and purge_after is not null))`,
      `create index tenant_state on tenantry.tenant (state, id)`,
      `create index tenant_server on tenantry.tenant (server_id, id)`,
      `create index tenant_fingerprint on tenantry.tenant (fingerprint, id)`,
      `create index tenant_metadata on tenantry.tenant using gin (metadata jsonb_path_ops)`,
      `create table tenantry.audit (
         number bigint generated always as identity primary key,
         at timestamptz not null default clock_timestamp(),
         tenant text not null,
         row_id uuid not null,
         verb text not null,
         from_state text,
         to_state text,
         actor text,
         role text not null default session_user
       )`,
      `create index audit_tenant on tenantry.audit (tenant, number)`,
    ],
  },
  {
    number: 3,
    // A Tenantry that knows only step 2 makes its tenants without templates and spares, and touches neither.
    compatibleFrom: 2,
    statements: [
      `create table tenantry.template (
         row_id uuid primary key,
         server_id int not null references tenantry.server,
         fingerprint text not null references tenantry.version (fingerprint),
         state text not null default 'building' check (state in ('building', 'ready', 'dropping')),
         digest text,
         created_at timestamptz not null default now(),
         check (state <> 'ready' or digest is not null)
       )`,
      `create unique index template_ready on tenantry.template (server_id, fingerprint) where state = 'ready'`,
      `create table tenantry.spare (
         row_id uuid primary key,
         server_id int not null references tenantry.server,
         fingerprint text not null references tenantry.version (fingerprint),
         database text not null,
         state text not null default 'filling' check (state in ('filling', 'ready', 'dropping')),
         oid oid,
         created_at timestamptz not null default now(),
         check (state <> 'ready' or oid is not null)
       )`,
      `create index spare_state on tenantry.spare (server_id, fingerprint, state, created_at)`,
    ],
  },
  {
    number: 4,
    // A Tenantry that knows only step 3 leaves the role of a tenant that it suspends, and of one that it purges.
    compatibleFrom: 4,
    statements: [
      // Keyed by the row of the tenant or the spare whose role has the password, so that a claim does not touch it.
      `create table tenantry.credential (
         row_id uuid primary key,
         sealed text not null,
         pending text,
         changed_at timestamptz not null default now()
       )`,
      `alter table tenantry.audit
         add column outcome text not null default 'done' check (outcome in ('done', 'failed')),
         add column error text,
         add constraint audit_error check ((outcome = 'failed') = (error is not null))`,
    ],
  },
  {
    number: 5,
    // A Tenantry that knows only step 4 serves tenants by their ids, and removes their domains together with their
    // rows.
    compatibleFrom: 4,
    statements: [
      `create table tenantry.domain (
         domain text collate "C" primary key check (domain ~ '^[a-z0-9.-]{3,243}$'),
         row_id uuid not null references tenantry.tenant on delete cascade,
         token text not null,
         added_at timestamptz not null default now(),
         verified_at timestamptz
       )`,
      `create index domain_tenant on tenantry.domain (row_id, domain)`,
      // A trigger, so that every change sends a notice: also a purge by an older process, or a change by hand.
      `create function tenantry.tell_domain() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $tell$
       begin
         perform pg_notify('tenantry', json_build_object('domain', coalesce(new.domain, old.domain))::text);
         return null;
       end
       $tell$`,
      `create trigger domain_told after insert or update or delete on tenantry.domain
         for each row execute function tenantry.tell_domain()`,
      `alter table tenantry.audit add column domain text`,
    ],
  },
  {
    number: 6,
    // A Tenantry that knows only step 5 takes locks by other names, and writes stamps that prove no state.
    compatibleFrom: 6,
    statements: [
      `alter table tenantry.tenant add column transition bigint not null default 0`,
      // The secret in the names of locks on tenants: tenants see the locks of the server, and must not guess ids.
      `alter table tenantry.installation
         add column lock_secret uuid not null default gen_random_uuid(),
         add column key_check text`,
      claimFunction,
    ],
  },
  {
    number: 7,
    // What knows only step 6 computes other digests, and would refuse every spare of a template of ours.
    compatibleFrom: 7,
    statements: [
      `update tenantry.template set state = 'dropping' where state = 'ready'`,
      // What the models make, in the words of a major version of PostgreSQL, for as long as the version is known.
      `create table tenantry.structure (
         fingerprint text not null references tenantry.version (fingerprint),
         major_version int not null,
         structure text not null,
         primary key (fingerprint, major_version)
       )`,
    ],
  },
  {
    number: 8,
    // A Tenantry that knows only step 7 orders versions by their numbers.
    compatibleFrom: 7,
    statements: [
      // The order of versions: a version comes after all others when it is declared, and when it is made the desired one.
      // Of an identity column, whose sequence takes no privilege.
      `alter table tenantry.version add column rank bigint generated by default as identity`,
      `update tenantry.version set rank = number`,
      `select pg_catalog.setval(
         pg_catalog.pg_get_serial_sequence('tenantry.version', 'rank'),
         (select coalesce(max(number), 0) + 1 from tenantry.version), false)`,
      `alter table tenantry.version add unique (rank)`,
      // Null for the version that was declared last.
      `alter table tenantry.installation add column desired text references tenantry.version (fingerprint)`,
    ],
  },
  {
    number: 9,
    // A Tenantry that knows only step 8 rolls out without a record, and changes each tenant under the same lock.
    compatibleFrom: 7,
    statements: [
      `create table tenantry.rollout (
         number int generated always as identity primary key,
         state text not null default 'running' check (state in ('running', 'paused', 'halted', 'done', 'aborted')),
         plan text not null,
         fingerprint text not null,
         -- The ids of the only tenants; null for all.
         only_ids text[],
         canary_ids text[] not null,
         waves float8[] not null,
         concurrency int not null,
         -- The number of failures at which it is halted, with those of earlier attempts.
         halt_at bigint not null,
         lease_ms int not null,
         lock_timeout_ms int,
         large_table_bytes bigint,
         actor text,
         started_at timestamptz not null default clock_timestamp(),
         ended_at timestamptz
       )`,
      // One at a time: two plans for one tenant would each find it at a version that they do not know.
      `create unique index rollout_open on tenantry.rollout ((true)) where state in ('running', 'paused', 'halted')`,
      `create table tenantry.rollout_target (
         rollout int not null references tenantry.rollout on delete cascade,
         -- Of a tenant that may have been purged since.
         row_id uuid not null,
         tenant text not null,
         server_id int not null references tenantry.server,
         fingerprint text not null,
         wave int not null,
         state text not null default 'waiting' check (state in ('waiting', 'running', 'changed', 'failed', 'skipped')),
         worker text,
         -- Rises with each lease: a process that has lost its own cannot report.
         token bigint not null default 0,
         attempts int not null default 0,
         leased_until timestamptz,
         not_before timestamptz,
         error jsonb,
         began_at timestamptz,
         ended_at timestamptz,
         primary key (rollout, row_id),
         check ((state = 'running') = (leased_until is not null))
       )`,
      `create index rollout_target_next on tenantry.rollout_target (rollout, state, wave, server_id, tenant)`,
      `create index rollout_target_tenant on tenantry.rollout_target (rollout, tenant)`,
      claimTargetsFunction,
      reportTargetFunction,
    ],
  },
]

/** The number of the last step. */
export const newestMigration = Math.max(...migrations.map(({ number }) => number))
