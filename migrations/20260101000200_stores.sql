-- Stores: one row each. Nothing else in the system knows a store by name, so a new one needs no code.

create table ordak.stores (
  code        text primary key,
  name        text not null,
  shop_domain text not null,
  letter      text not null,
  time_zone   text not null,
  -- The one location whose stock we manage, as Shopify names it (gid://shopify/Location/…).
  location    text,
  -- What the next order is called that has no number of its own, far above what Shopify gives.
  next_number bigint not null default 900000,
  -- While set, nothing is sent to the store's shop: its token is void or its app was uninstalled.
  stopped_at  timestamptz,
  stop_reason text,
  created_at  timestamptz not null default now(),

  constraint stores_code_form        check (code ~ '^[a-z][a-z0-9_]{0,31}$'),
  constraint stores_name_length      check (length(name) between 1 and 100),
  constraint stores_shop_domain_form check (shop_domain ~ '^[a-z0-9][a-z0-9-]*\.myshopify\.com$'),
  constraint stores_shop_domain_key  unique (shop_domain),
  constraint stores_letter_form      check (letter ~ '^[A-Z]$'),
  -- A printed number is the letter and digits, so two stores must not share a letter.
  constraint stores_letter_key       unique (letter),
  -- An unknown zone raises an error here, not months later in a due date.
  constraint stores_time_zone_known  check (timestamptz '2000-01-01Z' at time zone time_zone is not null),
  constraint stores_stop_reason      check ((stopped_at is null) = (stop_reason is null)),
  constraint stores_location_form    check (location ~ '^gid://shopify/Location/[0-9]+$')
);
alter table ordak.stores enable row level security;
comment on table ordak.stores is 'One row per Shopify store; its secrets live in the environment, by code';


-- local_day: the calendar day that it is at an instant in a time zone. The only way to a day: the session's own
-- zone is UTC, where the bakery's morning is still yesterday.
create function ordak.local_day(time_zone text, at timestamptz) returns date
language sql stable set search_path = '' as $$
  select (at at time zone time_zone)::date
$$;


-- day_start: the instant at which a day begins in a time zone.
create function ordak.day_start(time_zone text, day date) returns timestamptz
language sql stable set search_path = '' as $$
  select day::timestamp at time zone time_zone
$$;


create type ordak.priority as enum ('High', 'Medium', 'Low');
comment on type ordak.priority is 'In falling order; derived at reading, never stored';

-- priority: how urgent a task is at an instant: High where it is overdue or due today or tomorrow, Medium up to
-- three days ahead, else Low. Without a due date Medium, and High from the day after it came, so that somebody asks.
create function ordak.priority(due_date date, created_at timestamptz, time_zone text, at timestamptz)
returns ordak.priority
language sql stable set search_path = '' as $$
  select case
    when due_date is null then
      case when ordak.local_day(time_zone, created_at) < ordak.local_day(time_zone, at) then 'High' else 'Medium' end
    when due_date - ordak.local_day(time_zone, at) <= 1 then 'High'
    when due_date - ordak.local_day(time_zone, at) <= 3 then 'Medium'
    else 'Low'
  end::ordak.priority
$$;


-- check_store: refuses what is no store's code with VAL001; null passes unless it is `needed`.
create function ordak.check_store(store text, needed boolean default false) returns void
language plpgsql stable set search_path = '' as $$
begin
  if store is null and needed then
    perform ordak.fail('VAL001', 'expected the code of a store, but found none');
  elsif store is not null and not exists (select from ordak.stores where code = check_store.store) then
    perform ordak.fail('VAL001', 'expected the code of a store, but found another');
  end if;
end
$$;
