-- Requests: what starts by the clock, and what an Admin or one of our servers asks for (see docs/sync.md).

-- plan_nightly: has what Shopify shows compared, and what has no listing looked up, once a day at night, in stores whose
-- stock is counted.
create function ordak.plan_nightly() returns void
language plpgsql set search_path = '' as $$
declare
  v_stores constant text[] := array(
    select s.code from ordak.sync_stores as y join ordak.stores as s on s.code = y.store
    where ordak.is_tracked(s.code) and s.stopped_at is null
      and (now() at time zone s.time_zone)::time >= time '03:00'
      and y.checked_on is distinct from ordak.local_day(s.time_zone, now())
    order by s.code);
begin
  update ordak.sync_stores as y set checked_on = ordak.local_day(s.time_zone, now())
  from ordak.stores as s where s.code = y.store and y.store = any (v_stores);
  perform ordak.mark_base(array(
    select g.id from ordak.listings as g where g.store = any (v_stores) and g.enabled));
  perform ordak.mark_missing_listings(s) from unnest(v_stores) as s;
  -- Its levels were read long since.
  perform ordak.resolve_alert('sync_bug', s, 'push') from unnest(v_stores) as s;
end
$$;


-- plan_bases: has levels read that nothing can begin without: of what is new, or counted from now on.
create function ordak.plan_bases() returns void
language plpgsql set search_path = '' as $$
begin
  perform ordak.mark_base(array(
    select g.id from ordak.listings as g
    where g.based_at is null and g.enabled and ordak.is_tracked(g.store)
      -- Also none that was given up: that waits for a person, or the night.
      and not exists (select from ordak.work_queue as w
                      where (w.topic, w.store, w.key) = ('base_listing', g.store, g.id::text))));
end
$$;


-- plan_work: marks what is to be done because of the time. Called by each schedule, however often they come.
create function ordak.plan_work() returns void
language plpgsql set search_path = '' as $$
begin
  -- Before any row of the queue, as whoever works for a store locks them.
  perform from ordak.sync_stores as y order by y.store for no key update;
  perform ordak.plan_nightly();
  perform ordak.plan_bases();
  perform ordak.mark_all('list_orders', array_agg(y.store), array_agg(y.store))
  from ordak.sync_stores as y
  join ordak.stores as s on s.code = y.store and s.stopped_at is null
  where coalesce(y.orders_through <= now() - (select t.orders_every from ordak.sync_settings as t), true)
    and not exists (
      select from ordak.work_queue as w
      where (w.topic, w.store, w.key) = ('list_orders', y.store, y.store)
        -- What was given up is tried again as seldom as it is asked for.
        and coalesce(w.died_at > now() - (select t.orders_every from ordak.sync_settings as t), true));
  perform ordak.recheck_levels();
  insert into ordak.schedule_beats as b (name, at) values ('clean_up', now())
  on conflict (name) do update set at = excluded.at where b.at <= excluded.at - interval '1 hour';
  if found then
    perform ordak.clean_up(5000, now() - interval '30 days');
  end if;
end
$$;


-- run_rows: the work that a run is about: what was there of its stores, or of its items in them, when it was asked for.
-- Without an instant, what is there now.
create function ordak.run_rows(store text, items bigint[], at timestamptz default 'infinity') returns setof ordak.work_queue
language plpgsql stable set search_path = '' as $$
begin
  return query
    select w.* from ordak.work_queue as w
      where w.store = run_rows.store and w.created_at <= run_rows.at and (items is null
      or w.topic = 'find_listing' and w.key = any (items::text[])
      or w.topic in ('inventory_push', 'base_listing') and w.key in (
        select g.id::text from ordak.listings as g where g.item = any (items)));
end
$$;


-- run_count: how much of what a run is about is in one of these states.
create function ordak.run_count(run ordak.sync_runs, states text[]) returns bigint
language plpgsql stable set search_path = '' as $$
begin
  return (
    select count(*)
    from ordak.run_rows(run.store, (select array_agg(i.id) from ordak.items as i where i.sku = any (run.skus)),
                        run.created_at) as w
    where w.state = any (states));
end
$$;


-- run_left: how much of what a run is about is still to be done.
create function ordak.run_left(run ordak.sync_runs) returns bigint
language sql stable set search_path = '' as $$
  select ordak.run_count(run, '{ready,leased}')
$$;


-- run_dead: how much of what a run is about nobody tries any more.
create function ordak.run_dead(run ordak.sync_runs) returns bigint
language sql stable set search_path = '' as $$
  select ordak.run_count(run, '{dead}')
