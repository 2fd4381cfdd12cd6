-- Stock lists: what there is, what is short, what waits, and what can be sold.

create function api.list_items(kind text default null, after text default '',
  page_size int default 50) returns setof api.item
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Staff');
  perform ordak.check_page(page_size);
  return query
    select f.* from ordak.items as i cross join lateral ordak.item_of(i) as f
    where i.sku > coalesce(after, '') and (list_items.kind is null or i.kind = list_items.kind) order by i.sku limit page_size;
end
$$;
grant execute on function api.list_items(text, text, int) to authenticated;
comment on function api.list_items(text, text, int) is $$
The items, and what there is of them.

kind       component, accessory, topper or product; left out for all
after      only those after this SKU, the last one of the page before
page_size  1 to 200
returns    them by SKU
raises     AUTH001; VAL001
role       Staff
example    {"kind": "component"}
$$;


-- What is low, as low_stock lists it.
create index items_low_idx on ordak.items ((on_hand - minimum), sku)
  where active and tracked and (on_hand < minimum or on_hand <= 0);


create function api.low_stock(kind text default null, after text default null, page_size int default 50)
returns setof api.item
language plpgsql stable security definer set search_path = '' as $$
declare
  v_after ordak.items;
begin
  perform ordak.require_staff('Staff');
  perform ordak.check_page(page_size);
  if after is not null then
    v_after := ordak.find_item(after);
  end if;
  return query
    select f.* from ordak.items as i cross join lateral ordak.item_of(i) as f
    where i.active and i.tracked and (i.on_hand < i.minimum or i.on_hand <= 0)
      and (low_stock.kind is null or i.kind = low_stock.kind)
      and (i.on_hand - i.minimum, i.sku) > (coalesce(v_after.on_hand - v_after.minimum, '-infinity'), coalesce(after, ''))
    order by i.on_hand - i.minimum, i.sku
    limit page_size;
end
$$;
grant execute on function api.low_stock(text, text, int) to authenticated;
comment on function api.low_stock(text, text, int) is $$
Items of which there is less than their minimum, or nothing.

kind       component, accessory, topper or product; left out for all
after      only those after this SKU, the last one of the page before, by what there is of it now
page_size  1 to 200
returns    them, what is furthest below its minimum first
raises     AUTH001; VAL001; INV002 no item has the SKU in after
role       Staff
example    {"kind": "accessory"}
$$;


create type api.missing_part as (sku text, quantity numeric);
comment on type api.missing_part is 'How many pieces of an item an order waits for';

create type api.blocked_order as (order_id text, store text, due_date date, placed_at timestamptz,
  missing api.missing_part[]);
comment on type api.blocked_order is 'An order that waits for stock, and for what';


-- blocked_orders: the orders of a store, or of all, that wait for stock, in the order in which they will be served.
create function ordak.blocked_orders(store text, after text, page_size int) returns setof api.blocked_order
language sql stable set search_path = '' as $$
  select o.order_id, o.store, o.due_date, o.placed_at, array(
    select (i.sku, sum(r.quantity))::api.missing_part
    from ordak.reservations as r join ordak.items as i on i.id = r.item
    where r.order_key = o.id and r.state = 'blocked' group by i.sku order by i.sku)
  from ordak.orders as o
  where o.id in (select r.order_key from ordak.reservations as r where r.state = 'blocked')
    and (blocked_orders.store is null or o.store = blocked_orders.store)
    and (after is null or (coalesce(o.due_date, 'infinity'), o.placed_at, o.id) > (
      select coalesce(a.due_date, 'infinity'), a.placed_at, a.id from ordak.orders as a where a.order_id = after))
  order by coalesce(o.due_date, 'infinity'), o.placed_at, o.id
  limit page_size
$$;


create function api.blocked_orders(store text default null, after text default null, page_size int default 50)
returns setof api.blocked_order
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Staff', store);
  perform ordak.check_store(store);
  perform ordak.check_page(page_size);
  -- An order that was given another number meanwhile must not end the list.
  if after is not null and not exists (select from ordak.orders as o where o.order_id = after) then
    perform ordak.fail('VAL001', 'expected the order_id of the last order of a page, but found another',
                       'begin with the first page again');
  end if;
  return query select b.* from ordak.blocked_orders(coalesce(store, v_me.store), after, page_size) as b;
