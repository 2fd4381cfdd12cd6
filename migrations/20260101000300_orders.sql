-- Orders, their lines, and the kitchen's tasks: one task is one cake.

create type ordak.stage as enum ('Filling', 'Covering', 'Decorating', 'Packing', 'Complete');

create table ordak.orders (
  id                 bigint generated always as identity primary key,
  store              text        not null,
  number             bigint      not null,
  -- What people and the wire call it: bannos-25771.
  order_id           text        not null generated always as (store || '-' || number) stored,
  shopify_order_id   bigint,
  shopify_order_gid  text,
  customer_name      text        not null,
  due_date           date,
  delivery_window    text,
  delivery_method    text        not null,
  notes              text,
  currency           text        not null,
  total_amount       numeric     not null,
  pos                boolean     not null default false,
  test               boolean     not null default false,
  placed_at          timestamptz not null,
  -- The version of the Shopify body that this row shows.
  shopify_updated_at timestamptz,
  cancelled_at       timestamptz,
  cancel_reason      text,
  -- What could not be understood and a person should look at: no_due_date, unknown_product, …
  flags              text[]      not null default '{}',
  created_at         timestamptz not null default now(),
  updated_at         timestamptz not null default now(),

  constraint orders_store_fkey           foreign key (store) references ordak.stores (code),
  constraint orders_store_number_key     unique (store, number),
  constraint orders_order_id_key         unique (order_id),
  -- An order is known by this for ever, whatever its deliveries looked like.
  constraint orders_gid_key              unique (shopify_order_gid),
  constraint orders_number_positive      check (number > 0),
  constraint orders_delivery_method_word check (delivery_method in ('Pickup', 'Delivery')),
  constraint orders_currency_form        check (currency ~ '^[A-Z]{3}$')
);
alter table ordak.orders enable row level security;

create table ordak.order_lines (
  id            bigint generated always as identity primary key,
  order_key     bigint  not null,
  -- Shopify's id of the line.
  line_id       bigint  not null,
  position      int     not null,
  product_id    bigint,
  variant_id    bigint,
  sku           text,
  title         text    not null,
  variant_title text,
  kind          text    not null,
  quantity      int     not null,
  wanted        int     not null,
  price         numeric not null,
  size          text,
  flavour       text,
  cake_writing  text,
  properties    jsonb   not null default '[]',

  constraint order_lines_order_fkey   foreign key (order_key) references ordak.orders (id),
  constraint order_lines_line_key     unique (order_key, line_id),
  constraint order_lines_kind_word    check (kind in ('cake', 'accessory', 'ignored', 'unknown')),
  constraint order_lines_wanted_range check (wanted between 0 and quantity)
);
alter table ordak.order_lines enable row level security;

create table ordak.tasks (
  id            bigint generated always as identity primary key,
  order_key     bigint      not null,
  line_key      bigint      not null,
  -- Which of the line's units: with the line it identifies the task for ever.
  unit          int         not null,
  -- The printed number: B25771, or B25771-A where the order has several cakes.
  number        text        not null,
  product_title text        not null,
  size          text,
  flavour       text,
  cake_writing  text,
  stage         ordak.stage not null default 'Filling',
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),

  constraint tasks_order_fkey     foreign key (order_key) references ordak.orders (id),
  constraint tasks_line_fkey      foreign key (line_key) references ordak.order_lines (id),
  constraint tasks_line_unit_key  unique (line_key, unit),
  constraint tasks_number_key     unique (number),
  constraint tasks_unit_positive  check (unit > 0)
);
create index tasks_order_key_idx on ordak.tasks (order_key);
alter table ordak.tasks enable row level security;


-- suffix: the letters of the n-th cake of an order: A … Z, AA, AB …
create function ordak.suffix(n int) returns text
language sql immutable strict set search_path = '' as $$
  with recursive letters (rest, text) as (
    select n, ''
    union all
    select (rest - 1) / 26, chr(65 + (rest - 1) % 26) || text from letters where rest > 0
  )
  select text from letters where rest = 0
$$;


