-- Orders, their lines, and the kitchen's tasks: one task is one cake.

create extension if not exists pg_trgm with schema extensions;

create type ordak.stage as enum ('Filling', 'Covering', 'Decorating', 'Packing', 'Complete');


-- size_rank: where a cake's size stands among the others: as a text, Large would come before Small.
create function ordak.size_rank(size text) returns int
language sql immutable set search_path = '' as $$
  select case
    when size is null         then 9
    when size ~* '^gift'      then 1
    when size ~* '^small'     then 2
    when size ~* '^medium'    then 4
    when size ~* '^large'     then 6
    else 8
  end + case when size ~* '^(small|medium|large)\M.*\mtall\M' then 1 else 0 end
$$;

create table ordak.orders (
  id                 bigint generated always as identity primary key,
  store              text        not null,
  number             bigint      not null,
  -- What people and the wire call it: bannos-25771.
  order_id           text        not null generated always as (store || '-' || number) stored,
  shopify_order_id   bigint,
  shopify_order_gid  text,
  -- Where it came from: shopify, api where a partner sent it, or manual where somebody here took it.
  source             text        not null default 'shopify',
  -- What the caller named the request by that made it; a repeat finds the order by it.
  idempotency_key    text,
  -- A hash of that request, which tells a repeat from another request under the same key.
  request_sha256     bytea,
  customer_name      text        not null,
  due_date           date,
  delivery_window    text,
  delivery_method    text        not null,
  notes              text,
  currency           text        not null,
  -- Null where a partner did not say.
  total_amount       numeric,
  pos                boolean     not null default false,
  test               boolean     not null default false,
  placed_at          timestamptz not null,
  -- Where Shopify says that it was sold; a counter's sale counts at its own location.
  location_id        bigint,
  -- The version of the Shopify body that this row shows, and a hash of its normal form.
  shopify_updated_at timestamptz,
  content_sha256     bytea,
  -- What people have changed, by field: {value, shopify, now}: what they made of it, what Shopify said then, and what it
  -- says now.
  overrides          jsonb       not null default '{}',
  cancelled_at       timestamptz,
  cancel_reason      text,
  held_at            timestamptz,
  hold_reason        text,
  -- Counts what people have edited, for whoever edits what they read earlier.
  version            int         not null default 1,
  -- What could not be understood and a person should look at: no_due_date, unknown_product, …
  flags              text[]      not null default '{}',
  created_at         timestamptz not null default now(),
  updated_at         timestamptz not null default now(),

  constraint orders_store_fkey           foreign key (store) references ordak.stores (code),
  constraint orders_store_number_key     unique (store, number),
  constraint orders_order_id_key         unique (order_id),
  -- An order is known by this for ever, whatever its deliveries looked like.
  constraint orders_gid_key              unique (shopify_order_gid),
  constraint orders_idempotency_key      unique (store, idempotency_key),
  constraint orders_idempotency_hash     check ((idempotency_key is null) = (request_sha256 is null)),
  constraint orders_source_word          check (source in ('shopify', 'api', 'manual')),
  constraint orders_hold_reason          check ((held_at is null) = (hold_reason is null)),
  constraint orders_number_positive      check (number > 0),
  constraint orders_delivery_method_word check (delivery_method in ('Pickup', 'Delivery')),
  constraint orders_currency_form        check (currency ~ '^[A-Z]{3}$')
);
create index orders_store_placed_idx on ordak.orders (store, placed_at);
create index orders_store_due_idx on ordak.orders (store, due_date);
create index orders_shopify_id_idx on ordak.orders (shopify_order_id);
alter table ordak.orders enable row level security;