$$;


-- sync_scope: the stores that can be synchronised, of one or of all. Raises VAL001 where that is none.
create function ordak.sync_scope(store text) returns text[]
language plpgsql stable set search_path = '' as $$
declare
  v_store  ordak.stores;
  v_stores text[];
begin
  perform ordak.check_store(store);
  select * into v_store from ordak.stores as s where s.code = sync_scope.store;
  if v_store.stopped_at is not null then
    perform ordak.fail('VAL001', format('expected a store that is served, but found that %s is stopped: %s', store,
                                        v_store.stop_reason), 'remove the cause, then call resume_store');
  elsif store is not null and not ordak.is_tracked(store) then
    perform ordak.fail('VAL001', format('expected a store whose stock is counted, but found that of %s is not', store),
                       'call start_tracking first');
  end if;
  v_stores := array(
    select s.code from ordak.stores as s
    where s.code = coalesce(sync_scope.store, s.code) and s.stopped_at is null and ordak.is_tracked(s.code)
    order by s.code);
  if v_stores = '{}' then
    perform ordak.fail('VAL001', 'expected a store that is served and whose stock is counted, but found none',
                       'call resume_store or start_tracking first');
  end if;
  return v_stores;
end
$$;


-- mark_run: has what a run is about be due now.
--
-- items       the items that it is about; null for all
-- full_check  whether to compare with Shopify also what is owed nothing
create function ordak.mark_run(stores text[], items bigint[], full_check boolean) returns void
language plpgsql set search_path = '' as $$
begin
  -- First of all, and before any row of the queue.
  update ordak.sync_stores as y set backoff_until = null where y.store = any (stores) and y.backoff_until is not null;
  if full_check then
    perform ordak.mark_all('base_listing', array_agg(g.store), array_agg(g.id::text))
    from ordak.listings as g
    where g.store = any (stores) and g.enabled and (items is null or g.item = any (items));
    perform ordak.mark_all('list_orders', stores, stores);
  end if;
  if full_check or items is not null then
    perform ordak.mark_missing_listings(s, i)
    from unnest(stores) as s cross join unnest(coalesce(items, array[null::bigint])) as i;
  end if;
  with due as materialized (
    select w.id from ordak.work_queue as w
    where w.id in (select r.id from unnest(stores) as s cross join lateral ordak.run_rows(s, items) as r)
      and w.state = 'ready' and w.run_at > now()
      -- A level that was read waits for what happened up to then.
      and not (w.topic = 'base_listing' and exists (
        select from ordak.level_reads as l where l.listing::text = w.key and l.due_at is not null))
    order by w.topic, w.store, w.key
    -- Whoever marks one now may wait for another of these.
    for no key update skip locked
  )
  update ordak.work_queue as w set run_at = now() from due as d where w.id = d.id;
end
$$;


-- request_sync: has stores synchronised now, unless the same was asked for and is not done.
--
-- requested_by  the staff row of whoever asks; null for one of our servers
-- store         one store; null for all
create function ordak.request_sync(requested_by bigint, store text, skus text[], full_check boolean) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_stores constant text[] := ordak.sync_scope(store);
  v_skus   constant text[] := (select array_agg(distinct s order by s) from unnest(skus) as s);
  v_items    bigint[];
  v_run      uuid;
  v_asked_at timestamptz;
begin
  if full_check is null then
    perform ordak.fail('VAL001', 'expected full_check to be true or false, but found none');
  elsif skus is not null then
    v_items := ordak.find_items(skus);
  end if;
  -- Of two who ask at once, the second is told of the first one's run.
  perform from ordak.sync_stores as y where y.store = any (v_stores) order by y.store for no key update;
  select r.run_id, min(r.created_at) into v_run, v_asked_at
  from ordak.sync_runs as r
  where r.trigger = 'manual' and r.state in ('queued', 'running') and r."full" = full_check
    and r.skus is not distinct from v_skus
  group by r.run_id having array_agg(r.store order by r.store) = v_stores
  order by 2 limit 1;
  if found then
    return jsonb_build_object('run_id', v_run, 'status', 'already_running',
      'message', format('the same was asked for at %s and is not done', v_asked_at));
  end if;
  v_run := gen_random_uuid();
  perform ordak.mark_run(v_stores, v_items, full_check);
  perform ordak.audit(requested_by, store, 'request_sync', v_run::text, null,
                      jsonb_build_object('skus', v_skus, 'full_check', full_check));
  insert into ordak.sync_runs (run_id, store, trigger, "full", skus, requested_by)
  select v_run, s, 'manual', full_check, v_skus, request_sync.requested_by from unnest(v_stores) as s;
  return jsonb_build_object('run_id', v_run, 'status', 'queued',
    'message', format('%s will be synchronised', array_to_string(v_stores, ', ')));
