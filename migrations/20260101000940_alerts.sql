-- Alerts that no single call finds: what has waited, stayed away or failed for too long. They are looked for each time
-- that people are told of alerts; from when on, ordak.sync_settings says.
--
-- Each rule is a function that answers with what there is to tell now. What it no longer answers with is over, so a
-- rule whose end is not the absence of its beginning looks at whether its alert is open.

create index sync_runs_recent_idx on ordak.sync_runs (coalesce(finished_at, started_at));
create index work_queue_due_idx on ordak.work_queue (store, run_at) where state = 'ready';

create type ordak.alert_cause as (kind text, store text, subject text, message text);


-- spoken: a duration as people say it, in whole hours or else in minutes.
create function ordak.spoken(duration interval) returns text
language sql immutable set search_path = '' as $$
  select case when m >= 120 and m % 60 = 0 then format('%s hours', (m / 60)::int) else format('%s minutes', m::int) end
  from floor(extract(epoch from duration) / 60) as m
$$;


-- opened_at: when a store opened that is open at an instant; null where it is closed then. By its own clock, so that a
-- day on which the clocks change is as long as it is.
create function ordak.opened_at(store text, at timestamptz) returns timestamptz
language sql stable set search_path = '' as $$
  select h.opens
  from ordak.stores as s
  join ordak.settings as t on t.store = s.code
  cross join lateral ordak.local_day(s.time_zone, opened_at.at) as day
  cross join lateral (
    select (day + t.open_from) at time zone s.time_zone as opens,
           (day + t.open_until) at time zone s.time_zone as closes
  ) as h
  where s.code = opened_at.store and opened_at.at >= h.opens and opened_at.at < h.closes
    and t.due_allowed_days[extract(isodow from day)::int] and day <> all (t.due_blackout_dates)
$$;


-- is_raised: whether an alert about a store as a whole is open.
create function ordak.is_raised(kind text, store text) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from ordak.alerts as a
                 where a.kind = is_raised.kind and coalesce(a.store, '') = coalesce(is_raised.store, '')
                   and a.subject = coalesce(is_raised.store, '') and a.resolved_at is null)
$$;


-- find_backlog: stores for which more work waits than it should, or longer. A stopped store's waits, as people know.
create function ordak.find_backlog(limits ordak.sync_settings) returns setof ordak.alert_cause
language sql stable set search_path = '' as $$
  select 'sync_backlog', s.code, s.code,
    case when w.ready > limits.alert_backlog
      then format('SYNC001: more than %s things wait to be done with Shopify', limits.alert_backlog)
      else format('SYNC001: something has waited for more than %s to be done with Shopify',
                  ordak.spoken(limits.alert_backlog_age)) end
  from ordak.stores as s
  cross join lateral (
    select count(*) as ready, min(d.run_at) as oldest
    from (
      select q.run_at from ordak.work_queue as q
      where q.store = s.code and q.state = 'ready' and q.run_at <= now()
      order by q.run_at limit limits.alert_backlog + 1
    ) as d
  ) as w
  where s.stopped_at is null
    and (w.ready > limits.alert_backlog or w.oldest < now() - limits.alert_backlog_age)
$$;


-- find_errors: stores whose calls fail too often. A store that backs off makes few calls: of those, all failing is
-- enough, and none says nothing, so that what was told stays so until a call succeeds.
create function ordak.find_errors(limits ordak.sync_settings) returns setof ordak.alert_cause
language sql stable set search_path = '' as $$
  select 'sync_errors', s.code, s.code,
         format('SYNC001: more than %s %% of the calls to Shopify failed within %s', limits.alert_error_percent,
                ordak.spoken(limits.alert_error_window))
  from ordak.stores as s
  left join (
    select r.store, sum(r.calls) as calls, sum(r.failed_calls) as failed
    from ordak.sync_runs as r
    where coalesce(r.finished_at, r.started_at) > now() - limits.alert_error_window
    group by r.store
  ) as r on r.store = s.code
  cross join lateral (select r.failed * 100 > r.calls * limits.alert_error_percent) as t (too_many)
  where t.too_many and (r.calls >= limits.alert_error_calls or r.calls >= 5 and r.failed = r.calls)
     or ordak.is_raised('sync_errors', s.code) and (r.calls > 0 and not t.too_many) is not true
$$;


