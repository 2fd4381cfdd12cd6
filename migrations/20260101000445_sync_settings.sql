-- Sync settings: how work with Shopify is paced and when a person is told of trouble, for all stores alike.

-- sync_settings: the one row, there from the start.
create table ordak.sync_settings (
  one                  boolean     primary key default true,
  -- How long after a level was read Shopify may still bring orders from before.
  base_wait            interval    not null default '2 minutes',
  -- How often Shopify is asked for orders that no delivery brought, and how far back each time.
  orders_every         interval    not null default '15 minutes',
  orders_overlap       interval    not null default '5 minutes',
  -- How long at most a listing that was just pushed waits, so that a burst of orders makes few pushes.
  push_window          interval    not null default '1 second',
  lease_time           interval    not null default '60 seconds',
  -- How many pieces too many Shopify may show before a person decides.
  drift_threshold      int         not null default 5,
  alert_backlog        int         not null default 500,
  alert_backlog_age    interval    not null default '15 minutes',
  -- Of the calls in the window; of fewer calls than this a share says nothing.
  alert_error_percent  numeric     not null default 1,
  alert_error_window   interval    not null default '10 minutes',
  alert_error_calls    int         not null default 20,
  alert_stuck          interval    not null default '24 hours',
  alert_stuck_critical interval    not null default '48 hours',
  alert_unassigned     interval    not null default '2 hours',
  alert_no_orders      interval    not null default '2 hours',
  alert_schedule_late  interval    not null default '5 minutes',
  updated_at           timestamptz not null default now(),

  constraint sync_settings_one   check (one),
  constraint sync_settings_stuck check (alert_stuck < alert_stuck_critical)
);
alter table ordak.sync_settings enable row level security;
comment on table ordak.sync_settings is 'One row for all stores';
insert into ordak.sync_settings default values;


create type api.sync_settings as (
  base_wait            interval,
  orders_every         interval,
  orders_overlap       interval,
  push_window          interval,
  lease_time           interval,
  drift_threshold      int,
  alert_backlog        int,
  alert_backlog_age    interval,
  alert_error_percent  numeric,
  alert_error_window   interval,
  alert_error_calls    int,
  alert_stuck          interval,
  alert_stuck_critical interval,
  alert_unassigned     interval,
  alert_no_orders      interval,
  alert_schedule_late  interval,
  updated_at           timestamptz
);
comment on type api.sync_settings is 'How work with Shopify is paced, and from when on people are told of trouble';

create type api.sync_settings_change as (changed boolean, settings api.sync_settings);
comment on type api.sync_settings_change is 'The settings of the sync as they are now, and whether the call changed anything';


-- sync_settings_of: the settings as callers see them.
create function ordak.sync_settings_of(settings ordak.sync_settings) returns api.sync_settings
language sql immutable set search_path = '' as $$
  select jsonb_populate_record(null::api.sync_settings, to_jsonb(settings))
$$;


-- duration_of: a duration as people write it and as it is answered; null for any other text.
create function ordak.duration_of(value text) returns interval
language sql immutable set search_path = '' as $$
  select case when value ~ '^(\d{1,5} (second|minute|hour|day)s?|\d{1,4}:[0-5]\d:[0-5]\d)$' then value::interval end
$$;


-- sync_setting_fault: what is wrong with a value for a setting of the sync, or with its name; null where nothing is.
create function ordak.sync_setting_fault(key text, value jsonb) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_low   text;
  v_high  text;
  v_right boolean;
  v_text  constant text := value #>> '{}';
begin
  select low, high into v_low, v_high
  from (values
    ('base_wait', '10 seconds', '1 hour'), ('orders_every', '1 minute', '1 day'),
    ('orders_overlap', '10 seconds', '1 day'), ('push_window', '0 seconds', '1 minute'),
    ('lease_time', '10 seconds', '10 minutes'), ('drift_threshold', '0', '10000'), ('alert_backlog', '1', '100000'),
    ('alert_backlog_age', '1 minute', '7 days'), ('alert_error_percent', '0', '100'),
    ('alert_error_window', '1 minute', '1 day'), ('alert_error_calls', '1', '10000'),
    ('alert_stuck', '1 hour', '30 days'), ('alert_stuck_critical', '1 hour', '60 days'),
    ('alert_unassigned', '10 minutes', '30 days'), ('alert_no_orders', '10 minutes', '7 days'),
    ('alert_schedule_late', '1 minute', '1 day')
  ) as ranges (name, low, high)
  where name = sync_setting_fault.key;
  if not found then
    return format('expected the name of a setting of the sync, but found %s',
                  case when ordak.looks_secret(key) then 'what looks like a secret' else left(key, 40) end);
  elsif v_low ~ ' ' then
    v_right := jsonb_typeof(value) = 'string'
               and ordak.duration_of(v_text) between v_low::interval and v_high::interval;
  else
    -- Only as written here: 1.0 and 1e0 are whole too, but no column takes them.
    v_right := jsonb_typeof(value) = 'number'
               and case when v_text ~ '^\d{1,6}$' or key = 'alert_error_percent' and v_text ~ '^\d{1,3}\.\d{1,2}$'
                        then v_text::numeric between v_low::numeric and v_high::numeric end;
  end if;
  return case when v_right then null
              else format('expected %s to be %s to %s, but found %s', key, v_low, v_high, ordak.json_found(value)) end;
