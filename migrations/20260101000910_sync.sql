-- Sync: who works for a store, what they are given to do, and what follows from how it went (see docs/sync.md).
--
-- The database decides both; a worker calls Shopify and says what it answered. One worker at a time works for a
-- store: it has the store's lease, which it must show with each call, and does one thing after the other.

create type api.sync_lease as (store text, shop_domain text, location text, lease uuid, run_id uuid);
comment on type api.sync_lease is 'A store that a worker is to work for, and the lease that it shows with each call';


-- wanted: whether a worker should take a store up, whose row in sync_stores the caller has locked.
create function ordak.wanted(stand ordak.sync_stores) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  if stand.lease_until >= now() or exists (
    select from ordak.stores as s where s.code = stand.store and s.stopped_at is not null) then
    return false;
  end if;
  return exists (select from ordak.sync_runs as r
                 where r.store = stand.store and r.state = 'queued' and r.started_at is null)
    -- Somebody was lost: what they have claimed must be freed.
    or stand.lease_token is not null and coalesce(stand.backoff_until <= now(), true)
    or coalesce(ordak.due_at(stand.store) <= clock_timestamp() + interval '2 seconds', false);
end
$$;


-- take_lease: has a worker work for a store, in the run that was lost there, that was asked for, or in one of its own.
create function ordak.take_lease(stand ordak.sync_stores, trigger text, run_id uuid) returns api.sync_lease
language plpgsql set search_path = '' as $$
declare
  v_token constant uuid := gen_random_uuid();
  v_run   ordak.sync_runs;
begin
  select * into v_run from ordak.sync_runs as r where r.id = stand.run;
  if not found then
    v_run := ordak.adopt_run(stand.store, false);
  end if;
  if v_run.id is null then
    insert into ordak.sync_runs (run_id, trigger, store, state, started_at)
    values (take_lease.run_id, take_lease.trigger, stand.store, 'running', now()) returning * into v_run;
  end if;
  update ordak.sync_stores as s
  set lease_token = v_token, lease_until = now() + (select t.lease_time from ordak.sync_settings as t), run = v_run.id
  where s.store = stand.store;
  return (select (s.code, s.shop_domain, s.location, v_token, v_run.run_id)::api.sync_lease
          from ordak.stores as s where s.code = stand.store);
end
$$;


-- keep_schedule: what each visit of the schedule does for all stores, whose rows the caller has locked.
create function ordak.keep_schedule() returns void
language plpgsql set search_path = '' as $$
declare
  -- A store that is stopped, or whose token nobody has, has no worker to do that.
  v_idle constant text[] := array(
    select s.store from ordak.sync_stores as s where coalesce(s.lease_until < now(), true) order by s.store);
begin
  insert into ordak.schedule_beats as b (name, at) values ('sync-worker', now())
  on conflict (name) do update set at = excluded.at;
  perform ordak.give_up_pushes(v_idle);
  perform ordak.free_rows(s.store), ordak.close_runs(s.store) from unnest(v_idle) as s (store);
  perform ordak.plan_work();
end
$$;


create function api.begin_sync(trigger text, stores text[]) returns setof api.sync_lease
language plpgsql security definer set search_path = '' as $$
declare
  v_run_id constant uuid := gen_random_uuid();
begin
  perform ordak.require_service();
  if trigger in ('schedule', 'kick') is not true or cardinality(stores) between 0 and 100 is not true then
    perform ordak.fail('VAL001', 'expected schedule or kick, and at most 100 stores, but found others');
  end if;
  -- Waited for, not passed over: who has one now may have looked for work before what the caller was called for was
  -- there.
  perform from ordak.sync_stores as s where trigger = 'schedule' or s.store = any (stores) order by s.store for update;
  if trigger = 'schedule' then
    perform ordak.keep_schedule();
  end if;
  return query
    select l.* from ordak.sync_stores as s
    cross join lateral ordak.take_lease(s, begin_sync.trigger, v_run_id) as l
    where s.store = any (stores) and ordak.wanted(s)
    order by s.store;
end
$$;
grant execute on function api.begin_sync(text, text[]) to service_role;
comment on function api.begin_sync(text, text[]) is $$
Has a worker work for the stores that have something to do and nobody who does it. Those that are stopped, or wait after
an error, are left out.

trigger  schedule or kick: why the worker came
stores   the codes of those that it can work for; others are left out
returns  those that it is to work for, each with a lease
raises   AUTH001; VAL001; SYS004
role     service
example  {"trigger": "kick", "stores": ["bannos"]}
$$;


