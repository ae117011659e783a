/**
 * Leases targets of a running rollout to a process: on its servers, of the lowest wave that is not over, and no more at
 * once on a server than the rollout allows, counting those of all processes. The row of the rollout is locked, so that two calls count one
 * after the other. A loss of these rows in a crash has no consequence: the tenants' databases show what was done.
 */
export const claimTargetsFunction = `
create function tenantry.claim_targets(
  p_rollout int, p_worker text, p_limit int, p_servers text[] default null
) returns setof tenantry.rollout_target
language plpgsql set search_path = pg_catalog, pg_temp as $claim$
declare
  v_rollout tenantry.rollout;
  v_wave int;
begin
  perform set_config('synchronous_commit', 'off', true);
  select * into v_rollout from tenantry.rollout r where r.number = p_rollout and r.state = 'running' for update;
  if not found then
    return;
  end if;
  -- One look at the index for each state: for both at once, all waiting targets would be read.
  v_wave := least(
    (select min(t.wave) from tenantry.rollout_target t where t.rollout = p_rollout and t.state = 'waiting'),
    (select min(t.wave) from tenantry.rollout_target t where t.rollout = p_rollout and t.state = 'running'));
  return query
  update tenantry.rollout_target t
  set state = 'running', worker = p_worker, token = t.token + 1, attempts = t.attempts + 1,
      leased_until = clock_timestamp() + v_rollout.lease_ms * interval '1 ms',
      began_at = coalesce(t.began_at, clock_timestamp())
  from (
    select next.row_id from tenantry.server s cross join lateral (
      select count(*) as running from tenantry.rollout_target o
      where o.rollout = p_rollout and o.state = 'running' and o.server_id = s.id and o.leased_until >= clock_timestamp()
    ) busy cross join lateral (
      -- Each in the order of an index: there may be thousands of waiting ones.
      (select o.row_id from tenantry.rollout_target o
       where o.rollout = p_rollout and o.state = 'running' and o.wave = v_wave and o.server_id = s.id
         and o.leased_until < clock_timestamp()
       limit greatest(0, v_rollout.concurrency - busy.running))
      union all
      (select o.row_id from tenantry.rollout_target o
       where o.rollout = p_rollout and o.state = 'waiting' and o.wave = v_wave and o.server_id = s.id
         and (o.not_before is null or o.not_before <= clock_timestamp())
       order by o.tenant limit greatest(0, v_rollout.concurrency - busy.running))
      limit greatest(0, v_rollout.concurrency - busy.running)
    ) next
    where p_servers is null or s.name = any(p_servers)
    limit p_limit
  ) chosen
  where t.rollout = p_rollout and t.row_id = chosen.row_id
    -- Looked at again, as its process may just have renewed its lease, or reported.
    and (t.state = 'waiting' or (t.state = 'running' and t.leased_until < clock_timestamp()))
  returning t.*;
end
$claim$`

/**
 * Records the result of a leased target, unless another process has it since; then it returns false. A rollout with too
 * many failures, or with one in its first wave, the canaries, is halted. A tenant can hold its locks for as long as it
 * likes, and must not halt the others: those failures do not count.
 */
export const reportTargetFunction = `
create function tenantry.report_target(
  p_rollout int, p_row uuid, p_token bigint, p_state text, p_pause_ms int, p_error jsonb
) returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $report$
declare
  v_wave int;
begin
  perform set_config('synchronous_commit', 'off', true);
  if p_state = 'failed' then
    -- Before the target, in the order of claim_targets.
    perform from tenantry.rollout r where r.number = p_rollout for update;
  end if;
  update tenantry.rollout_target t
  set state = p_state, error = p_error, leased_until = null,
      -- One that was given back, without an error, was not tried.
      attempts = t.attempts - case when p_state = 'waiting' and p_error is null then 1 else 0 end,
      not_before = case when p_state = 'waiting' then clock_timestamp() + p_pause_ms * interval '1 ms' end,
      ended_at = case when p_state <> 'waiting' then clock_timestamp() end
  where t.rollout = p_rollout and t.row_id = p_row and t.token = p_token and t.state = 'running'
  returning t.wave into v_wave;
  if not found then
    return false;
  end if;
  if p_state = 'failed' then
    update tenantry.rollout r set state = 'halted'
    where r.number = p_rollout and r.state = 'running'
      and (v_wave = 0 or r.halt_at <= (
        select count(*) from tenantry.rollout_target t
        where t.rollout = p_rollout and t.state = 'failed' and t.error ->> 'code' not in ('lock-timeout', 'sessions-remain')));
  end if;
  return true;
end
$report$`
