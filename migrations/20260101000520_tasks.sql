-- Tasks: what an order's lines ask of the kitchen, and how its tasks follow them.

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
    select sum(r.quantity) from ordak.refund_lines as r
    where r.store = v_order.store and r.shopify_order_id = v_order.shopify_order_id
      and r.line_id = wanted.line_id), 0)))::int end
$$;


-- see_products: remembers products that no order has named before, with a guess of what they are, and has their pictures
-- looked up, which takes too long for a delivery.
--
-- proven    whether the order is known to be the store's, and so its products
create function ordak.see_products(store text, lines jsonb, proven boolean) returns void
language sql set search_path = '' as $$
  update ordak.products as p set proven = true
  where see_products.proven and p.store = see_products.store and not p.proven
    and p.product_id in (select (line ->> 'product_id')::bigint from jsonb_array_elements(lines) as line);
  with seen as (
    select distinct on (product_id, sku) l.product_id, case when l.product_id is null then l.sku end as sku, l.title,
           l.kind
    from jsonb_to_recordset(lines) as l (product_id bigint, sku text, title text, kind text)
    where coalesce(l.product_id::text, l.sku) is not null
  ), added as (
    -- In one order everywhere, or two orders with the same new products could wait for each other.
    insert into ordak.products (store, product_id, sku, title, kind, proven)
    select see_products.store, s.product_id, s.sku, s.title, s.kind, see_products.proven
    from seen as s
    where not exists (select from ordak.products as p where p.store = see_products.store
                      and (p.product_id = s.product_id or p.sku = s.sku))
    order by s.product_id, s.sku
    on conflict do nothing
    returning product_id
  )
  select ordak.mark('product_image', see_products.store, a.product_id::text)
  from added as a where a.product_id is not null
$$;


-- put_lines: writes an order's lines as a body says they are, but that a person's word for what a product is counts.
create function ordak.put_lines(v_order ordak.orders, lines jsonb, proven boolean) returns void
language plpgsql set search_path = '' as $$
declare
  v_over constant boolean := coalesce(v_order.due_date < (
    select ordak.local_day(s.time_zone, now()) from ordak.stores as s where s.code = v_order.store), false);
begin
  perform ordak.see_products(v_order.store, lines, proven);
  insert into ordak.order_lines as l (
    order_key, line_id, position, product_id, variant_id, sku, title, variant_title, kind, quantity, current, wanted,
    fulfilled, price, size, flavour, cake_writing, properties
  )
  select
    v_order.id, b.line_id, a.position, b.product_id, b.variant_id, b.sku, b.title, b.variant_title,
    coalesce(p.kind, b.kind), b.quantity, c.current, ordak.wanted(v_order, b.line_id, b.quantity, c.current),
    coalesce(b.fulfilled, false), b.price, b.size, b.flavour, b.cake_writing, b.properties
  from jsonb_array_elements(lines) with ordinality as a (line, position)
  cross join jsonb_to_record(a.line) as b (
    line_id bigint, product_id bigint, variant_id bigint, sku text, title text, variant_title text, kind text,
    quantity int, current int, fulfilled boolean, price numeric, size text, flavour text, cake_writing text,
    properties jsonb
  )
  -- Only Shopify counts what is left apart from what was bought.
  cross join lateral coalesce(b.current, b.quantity) as c (current)
  left join ordak.products as p
    on p.store = v_order.store and p.reviewed
    and (p.product_id = b.product_id or b.product_id is null and p.sku = b.sku)
  on conflict on constraint order_lines_line_key do update set
    position = excluded.position, product_id = excluded.product_id, variant_id = excluded.variant_id,
    sku = excluded.sku, title = excluded.title, variant_title = excluded.variant_title,
    -- What was found to be a cake after its day is made for nobody any more.
    kind = case when v_over and excluded.kind = 'cake' then l.kind else excluded.kind end,
    quantity = excluded.quantity, current = excluded.current, wanted = excluded.wanted,
    fulfilled = excluded.fulfilled, price = excluded.price, size = excluded.size, flavour = excluded.flavour,
    cake_writing = excluded.cake_writing, properties = excluded.properties;
end
$$;


