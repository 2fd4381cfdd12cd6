-- Stores: one row each. Nothing else in the system knows a store by name, so a new one needs no code.

create table ordak.stores (
  code        text primary key,
  name        text not null,
  shop_domain text not null,
  letter      text not null,
  time_zone   text not null,
  -- The one location whose stock we manage, as Shopify names it (gid://shopify/Location/…).
  location    text,
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
  constraint stores_location_form    check (location ~ '^gid://shopify/Location/[0-9]+$')
);
alter table ordak.stores enable row level security;
comment on table ordak.stores is 'One row per Shopify store; its secrets live in the environment, by code';
