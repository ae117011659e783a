/** One step of the catalog's own schema. A step that has landed is never changed. */
export interface Migration {
  readonly number: number
  readonly statements: readonly string[]
  /** The oldest catalog version whose Tenantry can go on working once this step is done. */
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
]