-- store_order: writes an order in normal form, its lines and its tasks.
--
-- Returns the order's row key; null where the store has an order with this gid already, which is then left as
-- it is, whichever version is newer. Raises ORD004 and ORD005 for what can never be written.
create function ordak.store_order(store ordak.stores, content jsonb) returns bigint
language plpgsql set search_path = '' as $$
declare
  -- More cakes than any bakery makes of one order; a typing error must not fill the kitchen's table.
  c_most_cakes constant int := 500;
  v_number bigint := (content ->> 'number')::bigint;
  v_key    bigint;
  v_cakes  bigint;
  v_holder text;
begin
  select coalesce(sum((line ->> 'wanted')::bigint), 0) into v_cakes
  from jsonb_array_elements(content -> 'lines') as line
  where line ->> 'kind' = 'cake';
  if v_cakes > c_most_cakes then
    perform ordak.fail('ORD004', format('expected at most %s cakes in an order, but found %s', c_most_cakes, v_cakes));
  end if;

  insert into ordak.orders (
    store, number, shopify_order_id, shopify_order_gid, customer_name, due_date, delivery_window,
    delivery_method, notes, currency, total_amount, pos, test, placed_at, shopify_updated_at,
    cancelled_at, cancel_reason, flags
  )
  select
    store.code, o.number, o.shopify_order_id, o.shopify_order_gid, o.customer_name, o.due_date, o.delivery_window,
    o.delivery_method, o.notes, o.currency, o.total_amount, o.pos, o.test, o.placed_at, o.updated_at,
    o.cancelled_at, o.cancel_reason, o.flags
  from jsonb_to_record(content) as o (
    number bigint, shopify_order_id bigint, shopify_order_gid text, customer_name text, due_date date,
    delivery_window text, delivery_method text, notes text, currency text, total_amount numeric, pos boolean,
    test boolean, placed_at timestamptz, updated_at timestamptz, cancelled_at timestamptz, cancel_reason text,
    flags text[]
  )
  -- Two deliveries of one order at the same instant: the second waits here for the first one's commit.
  on conflict do nothing
  returning id into v_key;

  if v_key is null then
    select o.store into v_holder from ordak.orders as o where o.shopify_order_gid = content ->> 'shopify_order_gid';
    if not found then
      perform ordak.fail('ORD005', format('order number %s of store %s belongs to another order', v_number, store.code));
    elsif v_holder <> store.code then
      -- The domain is a header and not signed: one of the two deliveries named the wrong one.
      perform ordak.fail('ORD005', format('expected an order of store %s, but found that it stands in %s', store.code, v_holder));
    end if;
    return null;
  end if;

  insert into ordak.order_lines (
    order_key, line_id, position, product_id, variant_id, sku, title, variant_title, kind, quantity, wanted,
    price, size, flavour, cake_writing, properties
  )
  select
    v_key, l.line_id, lines.position, l.product_id, l.variant_id, l.sku, l.title, l.variant_title, l.kind,
    l.quantity, l.wanted, l.price, l.size, l.flavour, l.cake_writing, l.properties
  from jsonb_array_elements(content -> 'lines') with ordinality as lines (line, position)
  cross join jsonb_to_record(lines.line) as l (
    line_id bigint, product_id bigint, variant_id bigint, sku text, title text, variant_title text, kind text,
    quantity int, wanted int, price numeric, size text, flavour text, cake_writing text, properties jsonb
  );

  insert into ordak.tasks (order_key, line_key, unit, number, product_title, size, flavour, cake_writing)
  select
    v_key, l.id, u.unit,
    store.letter || v_number
      || case when v_cakes > 1 then '-' || ordak.suffix(row_number() over (order by l.position, u.unit)::int) else '' end,
    l.title, l.size, l.flavour, l.cake_writing
  from ordak.order_lines as l
  cross join generate_series(1, l.wanted) as u (unit)
  where l.order_key = v_key
    and l.kind = 'cake'
    -- Sold over the counter: the cake has left the shop, nothing is to be made.
    and not (content ->> 'pos')::boolean;

  return v_key;
end
$$;
