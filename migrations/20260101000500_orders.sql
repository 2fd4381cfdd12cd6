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
    'print', 'start', 'complete', 'return', 'assign', 'unassign', 'storage', 'hold', 'release', 'cancel', 'finish', 'move'))
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
  new.updated_at := clock_timestamp();
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
create trigger orders_mirror after update of number, due_date, cancelled_at, customer_name, shopify_order_id, shopify_order_gid
  on ordak.orders
  for each row when (old is distinct from new) execute function ordak.mirror_to_tasks();


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


-- content_sha256: a hash of an order in normal form: two bodies of one version that say the same are one.
create function ordak.content_sha256(content jsonb) returns bytea
language sql immutable set search_path = '' as $$
  select sha256(convert_to(content::text, 'UTF8'))
$$;


-- kept: what a field of an order or a task is: what a person has made of it, else what Shopify says.
create function ordak.kept(overrides jsonb, field text, said text) returns text
language sql immutable set search_path = '' as $$
  select case when overrides ? field then overrides -> field ->> 'value' else said end
$$;


-- overridden: the overrides after Shopify has said something new: each keeps what a person made of the field, what
-- Shopify said then, and what it says now.
create function ordak.overridden(overrides jsonb, said jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_object_agg(field, o || jsonb_build_object('now', said -> field)), '{}')
  from jsonb_each(overrides) as e (field, o)
$$;