-- flag: raises or clears a flag of an order; flags are kept sorted, each once.
create function ordak.flag(order_key bigint, flag text, raised boolean) returns void
language plpgsql set search_path = '' as $$
begin
  update ordak.orders as o
  set flags = case when raised then array(select distinct f from unnest(o.flags || flag.flag) as f order by f)
                   else array_remove(o.flags, flag.flag) end
  where o.id = flag.order_key and raised <> (flag.flag = any (o.flags));
end
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


-- cakes: how many tasks a line of an order asks for. What was sold over the counter has left the shop.
create function ordak.cakes(v_order ordak.orders, line ordak.order_lines) returns int
language sql immutable set search_path = '' as $$
  select case when line.kind = 'cake' and not v_order.pos then line.wanted else 0 end
$$;


-- refuse_too_many: refuses with ORD004 more cakes than any bakery makes of one order: a typing error must not fill the
-- kitchen's table.
create function ordak.refuse_too_many(v_order ordak.orders, cakes bigint) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if cakes > 500 then
    perform ordak.fail('ORD004', format('expected at most 500 cakes in order %s, but found %s', v_order.order_id, cakes));
  end if;
end
$$;


-- make_tasks: makes the tasks that an order lacks, one for each wanted cake.
--
-- A task is a unit of a line. The first cake of several is A, the next B; a number that is taken is never given again.
create function ordak.make_tasks(v_order ordak.orders) returns void
language plpgsql set search_path = '' as $$
declare
  v_base  text;
  v_taken text[];
  v_cakes bigint;
begin
  select s.letter || v_order.number, array(select t.number from ordak.tasks as t where t.order_key = v_order.id),
         (select coalesce(sum(ordak.cakes(v_order, l)), 0) from ordak.order_lines as l where l.order_key = v_order.id)
  into strict v_base, v_taken, v_cakes
  from ordak.stores as s where s.code = v_order.store;
  perform ordak.refuse_too_many(v_order, v_cakes);
  with missing as (
    select l.*, u.unit, row_number() over (order by l.position, l.id, u.unit) as place
    from ordak.order_lines as l
    cross join lateral (
      select count(*) as made, count(*) filter (where t.withdrawn_at is null) as active
      from ordak.tasks as t where t.line_key = l.id
    ) as t
    cross join lateral (
      select u from generate_series(1, ordak.cakes(v_order, l) + t.made) as u
      where not exists (select from ordak.tasks as o where o.line_key = l.id and o.unit = u)
      order by u
      limit greatest(0, ordak.cakes(v_order, l) - t.active)
    ) as u (unit)
    where l.order_key = v_order.id
  ), free as (
    select n.number, row_number() over (order by n.n) as place
    from (
      select 0 as n, v_base as number where v_cakes = 1 and v_taken = '{}'
      union all
      select s, v_base || '-' || ordak.suffix(s::int) from generate_series(1, v_cakes + cardinality(v_taken)) as s
      where v_cakes > 1 or v_taken <> '{}'
    ) as n
    -- Where the first cake was the only one once, it goes by the order's number, and the second is B.
    where n.number <> all (v_taken) and not (n.n = 1 and v_base = any (v_taken))
  )
  insert into ordak.tasks (order_key, line_key, unit, number, product_title, size, flavour, cake_writing)
  select v_order.id, m.id, m.unit, f.number, m.title, m.size, m.flavour, m.cake_writing
  from missing as m
  join free as f on f.place = m.place
  order by m.place;
end
$$;


-- withdraw_tasks: takes back what is no longer wanted of an order: what was assigned or edited and not begun, the
-- highest unit first. What was begun stays; true where that is more than is wanted, and a person must decide.
create function ordak.withdraw_tasks(v_order ordak.orders) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_untouched bigint[];
  v_surplus   boolean;
begin
  select coalesce(array_agg(p.id) filter (where not p.begun), '{}'),
         coalesce(bool_or(p.begun and p.stage <> 'Complete'), false)
  into v_untouched, v_surplus
  from (
    select t.id, t.stage, b.begun, ordak.cakes(v_order, l) as cakes,
           row_number() over (partition by t.line_key order by b.begun desc, t.unit) as place
    from ordak.tasks as t
    join ordak.order_lines as l on l.id = t.line_key
    cross join lateral ordak.is_started(t) as b (begun)
    where t.order_key = v_order.id and t.withdrawn_at is null
  ) as p
  where p.place > p.cakes;
  update ordak.tasks as t set withdrawn_at = now() where t.id = any (v_untouched);
  perform ordak.change_tasks(null, 'withdraw', v_untouched, '{"assignee": null}');
  return v_surplus;