create table ordak.order_lines (
  id            bigint generated always as identity primary key,
  order_key     bigint  not null,
  -- Shopify's id of the line; null in an order that did not come from there.
  line_id       bigint,
  position      int     not null,
  product_id    bigint,
  variant_id    bigint,
  sku           text,
  title         text    not null,
  variant_title text,
  kind          text    not null,
  quantity      int     not null,
  -- What Shopify still counts of it; `quantity` keeps what was removed and refunded.
  current       int     not null,
  -- What is still to be made and handed over, see the function of this name.
  wanted        int     not null,
  fulfilled     boolean not null default false,
  price         numeric,
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

-- refund_lines: every refund that Shopify has told us of, also of orders that are not here yet.
create table ordak.refund_lines (
  store            text        not null,
  refund_line_id   bigint      not null,
  shopify_order_id bigint      not null,
  line_id          bigint      not null,
  quantity         int         not null,
  -- no_restock, cancel, return or legacy_restock.
  restock_type     text        not null,
  location_id      bigint,
  refunded_at      timestamptz not null,

  constraint refund_lines_pkey              primary key (store, refund_line_id),
  constraint refund_lines_store_fkey        foreign key (store) references ordak.stores (code),
  constraint refund_lines_quantity_positive check (quantity >= 0)
);
create index refund_lines_order_idx on ordak.refund_lines (store, shopify_order_id, line_id);
alter table ordak.refund_lines enable row level security;

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
  -- Counts the times through the stages: a cake that is sent back begins a second one.
  pass          int         not null default 1,
  assignee      bigint,
  storage       text,
  -- When its ticket was first printed.
  printed_at    timestamptz,
  -- When it was no longer wanted, though its order stands.
  withdrawn_at  timestamptz,
  -- What people have changed, as in orders.
  overrides     jsonb       not null default '{}',
  completed_at  timestamptz,
  -- When the kitchen last got further with it; null until it is begun.
  progressed_at timestamptz,
  -- Counts what people have edited, for whoever edits what they read earlier.
  version       int         not null default 1,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),

  -- What the queue sorts and looks for, copied from the order by a trigger so that one index has all of it.
  store         text        not null,
  order_number  bigint      not null,
  due_date      date,
  cancelled_at  timestamptz,
  search        text        not null,
  size_rank     int         not null generated always as (ordak.size_rank(size)) stored,

  constraint tasks_order_fkey        foreign key (order_key) references ordak.orders (id),
  constraint tasks_line_fkey         foreign key (line_key) references ordak.order_lines (id),
  constraint tasks_store_fkey        foreign key (store) references ordak.stores (code),
  constraint tasks_assignee_fkey     foreign key (assignee) references ordak.staff_shared (id),
  constraint tasks_line_unit_key     unique (line_key, unit),
  constraint tasks_number_key        unique (number),
  constraint tasks_unit_positive     check (unit > 0),
  constraint tasks_pass_positive     check (pass > 0),
  constraint tasks_completed_at_when check ((stage = 'Complete') = (completed_at is not null))
);
create index tasks_order_key_idx on ordak.tasks (order_key);
create index tasks_assignee_idx on ordak.tasks (assignee);
-- The queue's order, whole and for one stage.
create index tasks_queue_idx on ordak.tasks (store, due_date, size_rank, order_number, id)
  where stage <> 'Complete' and cancelled_at is null;
create index tasks_stage_idx on ordak.tasks (store, stage, due_date, size_rank, order_number, id)
  where stage <> 'Complete' and cancelled_at is null;
create index tasks_completed_idx on ordak.tasks (store, completed_at desc, id desc) where stage = 'Complete';
create index tasks_due_idx on ordak.tasks (store, due_date);
-- Where nothing goes on, of those that are begun and of those that are not.
create index tasks_progress_idx on ordak.tasks (store, progressed_at) where stage <> 'Complete' and cancelled_at is null;
create index tasks_waiting_idx on ordak.tasks (store, coalesce(due_date, '-infinity'))
  where stage <> 'Complete' and cancelled_at is null and progressed_at is null;
create index tasks_stored_idx on ordak.tasks (store, storage, completed_at desc, id desc)
  where stage = 'Complete' and storage is not null;
-- Two of them, so that a search of the queue does not look through years.
create index tasks_search_idx on ordak.tasks using gin (search extensions.gin_trgm_ops)
  where stage <> 'Complete' and cancelled_at is null;