-- stuck_tasks: begun tasks of a store in which nothing went on for longer than this, and those that nobody has begun
-- since their day came; at most 100, the oldest first. Those on hold wait for somebody.
create function ordak.stuck_tasks(store ordak.stores, longer interval)
returns table (number text, state text)
language sql stable set search_path = '' as $$
  select t.number, coalesce('has been in ' || t.stage, 'is due and has not been begun')
  from (
    (select b.number, b.stage, b.progressed_at as since
     from ordak.tasks as b
     where b.store = stuck_tasks.store.code and b.stage <> 'Complete' and b.cancelled_at is null
       and b.progressed_at < now() - longer
       and not exists (select from ordak.orders as o where o.id = b.order_key and o.held_at is not null)
     order by b.progressed_at limit 100)
    union all
    (select w.number, null, w.created_at
     from ordak.tasks as w
     where w.store = stuck_tasks.store.code and w.stage <> 'Complete' and w.cancelled_at is null
       and w.progressed_at is null and w.created_at < now() - longer
       and coalesce(w.due_date, '-infinity') <= ordak.local_day(stuck_tasks.store.time_zone, now() - longer)
       and not exists (select from ordak.orders as o where o.id = w.order_key and o.held_at is not null)
     order by coalesce(w.due_date, '-infinity') limit 100)
  ) as t
  order by t.since limit 100
$$;


-- find_stuck: tasks that have stayed in a stage for too long, and those that have for far too long.
create function ordak.find_stuck(limits ordak.sync_settings) returns setof ordak.alert_cause
language sql stable set search_path = '' as $$
  select k.kind, s.code, t.number,
         format('%s %s for more than %s', t.number, t.state, ordak.spoken(k.longer))
  from ordak.stores as s
  cross join (values ('task_stuck', limits.alert_stuck),
                     ('task_stuck_long', limits.alert_stuck_critical)) as k (kind, longer)
  cross join lateral ordak.stuck_tasks(s, k.longer) as t
$$;


-- unassigned_tasks: tasks of a store that are begun, or due today or earlier, and had nobody since before an instant;
-- at most 100. Those on hold wait for somebody.
create function ordak.unassigned_tasks(store ordak.stores, before timestamptz) returns setof text
language sql stable set search_path = '' as $$
  select t.number
  from (
    (select b.* from ordak.tasks as b
     where b.store = unassigned_tasks.store.code and b.stage <> 'Complete' and b.cancelled_at is null
       and b.assignee is null and b.progressed_at < before
     order by b.progressed_at)
    union all
    (select w.* from ordak.tasks as w
     where w.store = unassigned_tasks.store.code and w.stage <> 'Complete' and w.cancelled_at is null
       and w.assignee is null and w.progressed_at is null and w.created_at < before
       and coalesce(w.due_date, '-infinity') <= ordak.local_day(unassigned_tasks.store.time_zone, now())
     order by coalesce(w.due_date, '-infinity'))
  ) as t
  where not exists (select from ordak.orders as o where o.id = t.order_key and o.held_at is not null)
    and not exists (select from ordak.stage_events as e
                    where e.task = t.id and e.action = 'unassign' and e.at >= before)
  limit 100
$$;


-- find_unassigned: tasks that had nobody for too long while their store was open, and those that were told of and still
-- have nobody.
create function ordak.find_unassigned(limits ordak.sync_settings) returns setof ordak.alert_cause
language sql stable set search_path = '' as $$
  select 'task_unassigned', t.store, t.number,
         format('%s has had nobody for more than %s', t.number, ordak.spoken(limits.alert_unassigned))
  from (
    select s.code as store, u.number
    from ordak.stores as s
    cross join lateral ordak.unassigned_tasks(s, now() - limits.alert_unassigned) as u (number)
    where ordak.opened_at(s.code, now()) <= now() - limits.alert_unassigned
    union
    select a.store, a.subject
    from ordak.alerts as a
    join ordak.tasks as k on k.number = a.subject
    join ordak.orders as o on o.id = k.order_key
    where a.kind = 'task_unassigned' and a.resolved_at is null
      and k.assignee is null and k.stage <> 'Complete' and k.cancelled_at is null and o.held_at is null
  ) as t
$$;


-- find_no_orders: stores that have been open for long and got no order meanwhile, and those that were told of and still
-- got none. One that never had any has not opened yet.
create function ordak.find_no_orders(limits ordak.sync_settings) returns setof ordak.alert_cause
language sql stable set search_path = '' as $$
  select 'no_orders', s.code, s.code,
         format('the store is open and has had no order for %s; see whether Shopify''s webhooks arrive',
                ordak.spoken(limits.alert_no_orders))
  from ordak.stores as s
  where s.stopped_at is null
    and (ordak.opened_at(s.code, now()) <= now() - limits.alert_no_orders or ordak.is_raised('no_orders', s.code))
    and exists (select from ordak.orders as o where o.store = s.code)
    and not exists (select from ordak.orders as o
                    where o.store = s.code and o.placed_at > now() - limits.alert_no_orders)
