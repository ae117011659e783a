/** The longest wait of a claim for a session that holds a lock on a spare, in milliseconds. */
const spareLockMs = 200
/** The number of spares that a claim tries before the slow path is taken. */
const spareAttempts = 4

/**
 * The claim: turns a spare into a tenant's database, with the tenant's row and its audit entry, in one transaction that
 * is one call. It is part of a migration, so a change of it is another migration.
 *
 * It returns an outcome, and a tenant with the first two:
 *
 * - `claimed`: this very call made the tenant
 * - `exists`: the id has a tenant already
 * - `no-spare`; `elsewhere`, if the place for the tenant is not on the catalog's own server; `no-open-server`;
 *   `name-taken`, if a database has the name: nothing was made, and the caller takes the slow path
 *
 * A spare is used only as it was filled: the same database, closed to connections and to PUBLIC, without a session,
 * with its role, and with the collation that the server has now. Any other is marked for dropping; so is one that a
 * session holds a lock on, which any role of the server can do. The stamp has the form that `writeStamp` gives it.
 */
export const claimFunction = `
create or replace function tenantry.claim(
  p_id text, p_display_name text, p_metadata jsonb, p_servers text[], p_home text, p_fingerprint text,
  p_name text, p_opaque_prefix text, p_actor text, out outcome text, out tenant tenantry.tenant
) language plpgsql as $claim$
declare
  v_server int;
  v_is_home boolean;
  v_spare tenantry.spare;
  v_name text;
begin
  select * into tenant from tenantry.tenant t where t.id = p_id;
  if found then
    outcome := 'exists';
    return;
  end if;

  if cardinality(p_servers) = 1 then
    select s.id, s.name = p_home into v_server, v_is_home
    from tenantry.server s where s.name = p_servers[1] and s.state = 'open';
  else
    select s.id, s.name = p_home into v_server, v_is_home
    from tenantry.server s where s.name = any(p_servers) and s.state = 'open'
    order by (select count(*) from tenantry.tenant t where t.server_id = s.id), s.id limit 1;
  end if;
  if v_server is null then
    outcome := 'no-open-server';
    return;
  elsif not v_is_home then
    outcome := 'elsewhere';
    return;
  end if;

  for v_attempt in 1 .. ${spareAttempts} loop
    select * into v_spare from tenantry.spare s
    where s.server_id = v_server and s.fingerprint = p_fingerprint and s.state = 'ready'
    order by s.created_at limit 1 for update skip locked;
    exit when not found;
    v_name := coalesce(p_name, p_opaque_prefix || replace(v_spare.row_id::text, '-', ''));
    begin
      perform from pg_catalog.pg_database d
      where d.oid = v_spare.oid and d.datname = v_spare.database and not d.datallowconn and d.datconnlimit <> -2
        and d.datacl is not null
        and not exists (select from pg_catalog.aclexplode(d.datacl) a where a.grantee = 0::oid)
        and (not exists (select from tenantry.credential k where k.row_id = v_spare.row_id)
             or exists (select from pg_catalog.pg_roles r, tenantry.installation i
                        where r.rolname = i.name || '_r_' || replace(v_spare.row_id::text, '-', '')))
        and (d.datcollversion is null or d.datcollversion = pg_catalog.pg_database_collation_actual_version(d.oid))
        and not exists (select from pg_catalog.pg_stat_activity a where a.datid = d.oid and a.usesysid is not null);
      if not found then
        raise invalid_catalog_name;
      end if;
      insert into tenantry.tenant
        (row_id, id, display_name, metadata, state, transition, server_id, database, fingerprint, activated_at)
      values
        (v_spare.row_id, p_id, p_display_name, p_metadata, 'active',
         floor(extract(epoch from clock_timestamp()) * 1000), v_server, v_name, p_fingerprint, now())
      on conflict do nothing
      returning * into tenant;
      if not found then
        select * into tenant from tenantry.tenant t where t.id = p_id;
        outcome := case when found then 'exists' else 'name-taken' end;
        return;
      end if;
      -- Not before: another claim of the same id is waited for.
      perform set_config('lock_timeout', '${spareLockMs}ms', true);
      if v_name <> v_spare.database then
        execute format('alter database %I rename to %I', v_spare.database, v_name);
      end if;
      execute format('alter database %I allow_connections true', v_name);
      execute format('comment on database %I is %L', v_name, format(
        '{"tenantry":1,"installation":"%s","kind":"tenant","row":"%s","fingerprint":%s,"state":"active","transition":%s}',
        (select i.id from tenantry.installation i), v_spare.row_id, to_json(p_fingerprint), tenant.transition));
      delete from tenantry.spare s where s.row_id = v_spare.row_id;
      insert into tenantry.audit (tenant, row_id, verb, to_state, actor)
      values (p_id, v_spare.row_id, 'onboard', 'active', p_actor);
      perform set_config('synchronous_commit', 'on', true);
      outcome := 'claimed';
      return;
    exception
      when duplicate_database or unique_violation then
        tenant := null;
        outcome := 'name-taken';
        return;
      when invalid_catalog_name or object_in_use or lock_not_available then
        tenant := null;
        update tenantry.spare s set state = 'dropping' where s.row_id = v_spare.row_id;
    end;
  end loop;
  outcome := 'no-spare';
end
$claim$`