-- conflicts: whether Shopify says something new of a field that a person has changed, and not the same as they did.
create function ordak.conflicts(overrides jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select exists (select from jsonb_each(overrides) as e (field, o)
                 where o -> 'now' is distinct from o -> 'shopify' and o -> 'now' is distinct from o -> 'value')
$$;


-- keep_refunds: keeps refund lines for ever, each once. Returns how many were new.
create function ordak.keep_refunds(store text, shopify_order_id bigint, lines jsonb) returns bigint
language sql set search_path = '' as $$
  with added as (
    insert into ordak.refund_lines (
      store, refund_line_id, shopify_order_id, line_id, quantity, restock_type, location_id, refunded_at
    )
    select keep_refunds.store, r.refund_line_id, keep_refunds.shopify_order_id, r.line_id, r.quantity, r.restock_type,
           r.location_id, r.refunded_at
    from jsonb_to_recordset(lines) as r (refund_line_id bigint, line_id bigint, quantity int, restock_type text,
                                         location_id bigint, refunded_at timestamptz)
    on conflict do nothing
    returning 1
  )
  select count(*) from added
$$;


-- wanted: how many units of a line are still wanted: what Shopify counts, less refunds that it may not have counted
-- yet, and none of a cancelled order.
create function ordak.wanted(v_order ordak.orders, line_id bigint, quantity int, current int) returns int
language sql stable set search_path = '' as $$
  select case when v_order.cancelled_at is not null then 0 else greatest(0, least(current, quantity - coalesce((
    select sum(r.quantity)::int from ordak.refund_lines as r
    where r.store = v_order.store and r.shopify_order_id = v_order.shopify_order_id and r.line_id = wanted.line_id), 0))) end
$$;


-- see_products: remembers products that no order has named before, with a guess of what they are, and has their pictures
-- looked up, which takes too long for a delivery.
create function ordak.see_products(store text, lines jsonb) returns void
language sql set search_path = '' as $$
  with seen as (
    select distinct on (product_id, sku) l.product_id, case when l.product_id is null then l.sku end as sku, l.title, l.kind
    from jsonb_to_recordset(lines) as l (product_id bigint, sku text, title text, kind text)
    where coalesce(l.product_id::text, l.sku) is not null
  ), added as (
    -- In one order everywhere, or two orders with the same new products could wait for each other.
    insert into ordak.products (store, product_id, sku, title, kind)
    select see_products.store, s.product_id, s.sku, s.title, s.kind
    from seen as s
    where not exists (select from ordak.products as p where p.store = see_products.store
                      and (p.product_id = s.product_id or p.sku = s.sku))
    order by s.product_id, s.sku
    on conflict do nothing
    returning product_id
  )
  select ordak.mark('product_image', see_products.store, a.product_id::text) from added as a where a.product_id is not null
$$;


-- put_lines: writes an order's lines as a body says they are.
create function ordak.put_lines(v_order ordak.orders, lines jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  perform ordak.see_products(v_order.store, lines);
  insert into ordak.order_lines as l (
    order_key, line_id, position, product_id, variant_id, sku, title, variant_title, kind, quantity, current, wanted,
    fulfilled, price, size, flavour, cake_writing, properties
  )
  select
    v_order.id, b.line_id, a.position, b.product_id, b.variant_id, b.sku, b.title, b.variant_title,
    -- A person's word for the product counts; what is no product at all, like a gift card, stays none.
    case when b.kind = 'ignored' then b.kind else coalesce(p.kind, b.kind) end,
    b.quantity, b.current, ordak.wanted(v_order, b.line_id, b.quantity, b.current), coalesce(b.fulfilled, false), b.price,
    b.size, b.flavour, b.cake_writing, b.properties
  from jsonb_array_elements(lines) with ordinality as a (line, position)
  cross join jsonb_to_record(a.line) as b (
    line_id bigint, product_id bigint, variant_id bigint, sku text, title text, variant_title text, kind text,
    quantity int, current int, fulfilled boolean, price numeric, size text, flavour text, cake_writing text,
    properties jsonb
  )
  left join ordak.products as p
    on p.store = v_order.store and p.reviewed
    and (p.product_id = b.product_id or b.product_id is null and p.sku = b.sku)
  on conflict on constraint order_lines_line_key do update set
    position = excluded.position, product_id = excluded.product_id, variant_id = excluded.variant_id,
    sku = excluded.sku, title = excluded.title, variant_title = excluded.variant_title, kind = excluded.kind,
    quantity = excluded.quantity, current = excluded.current, wanted = excluded.wanted,
    fulfilled = excluded.fulfilled, price = excluded.price, size = excluded.size, flavour = excluded.flavour,
    cake_writing = excluded.cake_writing, properties = excluded.properties;
end
$$;


-- flag: raises or clears a flag of an order; flags are kept sorted, each once.
create function ordak.flag(order_key bigint, flag text, raised boolean) returns void
language sql set search_path = '' as $$
  update ordak.orders as o
  set flags = case when raised then array(select distinct f from unnest(o.flags || flag.flag) as f order by f)
                   else array_remove(o.flags, flag.flag) end
  where o.id = flag.order_key and raised <> (flag.flag = any (o.flags))
$$;


-- flag_unknown: flags an order of which something is wanted that nobody has said what it is.
create function ordak.flag_unknown(order_key bigint) returns void
language sql set search_path = '' as $$
  select ordak.flag(flag_unknown.order_key, 'unknown_product', exists (
    select from ordak.order_lines as l
    where l.order_key = flag_unknown.order_key and l.kind = 'unknown' and l.wanted > 0))
$$;


-- is_started: whether the kitchen has begun with a task; its number stays then, and nothing takes it away silently.
create function ordak.is_started(task ordak.tasks) returns boolean
language sql stable set search_path = '' as $$
  select task.printed_at is not null or task.stage <> 'Filling'
    or exists (select from ordak.stage_times as s where s.task = task.id)
$$;


-- make_tasks: makes the tasks that an order lacks, one for each wanted cake.
--
-- A task is a unit of a line. The first cake of several is A, the next B; a number that is taken is never given again.
create function ordak.make_tasks(v_order ordak.orders) returns void
language plpgsql set search_path = '' as $$
declare
  v_letter constant text := (select letter from ordak.stores where code = v_order.store);
  v_base   constant text := v_letter || v_order.number;
  v_taken  constant text[] := array(select t.number from ordak.tasks as t where t.order_key = v_order.id);
  v_cakes  bigint;
begin
  -- Sold over the counter: the cake has left the shop, nothing is to be made.
  if v_order.pos then
    return;
  end if;
  select coalesce(sum(l.wanted), 0) into v_cakes from ordak.order_lines as l
  where l.order_key = v_order.id and l.kind = 'cake';
  with missing as (
    select l.*, u.unit, row_number() over (order by l.position, u.unit) as place
    from ordak.order_lines as l
    cross join lateral (
      select u from generate_series(1, l.wanted + (select count(*) from ordak.tasks as t where t.line_key = l.id)) as u
      where not exists (select from ordak.tasks as t where t.line_key = l.id and t.unit = u)
      order by u
      limit l.wanted - (select count(*) from ordak.tasks as t where t.line_key = l.id and t.withdrawn_at is null)
    ) as u (unit)
    where l.order_key = v_order.id and l.kind = 'cake'
  ), free as (
    select n.number, row_number() over (order by n.n) as place
    from (
      select 0 as n, v_base as number where v_cakes = 1 and cardinality(v_taken) = 0
      union all
      select s, v_base || '-' || ordak.suffix(s::int) from generate_series(1, v_cakes + cardinality(v_taken)) as s
      where v_cakes > 1 or cardinality(v_taken) > 0
    ) as n
    where n.number <> all (v_taken) and not (n.n = 1 and v_base = any (v_taken))
  )
  insert into ordak.tasks (order_key, line_key, unit, number, product_title, size, flavour, cake_writing)
  select v_order.id, m.id, m.unit, f.number, m.title, m.size, m.flavour, m.cake_writing
  from missing as m
  join free as f on f.place = m.place
  order by m.place;
end
$$;


-- sync_tasks: makes an order's tasks agree with what is wanted of its lines.
--
-- What nobody has touched is made anew, so that the same order ends with the same tasks whatever came in between. What
-- was assigned or edited and not begun is withdrawn, the highest unit first; what was begun stays, and where that is
-- more than is wanted, a person must decide.
create function ordak.sync_tasks(v_order ordak.orders) returns void
language plpgsql set search_path = '' as $$
declare
  v_surplus boolean;
begin
  if exists (
    select from ordak.order_lines as l
    where l.order_key = v_order.id
      and (select count(*) from ordak.tasks as t where t.line_key = l.id and t.withdrawn_at is null)
          <> case when l.kind = 'cake' and not v_order.pos then l.wanted else 0 end
  ) then
    delete from ordak.tasks as t
    where t.order_key = v_order.id and t.overrides = '{}' and not ordak.is_started(t)
      and not exists (select from ordak.stage_events as e where e.task = t.id);
    with placed as (
      select t as task, l.wanted,
             row_number() over (partition by t.line_key order by ordak.is_started(t) desc, t.unit) as place
      from ordak.tasks as t
      join ordak.order_lines as l on l.id = t.line_key
      where t.order_key = v_order.id and t.withdrawn_at is null
    ), withdrawn as (
      update ordak.tasks as t set withdrawn_at = now(), order_key = t.order_key
      from placed as p
      where t.id = (p.task).id and p.place > p.wanted and not ordak.is_started(t)
    )
    select exists (select from placed as p where p.place > p.wanted and ordak.is_started(p.task)
                   and (p.task).stage <> 'Complete') into v_surplus;
    perform ordak.flag(v_order.id, 'too_many_begun', v_surplus and v_order.cancelled_at is null);
    perform ordak.make_tasks(v_order);
  end if;
  perform ordak.follow_lines(v_order);
end
$$;


-- follow_lines: has the tasks say what their lines say now, but for what people have changed.
create function ordak.follow_lines(v_order ordak.orders) returns void
language plpgsql set search_path = '' as $$
declare
  v_begun boolean;
begin
  with said as (
    select t.id, ordak.overridden(t.overrides, jsonb_build_object(
             'product_title', l.title, 'size', l.size, 'flavour', l.flavour, 'cake_writing', l.cake_writing)) as overrides,
           l.title, l.size, l.flavour, l.cake_writing
    from ordak.tasks as t
    join ordak.order_lines as l on l.id = t.line_key
    where t.order_key = v_order.id and t.stage <> 'Complete'
  ), followed as (
    update ordak.tasks as t
    set overrides = s.overrides,
        product_title = ordak.kept(s.overrides, 'product_title', s.title), size = ordak.kept(s.overrides, 'size', s.size),
        flavour = ordak.kept(s.overrides, 'flavour', s.flavour),
        cake_writing = ordak.kept(s.overrides, 'cake_writing', s.cake_writing)
    from said as s
    where t.id = s.id
      and (t.overrides, t.product_title, t.size, t.flavour, t.cake_writing) is distinct from (
        s.overrides, ordak.kept(s.overrides, 'product_title', s.title), ordak.kept(s.overrides, 'size', s.size),
        ordak.kept(s.overrides, 'flavour', s.flavour), ordak.kept(s.overrides, 'cake_writing', s.cake_writing))
    returning t
  )
  select coalesce(bool_or(ordak.is_started(f.t)), false) into v_begun from followed as f;
  if v_begun then
    perform ordak.flag(v_order.id, 'changed_when_begun', true);
  end if;
end
$$;


-- add_order: writes an order that is not there yet; an empty row where it is, or another has its number.
create function ordak.add_order(store ordak.stores, content jsonb) returns ordak.orders
language sql set search_path = '' as $$
  insert into ordak.orders (
    store, number, shopify_order_id, shopify_order_gid, customer_name, due_date, delivery_window, delivery_method, notes,
    currency, total_amount, pos, test, placed_at, location_id, shopify_updated_at, content_sha256, cancelled_at,
    cancel_reason, flags, source, idempotency_key, request_sha256
  )
  select
    store.code, o.number, o.shopify_order_id, o.shopify_order_gid, o.customer_name, o.due_date, o.delivery_window,
    o.delivery_method, o.notes, o.currency, o.total_amount, o.pos, o.test, o.placed_at, o.location_id, o.updated_at,
    case when o.updated_at is not null then ordak.content_sha256(content) end, o.cancelled_at, o.cancel_reason, o.flags,
    coalesce(o.source, 'shopify'), o.idempotency_key, o.request_sha256
  from jsonb_to_record(content) as o (
    number bigint, shopify_order_id bigint, shopify_order_gid text, customer_name text, due_date date,
    delivery_window text, delivery_method text, notes text, currency text, total_amount numeric, pos boolean,
    test boolean, placed_at timestamptz, location_id bigint, updated_at timestamptz, cancelled_at timestamptz,
    cancel_reason text, flags text[], source text, idempotency_key text, request_sha256 bytea
  )
  -- Two deliveries of one order at the same instant: the second waits here for the first one's commit.
  on conflict do nothing
  returning *
$$;


-- order_there: the order that a body is about, locked. Raises ORD005 where there is none, for then another one has its
-- number, and where it stands in another store.
create function ordak.order_there(store ordak.stores, content jsonb) returns ordak.orders
language plpgsql set search_path = '' as $$
declare
  v_order ordak.orders;
begin
  select * into v_order from ordak.orders as o where o.shopify_order_gid = content ->> 'shopify_order_gid' for no key update;
  if not found then
    perform ordak.fail('ORD005', format('order number %s of store %s belongs to another order', content ->> 'number', store.code));
  elsif v_order.store <> store.code then
    -- The domain is a header and not signed: one of the two deliveries named the wrong one.
    perform ordak.fail('ORD005', format('expected an order of store %s, but found that it stands in %s', store.code, v_order.store));
  end if;
  return v_order;
end
$$;


-- adopt_lines: gives the lines that a partner told us of the ids of Shopify's lines that are the same products, so that
-- the cakes that are made already are those of Shopify's order.
create function ordak.adopt_lines(order_key bigint, lines jsonb) returns void
language sql set search_path = '' as $$
  with ours as (
    select l.id, l.title, l.variant_title, row_number() over (partition by l.title, l.variant_title order by l.position) as place
    from ordak.order_lines as l
    where l.order_key = adopt_lines.order_key and l.line_id is null
  ), theirs as (
    select b.line_id, b.title, b.variant_title, row_number() over (partition by b.title, b.variant_title order by b.line_id) as place
    from jsonb_to_recordset(lines) as b (line_id bigint, title text, variant_title text)
  )
  update ordak.order_lines as l set line_id = t.line_id
  from ours as o
  join theirs as t on t.title = o.title and t.variant_title is not distinct from o.variant_title and t.place = o.place
  where l.id = o.id
$$;


-- renew_order: writes what a newer body says into an order, but for what people have changed. A cancellation stays.
create function ordak.renew_order(v_old ordak.orders, content jsonb) returns ordak.orders
language plpgsql set search_path = '' as $$
declare
  v_overrides constant jsonb := ordak.overridden(v_old.overrides, content);
  -- What the body itself decides; the other flags are ours.
  c_said      constant text[] := '{no_due_date,bad_due_date,truncated}';
  v_order     ordak.orders;
begin
  update ordak.orders as o
  set customer_name = ordak.kept(v_overrides, 'customer_name', n.customer_name),
      due_date = ordak.kept(v_overrides, 'due_date', n.due_date)::date,
      delivery_window = ordak.kept(v_overrides, 'delivery_window', n.delivery_window),
      delivery_method = ordak.kept(v_overrides, 'delivery_method', n.delivery_method),
      notes = ordak.kept(v_overrides, 'notes', n.notes),
      currency = n.currency, total_amount = n.total_amount, pos = n.pos, test = n.test, placed_at = n.placed_at,
      location_id = n.location_id, shopify_updated_at = n.updated_at, content_sha256 = ordak.content_sha256(content),
      cancelled_at = coalesce(o.cancelled_at, n.cancelled_at), cancel_reason = coalesce(o.cancel_reason, n.cancel_reason),
      overrides = v_overrides,
      flags = array(
        select distinct f from (
          select unnest(o.flags) as f except select unnest(c_said)
          union all
          select unnest(n.flags)
        ) as a
        where not (f in ('no_due_date', 'bad_due_date') and v_overrides ? 'due_date')
        order by f)
  from jsonb_to_record(content) as n (
    customer_name text, due_date text, delivery_window text, delivery_method text, notes text, currency text,
    total_amount numeric, pos boolean, test boolean, placed_at timestamptz, location_id bigint, updated_at timestamptz,
    cancelled_at timestamptz, cancel_reason text, flags text[]
  )
  where o.id = v_old.id
  returning o.* into v_order;
  perform ordak.flag(v_old.id, 'edit_conflict', ordak.conflicts(v_overrides));
  if v_old.content_sha256 is null then
    perform ordak.adopt_lines(v_old.id, content -> 'lines');
  end if;
  -- What the body does not name any more, Shopify does not count any more.
  update ordak.order_lines as l set current = 0
  where l.order_key = v_old.id and l.current > 0 and not exists (
    select from jsonb_array_elements(content -> 'lines') as b (line) where (b.line ->> 'line_id')::bigint = l.line_id);
  perform ordak.put_lines(v_order, content -> 'lines');
  return v_order;
end
$$;


-- store_order: writes an order in normal form that is not there yet, its lines and its tasks; an empty row where it is
-- there, or another has its number.
create function ordak.store_order(store ordak.stores, content jsonb) returns ordak.orders
language plpgsql set search_path = '' as $$
declare
  -- More cakes than any bakery makes of one order; a typing error must not fill the kitchen's table.
  c_most_cakes constant int := 500;
  v_cakes bigint;
  v_order ordak.orders;
begin
  select coalesce(sum((line ->> 'current')::bigint), 0) into v_cakes
  from jsonb_array_elements(content -> 'lines') as line
  where line ->> 'kind' = 'cake';
  if v_cakes > c_most_cakes then
    perform ordak.fail('ORD004', format('expected at most %s cakes in an order, but found %s', c_most_cakes, v_cakes));
  end if;
  v_order := ordak.add_order(store, content);
  if v_order.id is not null then
    perform ordak.keep_refunds(store.code, v_order.shopify_order_id, content -> 'refund_lines');
    perform ordak.put_lines(v_order, content -> 'lines');
    perform ordak.make_tasks(v_order);
    perform ordak.flag_unknown(v_order.id);
  end if;
  return v_order;
end
$$;


-- settle_order: has an order's lines and tasks agree with what is wanted of it now.
--
-- was_open  whether the order was not cancelled before
create function ordak.settle_order(order_key bigint, was_open boolean) returns void
language plpgsql set search_path = '' as $$
declare
  v_order ordak.orders;
begin
  select * into strict v_order from ordak.orders as o where o.id = settle_order.order_key;
  update ordak.order_lines as l set wanted = w.wanted
  from ordak.order_lines as o
  cross join lateral ordak.wanted(v_order, o.line_id, o.quantity, o.current) as w (wanted)
  where o.order_key = v_order.id and l.id = o.id and l.wanted <> w.wanted;
  perform ordak.sync_tasks(v_order);
  if was_open and v_order.cancelled_at is not null then
    perform ordak.change_tasks(null, 'cancel', ordak.tasks_where(v_order.id, false), '{"assignee": null}', v_order.cancel_reason);
  end if;
  perform ordak.flag_unknown(v_order.id);
end
$$;


-- put_order: makes an order what a body of Shopify's says it is, unless a newer one was here. Of an older body only
-- refunds and a cancellation count.
--
-- proven    whether what was signed shows that the order is this store's
-- outcome   created, updated or skipped
-- Raises ORD004 and ORD005 for what can never be written.
create function ordak.put_order(store ordak.stores, content jsonb, proven boolean, out outcome text, out order_key bigint)
language plpgsql set search_path = '' as $$
declare
  v_id    constant bigint := (content ->> 'shopify_order_id')::bigint;
  v_order ordak.orders;
begin
  -- A refund of the order may arrive at the same instant: each must see the other.
  perform pg_advisory_xact_lock(hashtextextended(store.code, v_id));
  v_order := ordak.store_order(store, content);
  if v_order.id is not null then
    outcome := 'created';
    order_key := v_order.id;
    if not proven then
      perform ordak.flag(order_key, 'unproven_store', true);
    end if;
  else
    v_order := ordak.order_there(store, content);
    order_key := v_order.id;
    outcome := case when ordak.update_order(v_order, content) then 'updated' else 'skipped' end;
    if proven then
      perform ordak.flag(order_key, 'unproven_store', false);
    end if;
  end if;
end
$$;


-- update_order: takes from a body what is newer in it than what is here. False where that is nothing.
create function ordak.update_order(v_old ordak.orders, content jsonb) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_said  constant timestamptz := (content ->> 'updated_at')::timestamptz;
  v_hash  constant bytea       := ordak.content_sha256(content);
  -- What a partner told us of an order of Shopify's is older than anything that Shopify says.
  v_newer constant boolean     := v_old.content_sha256 is null
                                  or (v_said, v_hash) > (v_old.shopify_updated_at, v_old.content_sha256);
  v_order ordak.orders         := v_old;
  v_added bigint;
begin
  if v_said = v_old.shopify_updated_at and v_hash <> v_old.content_sha256 then
    -- Two versions that claim to be one: which of them is right, Shopify must say.
    perform ordak.mark('refetch_order', v_old.store, v_old.shopify_order_id::text);
  end if;
  v_added := ordak.keep_refunds(v_old.store, v_old.shopify_order_id, content -> 'refund_lines');
  if v_newer then
    v_order := ordak.renew_order(v_old, content);
  elsif v_old.cancelled_at is null and content ->> 'cancelled_at' is not null then
    update ordak.orders as o
    set cancelled_at = (content ->> 'cancelled_at')::timestamptz, cancel_reason = content ->> 'cancel_reason'
    where o.id = v_old.id
    returning * into v_order;
  elsif v_added = 0 then
    return false;
  end if;
  perform ordak.settle_order(v_order.id, v_old.cancelled_at is null);
  return true;
end
$$;