end
$$;
grant execute on function api.blocked_orders(text, text, int) to authenticated;
comment on function api.blocked_orders(text, text, int) is $$
Orders that wait for stock, what is due first first, and what they wait for.

store      the code of a store; left out for all of the caller's
after      only those after this order_id, the last one of the page before
page_size  1 to 200
returns    them
raises     AUTH001; AUTH002 another store; VAL001
role       Staff
example    {"store": "bannos"}
$$;


create function api.stock_ledger(sku text, before bigint default null,
  page_size int default 50) returns setof api.stock_move
language plpgsql stable security definer set search_path = '' as $$
declare
  v_item ordak.items;
begin
  perform ordak.require_staff('Staff');
  perform ordak.check_page(page_size);
  v_item := ordak.find_item(sku);
  return query
    select m.id, v_item.sku, m.delta, m.on_hand, m.reason, m.reference, a.full_name, m.at
    from ordak.stock_moves as m
    left join ordak.staff_shared as a on a.id = m.actor
    where m.item = v_item.id and m.id < coalesce(before, 9223372036854775807)
    order by m.id desc
    limit page_size;
end
$$;
grant execute on function api.stock_ledger(text, bigint, int) to authenticated;
comment on function api.stock_ledger(text, bigint, int) is $$
Every change of what is on hand of an item, newest first.

sku        of which item
before     only those before this move_id, the last one of the page before
page_size  1 to 200
returns    the moves
raises     AUTH001; VAL001; INV002 no such item
role       Staff
example    {"sku": "BOX-10"}
$$;


-- recheck_blocked: serves who waits for items, and answers with how many reservations are served by that.
create function ordak.recheck_blocked(items bigint[]) returns int
language plpgsql set search_path = '' as $$
declare
  v_waiting bigint[];
begin
  perform ordak.lock_items(items);
  v_waiting := array(select r.id from ordak.reservations as r where r.item = any (items) and r.state = 'blocked');
  perform ordak.after_gain(items);
  return (select count(*) from ordak.reservations as r where r.id = any (v_waiting) and r.state = 'held');
end
$$;


create function api.recheck_blocked(sku text default null) returns int
language plpgsql security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Supervisor');
  if sku is not null then
    perform ordak.find_item(sku);
  end if;
  return ordak.recheck_blocked(array(
    select i.id from ordak.items as i where i.blocked > 0 and i.sku = coalesce(recheck_blocked.sku, i.sku)));
end
$$;
grant execute on function api.recheck_blocked(text) to authenticated;
comment on function api.recheck_blocked(text) is $$
Looks again whether orders that wait for stock can be served. That happens by itself whenever something comes in; this
is for whoever wants to be sure.

sku      of which item; left out for all
returns  how many reservations are served now that were not before
raises   AUTH001; AUTH002 not a Supervisor; INV002 no such item
role     Supervisor
example  {}
$$;


create function api.remap_order(order_id text) returns api.order_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me    ordak.staff_shared;
  v_order ordak.orders;
  v_had   bigint;
begin
  v_me := ordak.require_staff('Supervisor');
  v_order := ordak.lock_order(v_me, order_id);
  v_had := (select count(*) from ordak.reservations as r where r.order_key = v_order.id);
  perform ordak.reserve(v_order.id, true);
  return ordak.order_change(v_order.order_id, v_had <> (
    select count(*) from ordak.reservations as r where r.order_key = v_order.id));
end
$$;
grant execute on function api.remap_order(text) to authenticated;
comment on function api.remap_order(text) is $$
Reserves for the lines of an order that matched no item when it came, after they have been mapped. What its cakes have
used up since then is taken from the stock now.

order_id  of which order
returns   the order; it has the flag unmapped_product where a line still matches none. changed is false
          where nothing new was reserved
raises    AUTH001; AUTH002 not a Supervisor of its store; ORD001
role      Supervisor
example   {"order_id": "bannos-25771"}
$$;


create type api.inventory as (sku text, store text, on_hand numeric, reserved numeric, buffer numeric, ats numeric);
comment on type api.inventory is
  'What can be sold of an item: ats is never below 0, and null for what is made to order of nothing that is counted';