$$;


-- find_missed: the worker's schedule where it has not come for too long; while writing is paused it cannot.
create function ordak.find_missed(limits ordak.sync_settings) returns setof ordak.alert_cause
language sql stable set search_path = '' as $$
  select 'schedule_missed', null::text, b.name,
         format('the schedule of %s has not come for more than %s', b.name, ordak.spoken(limits.alert_schedule_late))
  from ordak.schedule_beats as b
  where b.name = 'sync-worker' and b.at < now() - limits.alert_schedule_late and not exists (select from ordak.pause)
$$;


-- evaluate_alerts: raises what the rules find, and resolves what they no longer find.
create function ordak.evaluate_alerts() returns void
language plpgsql set search_path = '' as $$
declare
  v_limits ordak.sync_settings;
  v_causes ordak.alert_cause[];
begin
  select * into strict v_limits from ordak.sync_settings;
  v_causes := array(select ordak.find_backlog(v_limits)) || array(select ordak.find_errors(v_limits))
           || array(select ordak.find_stuck(v_limits)) || array(select ordak.find_unassigned(v_limits))
           || array(select ordak.find_no_orders(v_limits)) || array(select ordak.find_missed(v_limits));
  perform ordak.alert(c.kind, c.store, c.subject, c.message)
  from unnest(v_causes) as c
  where (c.kind, coalesce(c.store, ''), c.subject) not in (
    select a.kind, coalesce(a.store, ''), a.subject from ordak.alerts as a where a.resolved_at is null);
  update ordak.alerts as a set resolved_at = now()
  where a.resolved_at is null
    and a.kind in ('sync_backlog', 'sync_errors', 'task_stuck', 'task_stuck_long', 'task_unassigned', 'no_orders',
                   'schedule_missed')
    and (a.kind, coalesce(a.store, ''), a.subject) not in (
      select c.kind, coalesce(c.store, ''), c.subject from unnest(v_causes) as c);
end
$$;


-- alert_rounds: when causes were last looked for. Its row is also the lock of whoever tells.
create table ordak.alert_rounds (
  one boolean     primary key default true,
  at  timestamptz not null default '-infinity',

  constraint alert_rounds_one check (one)
);
alter table ordak.alert_rounds enable row level security;
insert into ordak.alert_rounds default values;


-- claim_alerts: gives what is to be told to one who tells it, under a token; to nobody while another tells or Slack has
-- asked for a pause.
create function ordak.claim_alerts(token uuid) returns setof ordak.alerts
language sql set search_path = '' as $$
  update ordak.alerts as a set lease_token = claim_alerts.token, lease_until = now() + interval '2 minutes'
  where a.id in (
    select u.id from ordak.alerts as u
    where (u.sent_at is null and u.resolved_at is null or u.sent_at is not null and u.resolved_at is not null)
      and u.resolve_sent_at is null
      and not exists (select from ordak.alerts as l where l.lease_until > now())
    -- Whoever resolves some now is waited for by nobody who has others.
    order by u.id limit 50 for update skip locked)
  returning a.*
$$;


create type api.claimed_alert as (kind text, severity text, store text, subject text, message text, resolved boolean);
comment on type api.claimed_alert is 'An alert that people are to be told of, or that it is over';

create type api.claimed_alerts as (token uuid, alerts api.claimed_alert[]);
comment on type api.claimed_alerts is 'Alerts that the caller is to tell; token is null where there are none';


create function api.claim_alerts() returns api.claimed_alerts
language plpgsql security definer set search_path = '' as $$
declare
  v_token  constant uuid := gen_random_uuid();
  v_last   timestamptz;
  v_alerts api.claimed_alert[];
begin
  perform ordak.require_service_always();
  -- One tells at a time, and who comes meanwhile leaves it to them: both would tell the same.
  select r.at into v_last from ordak.alert_rounds as r for update skip locked;
  if found then
    -- Runs come every second where many orders come; what takes hours shows soon enough.
    if v_last < now() - interval '30 seconds' then
      perform ordak.evaluate_alerts();
      update ordak.alert_rounds set at = now();
    end if;
    select array_agg((c.kind, ordak.alert_severity(c.kind), c.store, c.subject, c.message,
                      c.resolved_at is not null)::api.claimed_alert order by c.id) into v_alerts
    from ordak.claim_alerts(v_token) as c;
  end if;
  return (case when v_alerts is not null then v_token end, coalesce(v_alerts, '{}'))::api.claimed_alerts;