end
$$;


-- drop_untouched: deletes the tasks of an order that nobody has touched: no event, no edit, not begun.
create function ordak.drop_untouched(order_key bigint) returns void
language sql set search_path = '' as $$
  delete from ordak.tasks as t
  where t.order_key = drop_untouched.order_key and t.overrides = '{}' and not ordak.is_started(t)
    and not exists (select from ordak.stage_events as e where e.task = t.id)
$$;


-- sync_tasks: makes an order's tasks agree with what is wanted of its lines.
--
-- What nobody has touched is made anew, so that the same order ends with the same tasks whatever came in between. The
-- other tasks of a cancelled order are cancelled as they are.
create function ordak.sync_tasks(v_order ordak.orders) returns void
language plpgsql set search_path = '' as $$
declare
  v_surplus boolean := false;
begin
  if exists (
    select from ordak.order_lines as l
    where l.order_key = v_order.id
      and (select count(*) from ordak.tasks as t where t.line_key = l.id and t.withdrawn_at is null)
          <> ordak.cakes(v_order, l)
  ) or exists (
    -- The lines stand in another order than when the letters were given.
    select from (
      select l.position, lag(l.position) over (order by t.id) as before
      from ordak.tasks as t
      join ordak.order_lines as l on l.id = t.line_key
      where t.order_key = v_order.id and t.withdrawn_at is null
    ) as p
    where p.before > p.position
  ) then
    perform ordak.drop_untouched(v_order.id);
    if v_order.cancelled_at is null then
      v_surplus := ordak.withdraw_tasks(v_order);
      perform ordak.make_tasks(v_order);
    end if;
  end if;
  perform ordak.flag(v_order.id, 'too_many_begun', v_surplus);
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
    select t.id, o.overrides, ordak.kept(o.overrides, 'product_title', l.title) as product_title,
           ordak.kept(o.overrides, 'size', l.size) as size, ordak.kept(o.overrides, 'flavour', l.flavour) as flavour,
           ordak.kept(o.overrides, 'cake_writing', l.cake_writing) as cake_writing
    from ordak.tasks as t
    join ordak.order_lines as l on l.id = t.line_key
    cross join lateral ordak.overridden(t.overrides, jsonb_build_object(
      'product_title', l.title, 'size', l.size, 'flavour', l.flavour, 'cake_writing', l.cake_writing)) as o (overrides)
    where t.order_key = v_order.id and t.stage <> 'Complete' and t.cancelled_at is null
  ), followed as (
    update ordak.tasks as t
    set overrides = s.overrides, product_title = s.product_title, size = s.size, flavour = s.flavour,
        cake_writing = s.cake_writing
    from said as s
    join ordak.tasks as o on o.id = s.id
    where t.id = s.id
      and (o.overrides, o.product_title, o.size, o.flavour, o.cake_writing)
          is distinct from (s.overrides, s.product_title, s.size, s.flavour, s.cake_writing)
    returning ordak.is_started(o) and (o.product_title, o.size, o.flavour, o.cake_writing)
              is distinct from (s.product_title, s.size, s.flavour, s.cake_writing) as begun
  )
  select coalesce(bool_or(f.begun), false) into v_begun from followed as f;
  if v_begun then
    perform ordak.flag(v_order.id, 'changed_when_begun', true);
  end if;
end
$$;


-- flag_conflict: flags an order where Shopify says something new of what a person has changed, in it or in one of its
-- tasks that are still to be made.
create function ordak.flag_conflict(order_key bigint) returns void
language sql set search_path = '' as $$
  select ordak.flag(flag_conflict.order_key, 'edit_conflict',
    exists (select from ordak.orders as o where o.id = flag_conflict.order_key and ordak.conflicts(o.overrides))
    or exists (select from ordak.tasks as t
               where t.order_key = flag_conflict.order_key and t.cancelled_at is null and t.stage <> 'Complete'
                 and ordak.conflicts(t.overrides)))
$$;
