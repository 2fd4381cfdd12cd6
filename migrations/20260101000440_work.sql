-- Work: what is left to be done outside of the transaction that finds it.

-- work_queue: "this still has to be done", never "do this once more": a thousand marks of one thing make one row. A row
-- that is done is deleted. docs/sync.md draws its states.
create table ordak.work_queue (
  id              bigint generated always as identity primary key,
  topic           text        not null,
  store           text        not null,
  -- What it is to be done to: a listing, an item, the store, or an order's or a product's id at Shopify.
  key             text        not null,
  state           text        not null default 'ready',
  -- Counts the marks, so that one that comes while the work is under way is not lost.
  version         bigint      not null default 1,
  -- The version that was last claimed; it stays when the row is ready again.
  claimed_version bigint,
  -- Whose it is while it is leased: an answer for another token is not about it.
  lease_token     uuid,
  lease_until     timestamptz,
  -- How often an error named it.
  attempts        int         not null default 0,
  -- How often it was tried with others and nobody knows what became of them: it is tried with fewer then.
  losses          int         not null default 0,
  run_at          timestamptz not null default now(),
  last_error      text,
  died_at         timestamptz,
  created_at      timestamptz not null default now(),

  constraint work_queue_store_fkey foreign key (store) references ordak.stores (code),
  -- The key first: it tells more than the others, and mark_owed finds by it alone.
  constraint work_queue_key        unique (key, topic, store),
  constraint work_queue_topic_word check (topic in ('inventory_push', 'find_listing', 'base_listing', 'refetch_order',
                                                    'list_orders', 'product_image')),
  constraint work_queue_state_word check (state in ('ready', 'leased', 'dead')),
  constraint work_queue_lease      check (case state when 'leased'
                                            then num_nulls(lease_token, lease_until, claimed_version) = 0
                                            else num_nonnulls(lease_token, lease_until) = 0 end),
  constraint work_queue_death      check (case state when 'dead' then num_nulls(died_at, last_error) = 0
                                            else died_at is null end)
);
create index work_queue_store_idx on ordak.work_queue (store, topic, state, run_at, id);
create index work_queue_lease_idx on ordak.work_queue (lease_token) where lease_token is not null;
create index work_queue_dead_idx on ordak.work_queue (id) where state = 'dead';
alter table ordak.work_queue enable row level security;


-- max_attempts: after how many errors that name it a row is dead.
create function ordak.max_attempts() returns int
language sql immutable set search_path = '' as $$
  select 8
$$;


-- backoff: how long to wait after so many failures: any time up to twice as long as after the one before, and up to 15
-- minutes, so that those who failed together do not come back together.
create function ordak.backoff(failures int) returns interval
language sql volatile set search_path = '' as $$
  select random() * least(interval '15 minutes', interval '1 second' * (1 << least(failures, 10)))
$$;


-- note_dirt: notes that this transaction has something to be pushed: whoever answers its caller says so, and the worker is
-- called at once.
create function ordak.note_dirt() returns void
language plpgsql set search_path = '' as $$
begin
  perform set_config('ordak.dirty', 'true', true);
end
$$;


-- mark_all: says that something has to be done to each of several, as many stores as keys. Doing nothing where a row is
-- there would lose a mark that comes after the worker has read and before it has finished; hence the version. What is
-- dead is tried again; what waits after an error goes on waiting.
--
-- Always in the same order, or two callers who mark the same ones could wait for each other.
--
-- run_at  from when on each is due that was not marked; null for at once
create function ordak.mark_all(topic text, stores text[], keys text[], run_at timestamptz[] default null) returns void
language plpgsql set search_path = '' as $$
begin
  insert into ordak.work_queue as w (topic, store, key, run_at)
  select mark_all.topic, m.store, m.key, coalesce(max(m.run_at), now())
  from unnest(stores, keys, mark_all.run_at) as m (store, key, run_at) group by m.store, m.key order by m.store, m.key
  on conflict on constraint work_queue_key do update set
    version = w.version + 1,
    state = case w.state when 'dead' then 'ready' else w.state end,
    attempts = case w.state when 'dead' then 0 else w.attempts end,
    losses = case w.state when 'dead' then 0 else w.losses end,
    run_at = case w.state when 'dead' then now() else w.run_at end,
    last_error = case w.state when 'dead' then null else w.last_error end,
    died_at = null;
  if found and mark_all.topic = 'inventory_push' then
    perform ordak.note_dirt();
  end if;
