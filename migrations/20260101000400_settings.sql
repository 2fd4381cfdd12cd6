-- Settings: what a store may decide for itself, one typed row each. No text of any length stands here, and no secret.

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
  inventory_tracking  boolean     not null default false,
  updated_at          timestamptz not null default now(),

  constraint settings_store_fkey             foreign key (store) references ordak.stores (code),
  constraint settings_ticket_size_form       check (ticket_size ~ '^(58mm|80mm|[1-9][0-9]{1,3}px)$'),
  constraint settings_ticket_copies_range    check (ticket_copies between 1 and 3),
  constraint settings_due_offset_range       check (due_offset_days between 0 and 30),
  constraint settings_due_allowed_days_week  check (array_ndims(due_allowed_days) = 1 and cardinality(due_allowed_days) = 7
                                                    and array_position(due_allowed_days, null) is null
                                                    and true = any (due_allowed_days)),
  constraint settings_due_blackout_range     check (cardinality(due_blackout_dates) <= 366
                                                    and array_position(due_blackout_dates, null) is null),
  constraint settings_flavours_some          check (cardinality(flavours) between 1 and 50
                                                    and array_position(flavours, null) is null),
  constraint settings_storage_some           check (cardinality(storage_locations) between 1 and 50
                                                    and array_position(storage_locations, null) is null),
  constraint settings_monitor_density_word   check (monitor_density in ('compact', 'cozy')),
  constraint settings_monitor_refresh_choice check (monitor_refresh in (15, 30, 60))
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