create index tasks_search_complete_idx on ordak.tasks using gin (search extensions.gin_trgm_ops)
  where stage = 'Complete';
alter table ordak.tasks enable row level security;

-- stage_times: when each stage of each pass began and ended; a second pass leaves the first one's times as they are.
create table ordak.stage_times (
  task         bigint      not null,
  stage        ordak.stage not null,
  pass         int         not null,
  -- Null where a stage was completed that nobody had started.
  started_at   timestamptz,
  completed_at timestamptz,

  constraint stage_times_pkey      primary key (task, stage, pass),
  constraint stage_times_task_fkey foreign key (task) references ordak.tasks (id),
  constraint stage_times_stage     check (stage <> 'Complete'),
  constraint stage_times_order     check (completed_at >= started_at),
  constraint stage_times_some      check (started_at is not null or completed_at is not null)
);
alter table ordak.stage_times enable row level security;

-- stage_events: everything that people did to a task, one row each, with what the task was afterwards: read in
-- order they tell its whole story. Append-only.
create table ordak.stage_events (
  id         bigint generated always as identity primary key,
  task       bigint      not null,
  at         timestamptz not null default clock_timestamp(),
  -- The staff row of whoever did it; null where Shopify did.
  actor      bigint,
  action     text        not null,
  from_stage ordak.stage not null,
  to_stage   ordak.stage not null,
  pass       int         not null,
  assignee   bigint,
  storage    text,
  reason     text,

  constraint stage_events_task_fkey     foreign key (task) references ordak.tasks (id),
  constraint stage_events_actor_fkey    foreign key (actor) references ordak.staff_shared (id),
  constraint stage_events_assignee_fkey foreign key (assignee) references ordak.staff_shared (id),
  constraint stage_events_action_word   check (action in (
    'print', 'start', 'complete', 'return', 'assign', 'unassign', 'storage', 'hold', 'release', 'cancel', 'finish', 'move',
    'withdraw'))
);
create index stage_events_task_idx on ordak.stage_events (task, id);
create index stage_events_actor_idx on ordak.stage_events (actor);
create index stage_events_assignee_idx on ordak.stage_events (assignee);
alter table ordak.stage_events enable row level security;
create trigger stage_events_append_only before update or delete or truncate on ordak.stage_events
  for each statement execute function ordak.refuse_change();


-- touch: keeps updated_at true, whatever changes a row.
create function ordak.touch() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end
$$;
create trigger orders_touch before update on ordak.orders for each row execute function ordak.touch();
create trigger tasks_touch before update on ordak.tasks for each row execute function ordak.touch();


-- mirror_order: copies into a task what the queue needs of its order.
create function ordak.mirror_order() returns trigger
language plpgsql set search_path = '' as $$
declare
  v_order ordak.orders;
begin
  select * into strict v_order from ordak.orders where id = new.order_key;
  new.store := v_order.store;
  new.order_number := v_order.number;
  new.due_date := v_order.due_date;
  new.cancelled_at := coalesce(v_order.cancelled_at, new.withdrawn_at);
  new.search := concat_ws(' ', '#' || new.number, v_order.order_id, v_order.customer_name, new.product_title,
                          v_order.shopify_order_id, v_order.shopify_order_gid);
  return new;
end
$$;
create trigger tasks_mirror_order before insert or update of order_key, product_title, number, withdrawn_at
  on ordak.tasks
  for each row execute function ordak.mirror_order();


-- mirror_to_tasks: has an order's tasks copy it again.
create function ordak.mirror_to_tasks() returns trigger
language plpgsql set search_path = '' as $$
begin
  update ordak.tasks set order_key = new.id where order_key = new.id;
  return null;
end
$$;
create trigger orders_mirror after update on ordak.orders
  for each row when (
    (old.number, old.due_date, old.cancelled_at, old.customer_name, old.shopify_order_id, old.shopify_order_gid)
    is distinct from
    (new.number, new.due_date, new.cancelled_at, new.customer_name, new.shopify_order_id, new.shopify_order_gid))
  execute function ordak.mirror_to_tasks();


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