-- hold_lease: whether a worker still has the store's lease; it is longer then, and the store's row locked. It has it
-- also after its time, as long as nobody has taken over.
create function ordak.hold_lease(store text, lease uuid) returns boolean
language plpgsql set search_path = '' as $$
begin
  update ordak.sync_stores as s set lease_until = now() + t.lease_time
  from ordak.sync_settings as t
  where s.store = hold_lease.store and s.lease_token = lease;
  return found;
end
$$;


-- claim_reading: something to be read; each kind is asked for only where those before have nothing. After a failure it is
-- the other way round, so that what fails whenever it is asked keeps nothing else waiting.
create function ordak.claim_reading(store text, token uuid) returns jsonb
language plpgsql set search_path = '' as $$
begin
  if exists (select from ordak.sync_stores as s where s.store = claim_reading.store and s.failures % 2 = 1) then
    return coalesce(
      ordak.claim_fetch_products(store, token), ordak.claim_list_orders(store, token),
      ordak.claim_fetch_orders(store, token), ordak.claim_read_levels(store, token),
      ordak.claim_find_listings(store, token));
  end if;
  return coalesce(
    ordak.claim_find_listings(store, token), ordak.claim_read_levels(store, token),
    ordak.claim_fetch_orders(store, token), ordak.claim_list_orders(store, token),
    ordak.claim_fetch_products(store, token));
end
$$;


