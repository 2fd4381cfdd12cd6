-- Settings: what a store may decide for itself, one typed row each. No text of any length stands here, and no secret.

-- looks_secret: whether a text looks like a key, token or webhook: by how those of Shopify, Supabase and Slack begin,
-- or as a long run of letters and digits without a blank, which is no name that people give.
create function ordak.looks_secret(value text) returns boolean
language sql immutable set search_path = '' as $$
  select value ~* '(shp(at|ss|ca|pa|tka)_|sb_secret_|xox[a-z]-|hooks\.slack\.com|[a-z0-9+]{32,})'
      or value ~ '\meyJ[A-Za-z0-9_-]{5,}'
      or value ~ '(?=[A-Za-z+/_=-]*[0-9])[A-Za-z0-9+/_=-]{32,}'
$$;


-- json_found: what a JSON value is, for messages: never its text, for anything may stand in it, a person's data too.
create function ordak.json_found(value jsonb) returns text
language sql immutable set search_path = '' as $$
  select case jsonb_typeof(value)
    when 'string' then case when ordak.looks_secret(value #>> '{}') then 'what looks like a secret'
                            else format('a text of %s characters', length(value #>> '{}')) end
    when 'array'  then format('a list of %s', jsonb_array_length(value))
    when 'object' then 'an object'
    else coalesce(left(value::text, 30), 'none')
  end
$$;


-- list_fault: what is wrong first in a list of different names, or of different days; null where nothing is. The
-- table's constraints ask it too.
create function ordak.list_fault(list jsonb, fewest int, most int, days boolean default false) returns text
language sql stable set search_path = '' as $$
  select case
    when jsonb_typeof(list) <> 'array' or jsonb_array_length(list) not between fewest and most
      then ordak.json_found(list)
    else (
      select format('entry %s, %s', e.position, f.fault)
      from (
        select
          entry, entry #>> '{}' as name, position,
          row_number() over (partition by lower(entry #>> '{}') order by position) > 1 as again
        from jsonb_array_elements(list) with ordinality as l (entry, position)
      ) as e
      cross join lateral (select case
        when jsonb_typeof(e.entry) <> 'string' or ordak.looks_secret(e.name) or length(e.name) not between 1 and 60
          then ordak.json_found(e.entry)
        when e.name <> btrim(e.name, E' \t\r\n') then 'with blanks at its ends'
        when days and not (e.name ~ '^\d{4}-\d\d-\d\d$' and pg_input_is_valid(e.name, 'date')) then 'which is no day'
        when e.again then 'which stands there twice'
      end as fault) as f
      where f.fault is not null
      order by e.position
      limit 1
    )
  end
$$;


create table ordak.settings (
  store               text        primary key,
  -- 58mm, 80mm, or a width in pixels such as 512px.
  ticket_size         text        not null default '80mm',
  ticket_copies       int         not null default 1,
  -- An order that is taken by hand without a date is due so many days later, or on the next day that is allowed.
  due_offset_days     int         not null default 1,
  -- Monday first.
  due_allowed_days    boolean[]   not null default '{true,true,true,true,true,true,false}',
  due_blackout_dates  date[]      not null default '{}',
  flavours            text[]      not null default '{Vanilla,Chocolate,Strawberry,"Red Velvet",Lemon,Coffee}',
  storage_locations   text[]      not null default '{"Store Fridge","Store Freezer","Kitchen Coolroom","Kitchen Freezer","Basement Coolroom"}',
  monitor_density     text        not null default 'cozy',
  monitor_refresh     int         not null default 30,
  -- Where true, Staff work on tasks only while they are on shift and not on a break.
  shifts_enabled      boolean     not null default true,
  -- Whether stock is counted: switched by start_tracking, since open orders must reserve.
  inventory_tracking  boolean     not null default false,
  -- Between which times orders are expected, on the days that are allowed as due dates.
  open_from           time        not null default '08:00',
  open_until          time        not null default '18:00',
  updated_at          timestamptz not null default now(),

  constraint settings_store_fkey             foreign key (store) references ordak.stores (code),
  constraint settings_ticket_size_form       check (ticket_size ~ '^(58mm|80mm|[1-9][0-9]{1,3}px)$'),
  constraint settings_ticket_copies_range    check (ticket_copies between 1 and 3),
  constraint settings_due_offset_range       check (due_offset_days between 0 and 30),
  constraint settings_due_allowed_days_week  check (array_ndims(due_allowed_days) = 1 and cardinality(due_allowed_days) = 7
                                                    and array_position(due_allowed_days, null) is null
                                                    and true = any (due_allowed_days)),
  constraint settings_due_blackout_days      check (ordak.list_fault(to_jsonb(due_blackout_dates), 0, 366, true)
                                                    is null),
  constraint settings_flavours_names         check (ordak.list_fault(to_jsonb(flavours), 1, 50) is null),
  constraint settings_storage_names          check (ordak.list_fault(to_jsonb(storage_locations), 1, 50) is null),
  constraint settings_monitor_density_word   check (monitor_density in ('compact', 'cozy')),
  constraint settings_monitor_refresh_choice check (monitor_refresh in (15, 30, 60)),
  constraint settings_open_times             check (open_from < open_until)
);
alter table ordak.settings enable row level security;
comment on table ordak.settings is 'One row for each store, made with it';


-- add_settings: gives a new store the usual settings, so that nobody meets a store without.
create function ordak.add_settings() returns trigger
language plpgsql set search_path = '' as $$
begin
  insert into ordak.settings (store) values (new.code);
  return null;
end
$$;
create trigger stores_add_settings after insert on ordak.stores
  for each row execute function ordak.add_settings();


create type api.settings as (
  store              text,
  ticket_size        text,
  ticket_copies      int,
  due_offset_days    int,
  due_allowed_days   boolean[],
  due_blackout_dates date[],
  flavours           text[],
  storage_locations  text[],
  monitor_density    text,
  monitor_refresh    int,
  shifts_enabled     boolean,
  inventory_tracking boolean,
  open_from          time,
  open_until         time,
  updated_at         timestamptz
);
comment on type api.settings is 'The settings of a store; what the caller may not see is null';

create type api.settings_change as (changed boolean, settings api.settings);
comment on type api.settings_change is 'The settings of a store as they are now, and whether the call changed anything';


-- settings_for: a store's settings as somebody may see them: Staff see what they work with, Supervisors all.
create function ordak.settings_for(me ordak.staff_shared, settings ordak.settings) returns api.settings
language sql immutable set search_path = '' as $$
  select (
    settings.store, settings.ticket_size, settings.ticket_copies,
    case when me.role > 'Staff' then settings.due_offset_days end,
    case when me.role > 'Staff' then settings.due_allowed_days end,
    case when me.role > 'Staff' then settings.due_blackout_dates end,
    settings.flavours, settings.storage_locations, settings.monitor_density, settings.monitor_refresh,
    settings.shifts_enabled,
    case when me.role > 'Staff' then settings.inventory_tracking end,
    case when me.role > 'Staff' then settings.open_from end,
    case when me.role > 'Staff' then settings.open_until end,
    settings.updated_at
  )::api.settings
$$;


-- setting_fault: what is wrong with a value for a setting, or with the setting's name; null where nothing is.
create function ordak.setting_fault(key text, value jsonb) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_text  constant text := case jsonb_typeof(value) when 'string' then value #>> '{}' end;
  -- Only as written here: 1.0 and 1e0 are whole too, but no column takes them.
  v_whole constant int  := case when value::text ~ '^\d{1,3}$' then value::text end;
  v_found          text := ordak.json_found(value);
  v_expected       text;
  v_right          boolean;
begin
  case key
    when 'ticket_size' then
      v_expected := '58mm, 80mm or a width in pixels such as 512px';
      v_right := v_text ~ '^(58mm|80mm|[1-9][0-9]{1,3}px)$';
    when 'ticket_copies' then
      v_expected := 'a whole number from 1 to 3';
      v_right := v_whole between 1 and 3;
    when 'due_offset_days' then
      v_expected := 'a whole number from 0 to 30';
      v_right := v_whole between 0 and 30;
    when 'due_allowed_days' then
      v_expected := 'a list of seven times true or false, Monday first and one of them true';
      v_right := case jsonb_typeof(value) when 'array' then
        jsonb_array_length(value) = 7 and value @> '[true]'
        and not exists (select from jsonb_array_elements(value) as day where jsonb_typeof(day) <> 'boolean')
      end;
    when 'due_blackout_dates' then
      v_expected := 'a list of at most 366 different days such as 2026-12-25';
      v_found := ordak.list_fault(value, 0, 366, true);
      v_right := v_found is null;
    when 'flavours', 'storage_locations' then
      v_expected := 'a list of 1 to 50 different names of 1 to 60 characters without blanks at their ends';
      v_found := ordak.list_fault(value, 1, 50);
      v_right := v_found is null;
    when 'monitor_density' then
      v_expected := 'compact or cozy';
      v_right := v_text in ('compact', 'cozy');
    when 'monitor_refresh' then
      v_expected := '15, 30 or 60';
      v_right := v_whole in (15, 30, 60);
    when 'open_from', 'open_until' then
      v_expected := 'a time such as 08:30';
      v_right := v_text ~ '^(([01]\d|2[0-3]):[0-5]\d|24:00)(:00)?$';
    when 'shifts_enabled' then
      v_expected := 'true or false';
      v_right := jsonb_typeof(value) = 'boolean';
    when 'inventory_tracking' then
      return 'expected inventory_tracking to be switched by start_tracking or stop_tracking, but found it in settings';
    else
      return format('expected the name of a setting, but found %s',
                    case when ordak.looks_secret(key) then 'what looks like a secret' else left(key, 40) end);
  end case;
  return case when v_right then null else format('expected %s to be %s, but found %s', key, v_expected, v_found) end;
end
$$;


-- check_settings: refuses with VAL001 settings of a store, or of the sync, that are unknown or cannot have their value,
-- and says so of each.
create function ordak.check_settings(settings jsonb, sync boolean default false) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_faults text;
begin
  if jsonb_typeof(settings) is distinct from 'object' then
    perform ordak.fail('VAL001', format('expected settings to be an object, but found %s',
                                        ordak.json_found(settings)));
  end if;
  if (select count(*) from jsonb_object_keys(settings)) > 50 then
    perform ordak.fail('VAL001', 'expected at most 50 settings, but found more');
  end if;
  select string_agg(f.fault, '; ') into v_faults
  from (
    select case when sync then ordak.sync_setting_fault(key, value) else ordak.setting_fault(key, value) end as fault
    from jsonb_each(settings)
  ) as f;
  if v_faults is not null then
    perform ordak.fail('VAL001', left(v_faults, 2000), 'correct them all: nothing was saved; secrets belong elsewhere');
  end if;
end
$$;


-- changed_fields: the fields of one object that are others in another.
create function ordak.changed_fields(one jsonb, other jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(one) where value is distinct from other -> key
$$;


-- change_settings: saves some of a store's settings in one step, for an Admin; what changed goes to the audit log.
create function ordak.change_settings(me ordak.staff_shared, store text, change jsonb) returns api.settings_change
language plpgsql set search_path = '' as $$
declare
  v_old ordak.settings;
  v_new ordak.settings;
begin
  -- Locked before it is read: of two who save at once, the second keeps what the first has changed.
  select * into strict v_old from ordak.settings as s where s.store = change_settings.store for no key update;
  v_new := jsonb_populate_record(v_old, change);
  if v_new.open_from >= v_new.open_until then
    perform ordak.fail('VAL001', format('expected open_from before open_until, but found %s and %s', v_new.open_from,
                                        v_new.open_until));
  elsif v_new is not distinct from v_old then
    return (false, ordak.settings_for(me, v_old))::api.settings_change;
  end if;
  update ordak.settings as s
  set ticket_size = v_new.ticket_size, ticket_copies = v_new.ticket_copies, due_offset_days = v_new.due_offset_days,
      due_allowed_days = v_new.due_allowed_days, due_blackout_dates = v_new.due_blackout_dates,
      flavours = v_new.flavours, storage_locations = v_new.storage_locations,
      monitor_density = v_new.monitor_density, monitor_refresh = v_new.monitor_refresh,
      shifts_enabled = v_new.shifts_enabled, open_from = v_new.open_from, open_until = v_new.open_until,
      updated_at = now()
  where s.store = v_old.store
  returning * into v_new;
  perform ordak.audit(me.id, v_old.store, 'save_settings', v_old.store,
    ordak.changed_fields(to_jsonb(v_old), to_jsonb(v_new)) - 'updated_at',
    ordak.changed_fields(to_jsonb(v_new), to_jsonb(v_old)) - 'updated_at');
  return (true, ordak.settings_for(me, v_new))::api.settings_change;
end
$$;


create function api.get_settings(store text) returns api.settings
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me       ordak.staff_shared;
  v_settings ordak.settings;
begin
  v_me := ordak.require_staff('Staff', store);
  perform ordak.check_store(store, true);
  select * into strict v_settings from ordak.settings as s where s.store = get_settings.store;
  return ordak.settings_for(v_me, v_settings);
end
$$;
grant execute on function api.get_settings(text) to authenticated;
comment on function api.get_settings(text) is $$
The settings of a store.

store    the store's code
returns  one field for each setting; for Staff due_offset_days, due_allowed_days, due_blackout_dates,
         inventory_tracking, open_from and open_until are null
raises   AUTH001; AUTH002 somebody of another store; VAL001
role     Staff
example  {"store": "bannos"}
$$;


create function api.save_settings(store text, settings jsonb) returns api.settings_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin', store);
  perform ordak.check_store(store, true);
  perform ordak.check_settings(settings);
  return ordak.change_settings(v_me, store, settings);
end
$$;
grant execute on function api.save_settings(text, jsonb) to authenticated;
comment on function api.save_settings(text, jsonb) is $$
Saves some or all settings of a store, all of them or none.

store     the store's code
settings  {name: value}; what is not named stays as it is, and nothing can be null.
          ticket_size: 58mm, 80mm or a width in pixels such as 512px; ticket_copies: 1 to 3;
          due_offset_days: 0 to 30, after which an order is due that is taken without a date;
          due_allowed_days: seven times true or false, Monday first; due_blackout_dates: at most 366 days;
          flavours, storage_locations: 1 to 50 different names of 1 to 60 characters;
          monitor_density: compact or cozy; monitor_refresh: 15, 30 or 60 seconds;
          shifts_enabled: whether Staff must be on shift to work on a task; open_from, open_until: times such as
          08:30, up to 24:00, between which orders are expected on the days that are allowed. inventory_tracking is
          switched by start_tracking and stop_tracking alone
returns   all settings as they are now; changed is false where they were so already
raises    AUTH001; AUTH002 not an Admin of that store; VAL001 an unknown setting, a value that it cannot have, or what
          looks like a secret; the message says of each what is wrong
role      Admin
example   {"store": "bannos", "settings": {"ticket_copies": 2, "flavours": ["Vanilla", "Lemon"]}}
$$;