end
$$;


create function api.request_sync(store text default null, skus text[] default null, full_check boolean default false)
returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin', store);
  return ordak.request_sync(v_me.id, coalesce(store, v_me.store), skus, full_check);
end
$$;
grant execute on function api.request_sync(text, text[], boolean) to authenticated;
comment on function api.request_sync(text, text[], boolean) is $$
Has a shop told now what it is owed, whatever went wrong before. What was asked for already and is not done is not begun
again. `POST /api/v1/sync` does this and starts the work at once; after this call alone the next schedule does.

store       the code of the store; left out for all of the caller's
skus        1 to 100 SKUs of items, and nothing else; left out for everything
full_check  true to have every level read and compared, what has no listing looked up and missed orders fetched too
returns     {run_id, status, message}; status is queued or already_running
raises      AUTH001; AUTH002 not an Admin of the store; VAL001, also for a store that is stopped or whose stock is not
            counted; INV002 no such item
role        Admin
example     {"store": "bannos"}
$$;


create function api.request_sync_service(store text default null, skus text[] default null, full_check boolean default false)
returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  perform ordak.require_service();
  return ordak.request_sync(null, store, skus, full_check);
end
$$;
grant execute on function api.request_sync_service(text, text[], boolean) to service_role;
comment on function api.request_sync_service(text, text[], boolean) is $$
The same as request_sync, for requests that a function has found to be signed.

store       the code of the store; left out for all
skus        1 to 100 SKUs of items, and nothing else; left out for everything
full_check  true to have every level read and compared, what has no listing looked up and missed orders fetched too
returns     {run_id, status, message}; status is queued or already_running
raises      AUTH001; VAL001, also for a store that is stopped or whose stock is not counted; INV002 no such item
role        service
example     {"skus": ["CAKE-1"]}
$$;


-- sync_run: how a run stands in the stores that somebody may see. Raises ORD001 where there is none.
--
-- store  the one store; null for all
create function ordak.sync_run(run_id uuid, store text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_run jsonb;
begin
  select jsonb_build_object(
    'run_id', sync_run.run_id,
    'status', case when bool_and(r.state = 'queued') then 'queued'
                   when bool_or(r.state in ('queued', 'running')) then 'running'
                   when bool_or(r.state = 'failed') then 'failed' else 'done' end,
    'stores', jsonb_agg(jsonb_build_object(
      'store', r.store, 'status', r.state, 'pushed', r.pushed, 'failed', ordak.run_dead(r), 'calls', r.calls, 'cost', r.cost,
      'left', case when r.state in ('queued', 'running') then ordak.run_left(r) else 0 end, 'note', r.note,
      'created_at', r.created_at, 'started_at', r.started_at, 'finished_at', r.finished_at) order by r.store))
  into v_run
  from ordak.sync_runs as r
  where r.run_id = sync_run.run_id and r.store = coalesce(sync_run.store, r.store)
  having count(*) > 0;
  if v_run is null then
    perform ordak.fail('ORD001', 'expected the id of a run, but found another', 'runs are kept for 30 days');
  end if;
  return v_run;
end
$$;


create function api.get_sync_run(run_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin');
  return ordak.sync_run(run_id, v_me.store);
end
$$;
grant execute on function api.get_sync_run(uuid) to authenticated;
comment on function api.get_sync_run(uuid) is $$
How far what request_sync began has come.

run_id   which one
returns  {run_id, status, stores}; status is queued, running, done or failed. Of each store its status, how many listings
         were pushed, how much of what it is about failed too often and was given up (failed), how many calls of Shopify
         were made and what they cost, how much is left, a note for people, created_at, started_at and finished_at
raises   AUTH001; AUTH002 not an Admin; ORD001 no such run in the caller's stores
role     Admin
example  {"run_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"}
$$;


create function api.get_sync_run_service(run_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_service();
  return ordak.sync_run(run_id, null);
end
$$;
grant execute on function api.get_sync_run_service(uuid) to service_role;
comment on function api.get_sync_run_service(uuid) is $$
The same as get_sync_run, for requests that a function has found to be signed.

run_id   which one
returns  {run_id, status, stores}, see get_sync_run
raises   AUTH001; ORD001 no such run
role     service
example  {"run_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"}
$$;