end
$$;
grant execute on function api.claim_alerts() to service_role;
comment on function api.claim_alerts() is $$
Looks for what has gone wrong or is over, at most every 30 seconds, and gives the caller what people are to be told, at
most 50 alerts at a time and to one caller at a time. Whoever does not confirm within two minutes with alerts_sent has
told nobody. What was over before it was told is not told. Works also while writing is paused.

returns  the alerts, oldest first, and the token to confirm them with
raises   AUTH001
role     service
example  {}
$$;


create function api.alerts_sent(token uuid) returns int
language plpgsql security definer set search_path = '' as $$
declare
  v_sent int;
begin
  perform ordak.require_service_always();
  -- What was resolved since it was claimed was told as raised, and is still to be told as over.
  update ordak.alerts as a
  set sent_at = coalesce(a.sent_at, now()), resolve_sent_at = case when a.sent_at is not null then now() end,
      lease_token = null, lease_until = null
  -- In one order, or whoever resolves some now could wait for this and have this wait.
  where a.id in (select o.id from ordak.alerts as o where o.lease_token = alerts_sent.token order by o.id for update);
  get diagnostics v_sent = row_count;
  return v_sent;
end
$$;
grant execute on function api.alerts_sent(uuid) to service_role;
comment on function api.alerts_sent(uuid) is $$
Says that people were told of the alerts that were claimed under a token.

token    that of claim_alerts
returns  how many there were; 0 where another has claimed them since
raises   AUTH001
role     service
example  {"token": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"}
$$;


create function api.alerts_deferred(token uuid, seconds int) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform ordak.require_service_always();
  update ordak.alerts as a set lease_until = now() + make_interval(secs => greatest(1, least(seconds, 3600)))
  where a.lease_token = alerts_deferred.token;
  return found;
end
$$;
grant execute on function api.alerts_deferred(uuid, int) to service_role;
comment on function api.alerts_deferred(uuid, int) is $$
Says that nobody was told of the alerts that were claimed under a token, since Slack asks for a pause: no alert is
claimed until it is over.

token    that of claim_alerts
seconds  how long the pause is; 1 to 3600, other values count as the nearest
returns  false where another has claimed them since
raises   AUTH001
role     service
example  {"token": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01", "seconds": 30}
$$;


create type api.alert as (
  alert_id    bigint,
  kind        text,
  severity    text,
  store       text,
  subject     text,
  message     text,
  raised_at   timestamptz,
  resolved_at timestamptz,
  sent_at     timestamptz
);
comment on type api.alert is
  'What people are told of; store is null where it concerns all of them, and sent_at where nobody was told yet';


create function api.list_alerts(
  store text default null, open boolean default true, before bigint default null, page_size int default 50
) returns setof api.alert
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
  v_me    ordak.staff_shared;
  v_store text;
begin
  v_me := ordak.require_staff('Supervisor', store);
  perform ordak.check_store(store);
  perform ordak.check_page(page_size);
  v_store := coalesce(store, v_me.store);
  return query
    select a.id, a.kind, ordak.alert_severity(a.kind), a.store, a.subject, a.message, a.raised_at, a.resolved_at,
           a.sent_at
    from (
      select s.code from ordak.stores as s where v_store is null or s.code = v_store
      union all select ''
    ) as s (code)
    -- Each store's newest by its index: of all of them together most might be of another.
    cross join lateral (
      select * from ordak.alerts as p
      where coalesce(p.store, '') = s.code and -p.id > -coalesce(before, 9223372036854775807)
        and (open is null or (p.resolved_at is null) = open)
      order by -p.id limit page_size
    ) as a
    order by a.id desc
    limit page_size;
end
$$;
grant execute on function api.list_alerts(text, boolean, bigint, int) to authenticated;
comment on function api.list_alerts(text, boolean, bigint, int) is $$
What people are told of, newest first: of the caller's stores, and what concerns all of them.

store      the code of a store; left out for all of the caller's
open       true for those whose cause is still there, false for the others; null for both
before     only those with a lower alert_id: that of the last one of the page before
page_size  1 to 200
returns    the alerts
raises     AUTH001; AUTH002 not a Supervisor of the store; VAL001
role       Supervisor
example    {"store": "bannos"}
$$;