end
$$;


-- change_sync_settings: saves some settings in one step; what changed goes to the audit log.
create function ordak.change_sync_settings(me ordak.staff_shared, change jsonb) returns api.sync_settings_change
language plpgsql set search_path = '' as $$
declare
  v_old ordak.sync_settings;
  v_new ordak.sync_settings;
begin
  -- Locked before it is read: of two who save at once, the second keeps what the first has changed.
  select * into strict v_old from ordak.sync_settings for no key update;
  v_new := jsonb_populate_record(v_old, change);
  if v_new.alert_stuck >= v_new.alert_stuck_critical then
    perform ordak.fail('VAL001', format('expected alert_stuck below alert_stuck_critical, but found %s and %s',
                                        v_new.alert_stuck, v_new.alert_stuck_critical));
  elsif v_new is not distinct from v_old then
    return (false, ordak.sync_settings_of(v_old))::api.sync_settings_change;
  end if;
  update ordak.sync_settings
  set base_wait = v_new.base_wait, orders_every = v_new.orders_every, orders_overlap = v_new.orders_overlap,
      push_window = v_new.push_window, lease_time = v_new.lease_time, drift_threshold = v_new.drift_threshold,
      alert_backlog = v_new.alert_backlog, alert_backlog_age = v_new.alert_backlog_age,
      alert_error_percent = v_new.alert_error_percent, alert_error_window = v_new.alert_error_window,
      alert_error_calls = v_new.alert_error_calls, alert_stuck = v_new.alert_stuck,
      alert_stuck_critical = v_new.alert_stuck_critical, alert_unassigned = v_new.alert_unassigned,
      alert_no_orders = v_new.alert_no_orders, alert_schedule_late = v_new.alert_schedule_late, updated_at = now()
  returning * into v_new;
  perform ordak.audit(me.id, null, 'save_sync_settings', 'sync',
    ordak.changed_fields(to_jsonb(v_old), to_jsonb(v_new)) - 'updated_at',
    ordak.changed_fields(to_jsonb(v_new), to_jsonb(v_old)) - 'updated_at');
  return (true, ordak.sync_settings_of(v_new))::api.sync_settings_change;
end
$$;


create function api.get_sync_settings() returns api.sync_settings
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.require_all_stores(v_me);
  return (select ordak.sync_settings_of(s) from ordak.sync_settings as s);
end
$$;
grant execute on function api.get_sync_settings() to authenticated;
comment on function api.get_sync_settings() is $$
How work with Shopify is paced, and from when on people are told of trouble.

returns  one field for each setting; durations as 00:02:00
raises   AUTH001; AUTH002 not an Admin of all stores
role     Admin
example  {}
$$;


create function api.save_sync_settings(settings jsonb) returns api.sync_settings_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.require_all_stores(v_me);
  perform ordak.check_settings(settings, true);
  return ordak.change_sync_settings(v_me, settings);
end
$$;
grant execute on function api.save_sync_settings(jsonb) to authenticated;
comment on function api.save_sync_settings(jsonb) is $$
Saves some or all settings of the sync, all of them or none.

settings  {name: value}; what is not named stays as it is, and nothing can be null. Durations are texts as 2 minutes or
          00:02:00. base_wait: how long after a level was read Shopify may still bring orders from before; orders_every,
          orders_overlap: how often it is asked for orders that no delivery brought, and how far back; push_window: how
          long at most a listing that was pushed waits for its next push; lease_time: how long a worker may be silent;
          drift_threshold: how many pieces too many Shopify may show before a person decides; alert_backlog,
          alert_backlog_age: how many things may wait, and how long; alert_error_percent, alert_error_window,
          alert_error_calls: which share of Shopify's answers may be errors, within which time, of at least how many
          calls; alert_stuck, alert_stuck_critical: how long a cake may stay in a stage; alert_unassigned: how long it
          may have nobody; alert_no_orders: how long an open store may be without an order; alert_schedule_late: how
          long the schedule may not have come
returns   all settings as they are now; changed is false where they were so already
raises    AUTH001; AUTH002 not an Admin of all stores; VAL001 an unknown setting or a value that it cannot have; the
          message says of each what is wrong
role      Admin
example   {"settings": {"alert_stuck": "12 hours", "drift_threshold": 10}}
$$;