end
$$;


-- mark: says that something has to be done.
create function ordak.mark(topic text, store text, key text) returns void
language plpgsql set search_path = '' as $$
begin
  perform ordak.mark_all(mark.topic, array[mark.store], array[mark.key]);
end
$$;


-- with_dirt: an answer, with `"dirty": true` where its transaction marked something to be pushed.
create function ordak.with_dirt(answer jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select case current_setting('ordak.dirty', true) when 'true' then answer || '{"dirty": true}' else answer end
$$;


-- claim_rows: leases up to so many due rows of a topic. Those that failed among others are claimed in halves of what
-- they failed in, and only with those that failed as often: so what makes them fail is alone in the end, and the
-- others are not. Whoever calls holds the store's row in sync_stores, as all do that end or give back a claim.
--
-- lease  how long it is the claimer's; null for as long as workers have
create function ordak.claim_rows(topic text, store text, token uuid, most int, lease interval default null)
returns setof ordak.work_queue
language plpgsql set search_path = '' as $$
declare
  v_now    constant timestamptz := clock_timestamp();
  v_until  constant timestamptz := v_now + coalesce(lease, (select s.lease_time from ordak.sync_settings as s));
  v_losses int;
begin
  select w.losses into v_losses from ordak.work_queue as w
  where w.store = claim_rows.store and w.topic = claim_rows.topic and w.state = 'ready' and w.run_at <= v_now
  order by w.run_at, w.id limit 1;
  if not found then
    return;
  end if;
  return query
    with due as materialized (
      select w.id from ordak.work_queue as w
      where w.store = claim_rows.store and w.topic = claim_rows.topic and w.state = 'ready' and w.run_at <= v_now
        and w.losses = v_losses
      order by w.run_at, w.id limit greatest(most >> least(v_losses, 30), 1)
      -- Whoever is marking a row has it locked until they commit: it is claimed then.
      for update skip locked
    )
    update ordak.work_queue as w
    set state = 'leased', claimed_version = w.version, lease_token = token, lease_until = v_until
    from due where w.id = due.id
    returning w.*;
end
$$;


-- lock_rows: locks what is claimed under a token in the order in which it is marked, and answers how much it is.
create function ordak.lock_rows(token uuid) returns int
language plpgsql set search_path = '' as $$
declare
  v_count int;
begin
  perform from ordak.work_queue as w where w.lease_token = token order by w.store, w.key for update;
  get diagnostics v_count = row_count;
  return v_count;
end
$$;


-- release_rows: gives back what is claimed under a token, or these keys of it, to be claimed again from an instant on;
-- nothing is counted.
create function ordak.release_rows(token uuid, keys text[], run_at timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  perform ordak.lock_rows(token);
  update ordak.work_queue as w
  set state = 'ready', lease_token = null, lease_until = null, run_at = release_rows.run_at
  where w.lease_token = token and (keys is null or w.key = any (keys));
end
$$;


-- end_rows: ends these of what is claimed under a token, which need nothing any more.
create function ordak.end_rows(token uuid, keys text[]) returns void
language sql set search_path = '' as $$
  delete from ordak.work_queue as w where w.lease_token = token and w.key = any (keys)
$$;


-- fail_rows: counts an error that names the row for each of these keys under a token. One that was marked meanwhile is
-- never dead: the mark would have revived it.
create function ordak.fail_rows(token uuid, keys text[], errors text[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_store text;
  v_count int;
begin
  perform ordak.lock_rows(token);
  with failed as (
    update ordak.work_queue as w
    set attempts = w.attempts + 1, state = d.state, last_error = coalesce(left(f.error, 500), 'unknown'),
        died_at = case d.state when 'dead' then now() end, run_at = clock_timestamp() + ordak.backoff(w.attempts + 1),
        lease_token = null, lease_until = null
    from ordak.work_queue as o
    join unnest(keys, errors) as f (key, error) on f.key = o.key
    cross join lateral (select case when o.attempts + 1 >= ordak.max_attempts() and o.version = o.claimed_version
                                    then 'dead' else 'ready' end as state) as d
    where w.id = o.id and o.lease_token = token
    returning w.store
  )
  select f.store, count(*) into v_store, v_count from failed as f group by f.store;
  perform ordak.count_work(v_store, 0, v_count);
end
$$;


-- finish_rows: ends a claim: of those under the token, some failed, and the others are done.
--
-- failures  [{key, error}]
create function ordak.finish_rows(token uuid, failures jsonb default '[]') returns void
language plpgsql set search_path = '' as $$
begin
  perform ordak.fail_rows(token, array_agg(f.key), array_agg(f.error))
  from jsonb_to_recordset(failures) as f (key text, error text);
  delete from ordak.work_queue as w where w.lease_token = token and w.version = w.claimed_version;
  -- Marked meanwhile: what was done may not be all.
  perform ordak.renew_rows(token);
end
$$;


-- renew_rows: what is left under a token is to be done anew when it is due, with nothing against it.
create function ordak.renew_rows(token uuid) returns void
language plpgsql set search_path = '' as $$
begin
  update ordak.work_queue as w
  set state = 'ready', lease_token = null, lease_until = null, attempts = 0, losses = 0, last_error = null
  where w.lease_token = token;
end
$$;


-- lose_rows: gives back what is claimed under a token where nobody knows what became of it: several are tried in
-- halves, a single one is to blame itself where `blame` says so.
create function ordak.lose_rows(token uuid, reason text, blame boolean) returns void
language plpgsql set search_path = '' as $$
declare
  v_count constant int := ordak.lock_rows(token);
  v_run_at timestamptz;
begin
  if v_count = 1 and blame then
    perform ordak.fail_rows(token, array[w.key], array[reason])
    from ordak.work_queue as w where w.lease_token = token;
    return;
  end if;
  select clock_timestamp() + ordak.backoff(max(w.losses + w.attempts) + 1) into v_run_at
  from ordak.work_queue as w where w.lease_token = token;
  update ordak.work_queue as w
  set state = 'ready', lease_token = null, lease_until = null, last_error = left(reason, 500), run_at = v_run_at,
      losses = w.losses + case when v_count > 1 then 1 else 0 end
  where w.lease_token = token;
end
$$;


-- tell_of_death: a dead row has an alert, which is resolved when the row is revived or gone.
create function ordak.tell_of_death() returns trigger
language plpgsql set search_path = '' as $$
begin
  if tg_op = 'UPDATE' and new.state = 'dead' then
    perform ordak.alert('sync_dead', new.store, format('%s %s', new.topic, new.key), format(
      'SYNC001: %s of %s failed %s times and was given up (%s); see list_failed_sync, then call retry_failed_sync',
      new.topic, new.key, new.attempts, left(new.last_error, 200)));
  else
    perform ordak.resolve_alert('sync_dead', old.store, format('%s %s', old.topic, old.key));
  end if;
  return null;
end
$$;
create trigger work_queue_death after update on ordak.work_queue
  for each row when (old.state <> new.state and 'dead' in (old.state, new.state))
  execute function ordak.tell_of_death();
create trigger work_queue_burial after delete on ordak.work_queue
  for each row when (old.state = 'dead') execute function ordak.tell_of_death();
