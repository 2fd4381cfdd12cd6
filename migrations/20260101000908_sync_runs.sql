-- Sync runs: where work for each store stands, and who worked when for it.

-- sync_stores: where work for a store stands, one row each. Its row is what begin, claim, finish and end lock first.
create table ordak.sync_stores (
  store         text primary key,
  -- The worker's, until it ends or another takes over after lease_until.
  lease_token   uuid,
  lease_until   timestamptz,
  -- The run that it works in.
  run           bigint,
  -- Nothing is asked of Shopify before.
  backoff_until timestamptz,
  -- How many calls in a row Shopify did not answer.
  failures      int not null default 0,
  -- Up to when all orders that changed at Shopify are here.
  orders_through timestamptz,
  -- A list of orders that is being read: from when on, up to which page, and when it began.
  orders_since  timestamptz,
  orders_cursor text,
  orders_began  timestamptz,
  -- The store's day of the last nightly check.
  checked_on    date,

  constraint sync_stores_store_fkey foreign key (store) references ordak.stores (code),
  constraint sync_stores_lease      check (num_nulls(lease_token, lease_until, run) in (0, 3))
);
alter table ordak.sync_stores enable row level security;


-- add_sync_store: gives a new store its row, so that nobody meets a store without.
create function ordak.add_sync_store() returns trigger
language plpgsql set search_path = '' as $$
begin
  insert into ordak.sync_stores (store) values (new.code);
  return null;
end
$$;
create trigger stores_add_sync_store after insert on ordak.stores
  for each row execute function ordak.add_sync_store();


-- sync_runs: who worked when for a store, why, and what came of it. Those that people ask for are there before they
-- run.
create table ordak.sync_runs (
  id           bigint generated always as identity primary key,
  -- What it is known by; the same for all stores that are asked for, or taken up, at once.
  run_id       uuid        not null,
  trigger      text        not null,
  store        text        not null,
  state        text        not null default 'queued',
  -- Whether all levels are to be read, and of which items alone; null for all.
  "full"       boolean     not null default false,
  skus         text[],
  requested_by bigint,
  created_at   timestamptz not null default now(),
  started_at   timestamptz,
  finished_at  timestamptz,
  calls        int         not null default 0,
  -- Those that Shopify did not answer, or refused altogether.
  failed_calls int         not null default 0,
  cost         bigint      not null default 0,
  pushed       int         not null default 0,
  failed       int         not null default 0,
  note         text,

  constraint sync_runs_store_fkey        foreign key (store) references ordak.stores (code),
  constraint sync_runs_requested_by_fkey foreign key (requested_by) references ordak.staff_shared (id),
  constraint sync_runs_key               unique (run_id, store),
  constraint sync_runs_trigger_word      check (trigger in ('schedule', 'kick', 'manual')),
  constraint sync_runs_state_word        check (state in ('queued', 'running', 'done', 'failed')),
  constraint sync_runs_finished          check ((state in ('done', 'failed')) = (finished_at is not null))
);
create index sync_runs_store_idx on ordak.sync_runs (store, id);
create index sync_runs_requested_by_idx on ordak.sync_runs (requested_by);
create index sync_runs_open_idx on ordak.sync_runs (store, id) where state in ('queued', 'running');
alter table ordak.sync_runs enable row level security;
alter table ordak.sync_stores add constraint sync_stores_run_fkey foreign key (run) references ordak.sync_runs (id);
create index sync_stores_run_idx on ordak.sync_stores (run);


-- schedule_beats: when each schedule last came; one that stays away is noticed by that.
create table ordak.schedule_beats (
  name text        primary key,
  at   timestamptz not null
);
alter table ordak.schedule_beats enable row level security;


-- count_work: adds to what the run of a store's worker has come to.
create function ordak.count_work(store text, pushed int, failed int) returns void
language plpgsql set search_path = '' as $$
begin
  update ordak.sync_runs as r
  set pushed = r.pushed + count_work.pushed, failed = r.failed + count_work.failed
  from ordak.sync_stores as s where s.store = count_work.store and r.id = s.run;
end
$$;


-- due_at: when a store has something to do next; null where nothing is known.
create function ordak.due_at(store text) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_open constant timestamptz := (select b.opened_at from ordak.push_batches as b
                                  where b.store = due_at.store and b.state = 'open');
  -- By topic, as the index is.
  v_due  constant timestamptz := least(v_open, (
    select min(w.run_at)
    from unnest('{inventory_push,find_listing,base_listing,refetch_order,list_orders,product_image}'::text[])
      as t (topic)
    cross join lateral (
      select q.run_at from ordak.work_queue as q
      where q.store = due_at.store and q.topic = t.topic and q.state = 'ready' order by q.run_at limit 1
    ) as w));
begin
  return case when v_due is not null then
    greatest(v_due, (select s.backoff_until from ordak.sync_stores as s where s.store = due_at.store)) end;
end
$$;


-- free_rows: what somebody claimed of a store and will not finish, for they are gone, or ask for more. An open push
-- keeps its rows: it is sent again.
--
-- begun  whether it may have been begun: where not, nothing is counted
create function ordak.free_rows(store text, begun boolean default true) returns void
language plpgsql set search_path = '' as $$
declare
  v_token uuid;
begin
  for v_token in
    select distinct w.lease_token from ordak.work_queue as w
    where w.lease_token is not null and w.store = free_rows.store
      and not exists (select from ordak.push_batches as b where b.key = w.lease_token)
  loop
    if begun then
      perform ordak.lose_rows(v_token, 'the worker was lost', true);
    else
      perform ordak.release_rows(v_token, null, now());
    end if;
  end loop;
end
$$;


-- adopt_run: has the run begin, or go on, that people have asked for of a store; null where there is none.
--
-- fresh  only one that has not begun: those that have wait for what is not due yet
create function ordak.adopt_run(store text, fresh boolean) returns ordak.sync_runs
language plpgsql set search_path = '' as $$
declare
  v_run ordak.sync_runs;
begin
  update ordak.sync_runs as r set state = 'running', started_at = coalesce(r.started_at, now())
  where r.id = (
    select q.id from ordak.sync_runs as q
    where q.store = adopt_run.store and q.state = 'queued' and (not fresh or q.started_at is null)
    order by q.started_at nulls first, q.id limit 1)
  returning * into v_run;
  if v_run.trigger = 'manual' then
    -- Somebody wants to know now.
    update ordak.sync_stores as s set backoff_until = null where s.store = adopt_run.store;
  end if;
  return v_run;
end
$$;


-- close_run: ends a store's run.
create function ordak.close_run(run bigint, state text, note text) returns void
language plpgsql set search_path = '' as $$
begin
  update ordak.sync_runs as r
  set state = close_run.state, note = left(coalesce(close_run.note, r.note), 500),
      finished_at = case when close_run.state in ('done', 'failed') then now() end
  where r.id = run;
end
$$;


-- close_runs: ends those of a store's runs that were waiting for what was not due, and have nothing left.
create function ordak.close_runs(store text) returns void
language plpgsql set search_path = '' as $$
begin
  perform ordak.close_run(r.id, 'done', null) from ordak.sync_runs as r
  where r.store = close_runs.store and r.state = 'queued' and r.started_at is not null and ordak.run_left(r) = 0;
end
$$;