-- next_work: what the worker of a store, whose row is locked, is to do next.
create function ordak.next_work(store text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_token constant uuid := gen_random_uuid();
  v_work  jsonb;
begin
  perform ordak.give_up_pushes(array[store]);
  perform ordak.free_rows(store);
  if exists (select from ordak.stores as s where s.code = next_work.store and s.stopped_at is not null) then
    return ordak.no_work(null);
  elsif not exists (select from ordak.sync_stores as s
                    where s.store = next_work.store and s.backoff_until > clock_timestamp()) then
    v_work := coalesce(ordak.claim_push(store, v_token), ordak.claim_reading(store, v_token));
    -- What is due and not to be had is locked by somebody who is about to commit.
    if v_work is null and ordak.due_at(store) <= clock_timestamp() then
      update ordak.sync_stores as s set backoff_until = clock_timestamp() + interval '1 second'
      where s.store = next_work.store;
    end if;
  end if;
  return coalesce(v_work, ordak.no_work(ordak.due_at(store)));
end
$$;


-- no_work: what a worker is answered where there is nothing, with how long to wait where that is not long.
create function ordak.no_work(due timestamptz) returns jsonb
language sql volatile set search_path = '' as $$
  select jsonb_build_object('work', 'none', 'wait_ms', case
    when due <= clock_timestamp() + interval '2 seconds'
      then greatest(ceil(extract(epoch from due - clock_timestamp()) * 1000), 0) end)
$$;


-- lost_work: what a worker is answered that another has taken over from.
create function ordak.lost_work() returns jsonb
language sql immutable set search_path = '' as $$
  select '{"work": "none", "wait_ms": null, "lost": true}'::jsonb
$$;


create function api.claim_work(store text, lease uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  perform ordak.require_service();
  if not ordak.hold_lease(store, lease) then
    return ordak.lost_work();
  end if;
  -- Here alone: whoever has locked listings locks no others after them.
  if not ordak.give_up_pushes(array[store]) then
    perform ordak.settle_levels(store);
  end if;
  return ordak.next_work(store);
end
$$;
grant execute on function api.claim_work(text, uuid) to service_role;
comment on function api.claim_work(text, uuid) is $$
What a worker is to do next for a store. What it was given before and has not finished is given back.

store    the store
lease    the worker's lease, see begin_sync
returns  {work, token, …}, see ordak-core, sync; {work: none, wait_ms}: there is nothing, or something in so many
         milliseconds; with lost: true another worker has taken over
raises   AUTH001; SYS004
role     service
example  {"store": "bannos", "lease": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"}
$$;


-- rest: has a store's shop left alone for a while.
create function ordak.rest(store text, wait interval, failures int) returns void
language plpgsql set search_path = '' as $$
begin
  update ordak.sync_stores as s set backoff_until = clock_timestamp() + wait, failures = rest.failures
  where s.store = rest.store;
end
$$;


-- stop_store: has nothing more sent to a store's shop until a person has seen to it.
create function ordak.stop_store(store text, reason text) returns void
language plpgsql set search_path = '' as $$
begin
  update ordak.stores as s set stopped_at = now(), stop_reason = left(reason, 500)
  where s.code = stop_store.store and s.stopped_at is null;
  perform ordak.alert('store_stopped', store, store,
    format('SYNC001: Shopify refuses all calls (%s); correct that, then call resume_store', left(reason, 200)));
end
$$;


-- take_trouble: what follows where Shopify did not do what it was asked, whatever that was. An open push is sent
-- again as it is, and was sent once less where it certainly did not happen.
create function ordak.take_trouble(stand ordak.sync_stores, token uuid, result jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_push   constant boolean  := result ->> 'work' = 'push';
  v_reason constant text     := coalesce(result ->> 'reason', result ->> 'outcome');
  -- Null where Shopify says nothing of it: least() alone would pass that over.
  v_after  constant interval := case when result ->> 'after_ms' is not null
    then least((result ->> 'after_ms')::numeric, 3600000) * interval '1 millisecond' end;
begin
  case result ->> 'outcome'
    when 'throttled' then
      perform ordak.rest(stand.store, coalesce(v_after, interval '1 second'), stand.failures);
    when 'failed' then
      perform ordak.rest(stand.store, greatest(v_after, ordak.backoff(stand.failures + 1)), stand.failures + 1);
      if not v_push then
        -- Where the call before failed too, it is Shopify, not what was asked.
        perform ordak.lose_rows(token, v_reason, stand.failures = 0);
      end if;
      return;
    when 'stopped' then
      perform ordak.stop_store(stand.store, v_reason);
  end case;
  if v_push then
    perform ordak.unsend_push(token);
  else
    perform ordak.release_rows(token, null, now());
  end if;
end
$$;


-- take_push: what follows from Shopify's answer to a push.
create function ordak.take_push(stand ordak.sync_stores, key uuid, result jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  case result ->> 'outcome'
    when 'done' then
      perform ordak.count_work(stand.store, ordak.apply_push(key, (result ->> 'at')::timestamptz), 0);
    when 'rejected' then
      if not ordak.reject_push(key, coalesce(result -> 'errors', '[]')) then
        perform ordak.rest(stand.store, ordak.backoff(stand.failures + 1), stand.failures + 1);
      end if;
    when 'concurrent' then
      -- The one that was sent before is still under way there.
      perform ordak.unsend_push(key);
      perform ordak.rest(stand.store, interval '1 second', stand.failures);
    when 'void' then
      if ordak.close_push(key, 'void', 'the one sent before failed') then
        perform ordak.release_rows(key, null, now());
      end if;
    when 'uncertain' then
      perform ordak.alert('sync_bug', stand.store, 'push', format(
        'SYNC001: Shopify knows push %s with another content (%s); tell a developer', key,
        left(result ->> 'reason', 200)));
      perform ordak.doubt_push(key, coalesce(result ->> 'reason', 'uncertain'), false);
  end case;
end
$$;


-- take_result: what follows from how a thing went that a worker did. Nothing where it is no longer the worker's, as
-- after it was lost, or said so before.
create function ordak.take_result(stand ordak.sync_stores, result jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_work    constant text := result ->> 'work';
  v_token   constant uuid := (result ->> 'token')::uuid;
  v_outcome constant text := result ->> 'outcome';
begin
  if not exists (select from ordak.work_queue as w where w.lease_token = v_token) then
    return;
  elsif v_outcome in ('throttled', 'failed', 'stopped') then
    perform ordak.take_trouble(stand, v_token, result);
    return;
  elsif v_outcome = 'done' then
    update ordak.sync_stores as s set failures = 0, backoff_until = null where s.store = stand.store;
  end if;
  case v_work
    when 'push'           then perform ordak.take_push(stand, v_token, result);
    when 'find_listings'  then perform ordak.finish_find_listings(stand.store, v_token, result);
    when 'read_levels'    then perform ordak.finish_read_levels(stand.store, v_token, result);
    when 'fetch_orders'   then perform ordak.finish_fetch_orders(stand.store, v_token, result);
    when 'list_orders'    then perform ordak.finish_list_orders(stand.store, v_token, result);
    when 'fetch_products' then perform ordak.finish_fetch_products(stand.store, v_token, result);
  end case;
end
$$;


-- check_result: refuses with VAL001 what is no result.
create function ordak.check_result(result jsonb) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if (pg_input_is_valid(result ->> 'token', 'uuid')
      and result ->> 'work' in ('push', 'find_listings', 'read_levels', 'fetch_orders', 'list_orders', 'fetch_products')
      and (result ->> 'outcome' in ('done', 'throttled', 'failed', 'stopped')
           or result ->> 'work' = 'push' and result ->> 'outcome' in ('rejected', 'concurrent', 'void', 'uncertain'))
     ) is not true then
    perform ordak.fail('VAL001', 'expected the result of work that was claimed, but found another');
  end if;
end
$$;


create function api.finish_work(store text, lease uuid, result jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_stand ordak.sync_stores;
begin
  perform ordak.require_service();
  perform ordak.check_result(result);
  if not ordak.hold_lease(store, lease) then
    -- Another will hear the same, but Shopify did change, and the sooner we know the better.
    if result ->> 'work' = 'push' and result ->> 'outcome' = 'done' then
      perform ordak.apply_push((result ->> 'token')::uuid, (result ->> 'at')::timestamptz);
    end if;
    return ordak.lost_work();
  end if;
  select * into strict v_stand from ordak.sync_stores as s where s.store = finish_work.store;
  perform ordak.take_result(v_stand, result);
  update ordak.sync_runs as r
  set calls = r.calls + d.calls, cost = r.cost + coalesce((result ->> 'cost')::numeric::bigint, 0),
      failed_calls = r.failed_calls + case when result ->> 'outcome' in ('failed', 'stopped') then d.calls else 0 end
  from (select coalesce((result ->> 'calls')::int, 0) as calls) as d
  where r.id = v_stand.run;
  return ordak.next_work(store);
end
$$;
grant execute on function api.finish_work(text, uuid, jsonb) to service_role;
comment on function api.finish_work(text, uuid, jsonb) is $$
Says how a thing went that a worker was given to do, and asks for the next. Said again it changes nothing.

store    the store
lease    the worker's lease, see begin_sync
result   {work, token, outcome, calls, cost, …}, see ordak-core, sync
returns  as claim_work
raises   AUTH001; VAL001; SYS004
role     service
example  {"store": "bannos", "lease": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01", "result": {"work": "push", "token":
         "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a02", "outcome": "done", "at": "2026-11-24T10:00:00Z"}}
$$;


create function api.end_sync(store text, lease uuid, outcome text, note text default null) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_run  ordak.sync_runs;
  v_next ordak.sync_runs;
  v_due  boolean;
begin
  perform ordak.require_service();
  if outcome in ('done', 'left', 'failed') is not true then
    perform ordak.fail('VAL001', 'expected done, left or failed, but found another');
  end if;
  if not ordak.hold_lease(store, lease) then
    return false;
  end if;
  -- Whose time is over has begun nothing of what they were given last.
  perform ordak.free_rows(store, outcome <> 'left');
  select r.* into strict v_run from ordak.sync_stores as s join ordak.sync_runs as r on r.id = s.run
  where s.store = end_sync.store;
  v_due := coalesce(ordak.due_at(store) <= clock_timestamp(), false)
           and exists (select from ordak.stores as s where s.code = end_sync.store and s.stopped_at is null);
  if outcome = 'done' and v_due then
    return true;
  end if;
  if outcome = 'done' then
    v_next := ordak.adopt_run(store, true);
  end if;
  perform ordak.close_run(v_run.id, case when outcome = 'failed' then 'failed'
    when v_run.trigger = 'manual' and ordak.run_left(v_run) > 0 then 'queued' else 'done' end, note);
  update ordak.sync_stores as s
  set run = v_next.id, lease_token = case when v_next.id is not null then s.lease_token end,
      lease_until = case when v_next.id is not null then s.lease_until end
  where s.store = end_sync.store;
  return v_next.id is not null;
end
$$;
grant execute on function api.end_sync(text, uuid, text, text) to service_role;
comment on function api.end_sync(text, uuid, text, text) is $$
Ends a worker's work for a store, unless there is more by now.

store    the store
lease    the worker's lease, see begin_sync
outcome  done: there was nothing more; left: there may be, but the worker has no more time; failed
note     for a person who looks at the run
returns  true: there is more, which the worker goes on with under the same lease; false: it is over
raises   AUTH001; VAL001; SYS004
role     service
example  {"store": "bannos", "lease": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01", "outcome": "done"}
$$;
