/**
 * The claim: turns a spare into a tenant's database, with the tenant's row and its audit entry, in one transaction that
 * is one call. It is part of a migration, so a change of it is another migration.
 *
 * It gives an outcome, and a tenant with the first two:
 *
 * - `claimed`: this very call made the tenant
 * - `exists`: the id has a tenant already
 * - `no-spare`; `elsewhere`, when the place for the tenant is not on the catalog's own server; `no-open-server`;
 *   `name-taken`, when a database has the name: nothing was made, and the caller goes the longer way
 *
 * A spare is used only as it was filled: the same database, closed to connections, with nobody in it, and with the
 * collation that the server has now. Any other is set apart, to be dropped. The stamp is worded as `writeStamp` does it.
 */
export const claimFunction = `
create function tenantry.claim(
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

  loop
    select * into v_spare from tenantry.spare s
    where s.server_id = v_server and s.fingerprint = p_fingerprint and s.state = 'ready'
    order by s.created_at limit 1 for update skip locked;
    if not found then
      outcome := 'no-spare';
      return;
    end if;
    v_name := coalesce(p_name, p_opaque_prefix || replace(v_spare.row_id::text, '-', ''));
    begin
      perform from pg_catalog.pg_database d
      where d.oid = v_spare.oid and d.datname = v_spare.database and not d.datallowconn
        and (d.datcollversion is null or d.datcollversion = pg_catalog.pg_database_collation_actual_version(d.oid))
        and not exists (select from pg_catalog.pg_stat_activity a where a.datid = d.oid and a.usesysid is not null);
      if not found then
        raise invalid_catalog_name;
      end if;
      insert into tenantry.tenant
        (row_id, id, display_name, metadata, state, server_id, database, fingerprint, activated_at)
      values
        (v_spare.row_id, p_id, p_display_name, p_metadata, 'active', v_server, v_name, p_fingerprint, now())
      on conflict do nothing
      returning * into tenant;
      if not found then
        select * into tenant from tenantry.tenant t where t.id = p_id;
        outcome := case when found then 'exists' else 'name-taken' end;
        return;
      end if;
      if v_name <> v_spare.database then
        execute format('alter database %I rename to %I', v_spare.database, v_name);
      end if;
      execute format('alter database %I allow_connections true', v_name);
      execute format('comment on database %I is %L', v_name, format(
        '{"tenantry":1,"installation":"%s","kind":"tenant","row":"%s","fingerprint":%s}',
        (select i.id from tenantry.installation i), v_spare.row_id, to_json(p_fingerprint)));
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
      when invalid_catalog_name or object_in_use then
        tenant := null;
        update tenantry.spare s set state = 'dropping' where s.row_id = v_spare.row_id;
    end;
  end loop;
end
$claim$`

const asFilled = 'where d.oid = v_spare.oid'

/**
 * The same since no database lets PUBLIC in: a spare that does is set apart, and so is one in which a DROP DATABASE was
 * interrupted (-2), or whose role is gone.
 */
export const claimFunctionOfSecluded = claimFunction.replace('create function', 'create or replace function').replace(
  asFilled,
  `where d.datconnlimit <> -2 and d.datacl is not null
        and not exists (select from pg_catalog.aclexplode(d.datacl) a where a.grantee = 0)
        and (not exists (select from tenantry.credential k where k.row_id = v_spare.row_id)
             or exists (select from pg_catalog.pg_roles r, tenantry.installation i
                        where r.rolname = i.name || '_r_' || replace(v_spare.row_id::text, '-', '')))
        ${asFilled.replace('where', 'and')}`,
)