-- find_items: the items of 1 to 100 SKUs, in their order. Raises VAL001, and INV002 with the places of those that are none.
create function ordak.find_items(skus text[]) returns bigint[]
language plpgsql stable set search_path = '' as $$
declare
  v_items   bigint[];
  v_unknown int[];
begin
  if cardinality(skus) between 1 and 100 is not true then
    perform ordak.fail('VAL001', format('expected 1 to 100 skus, but found %s', coalesce(cardinality(skus)::text, 'none')));
  end if;
  select array_agg(i.id order by s.place), array_agg(s.place order by s.place) filter (where i.id is null)
  into v_items, v_unknown
  from unnest(skus) with ordinality as s (sku, place)
  -- One look-up each: joined, the planner would read the table whole.
  left join lateral (select i.id from ordak.items as i where i.sku = s.sku limit 1) as i on true;
  if v_unknown is not null then
    perform ordak.fail('INV002', format('expected SKUs of items, but found %s of %s that are none, in place %s',
                       cardinality(v_unknown), cardinality(skus), array_to_string(v_unknown, ', ')), 'see list_items');
  end if;
  return v_items;
end
$$;


-- inventory_of: what can be sold of items in a store, in the order of their SKUs; of all stores what their bills have in
-- common. A product is the item that the store's own rule names, or else the one for all. Raises VAL001 and INV002.
create function ordak.inventory_of(skus text[], product_id bigint, store text) returns setof api.inventory
language plpgsql stable set search_path = '' as $$
declare
  v_items bigint[];
begin
  if (skus is null) = (product_id is null) or cardinality(skus) not between 1 and 100 then
    perform ordak.fail('VAL001', 'expected 1 to 100 skus, or a product_id, but found another');
  end if;
  perform ordak.check_store(store);
  if product_id is not null then
    v_items := array(
      select r.item from ordak.match_rules as r
      where r.product_id = inventory_of.product_id and (r.store is null or r.store = inventory_of.store)
      order by r.store nulls last limit 1);
    if v_items = '{}' then
      perform ordak.fail('INV002', 'expected a product that a rule names the item of, but found another', 'see list_match_rules');
    end if;
  else
    v_items := ordak.find_items(skus);
  end if;
  return query
    select i.sku, a.store, i.on_hand, i.held + i.blocked, i.buffer, greatest(a.ats, 0 * a.ats)
    from ordak.ats(array(select distinct unnest(v_items)), array_fill(inventory_of.store, array[cardinality(v_items)])) as a
    join ordak.items as i on i.id = a.item
    join unnest(v_items) with ordinality as w (item, place) on w.item = a.item
    -- Says how few there are: without it the planner reads the table whole.
    where i.id = any (v_items)
    order by w.place;
end
$$;


create function api.get_inventory(skus text[] default null, product_id bigint default null, store text default null)
returns setof api.inventory
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Staff', store);
  return query select f.* from ordak.inventory_of(skus, product_id, coalesce(store, v_me.store)) as f;
end
$$;
grant execute on function api.get_inventory(text[], bigint, text) to authenticated;
comment on function api.get_inventory(text[], bigint, text) is $$
What can be sold of items.

skus        1 to 100 SKUs of items
product_id  in their place, Shopify's id of a product
store       in which store; left out for the caller's
returns     one row each, in the order of the SKUs
raises      AUTH001; AUTH002 another store; VAL001; INV002 no such item, or product
role        Staff
example     {"skus": ["CAKE-1"], "store": "bannos"}
$$;


create function api.inventory(skus text[] default null, product_id bigint default null, store text default null)
returns setof api.inventory
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_service();
  return query select f.* from ordak.inventory_of(skus, product_id, store) as f;
end
$$;
grant execute on function api.inventory(text[], bigint, text) to service_role;
comment on function api.inventory(text[], bigint, text) is $$
What can be sold of items, for requests that a function has found to be signed.

skus        1 to 100 SKUs of items
product_id  in their place, Shopify's id of a product
store       in which store; left out for what they have in common
returns     one row each, in the order of the SKUs
raises      AUTH001; VAL001; INV002 no such item, or product
role        service
example     {"skus": ["CAKE-1"]}
$$;
