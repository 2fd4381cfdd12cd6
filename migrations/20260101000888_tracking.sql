-- Tracking: how the counting of a store's stock is switched on, with its open orders, and off (see docs/stock.md).

create type api.tracking as (changed boolean, orders int, next text);
comment on type api.tracking is
  'Whether the call switched counting on, how many open orders it had reserve, and `after` for the next call; null when all have';


-- lock_stock: locks the items that orders, which the caller has locked, touch, and then the listings of those: for whoever
-- settles several orders in one transaction, or one of them twice. Locked step by step they could make a ring with somebody
-- who needs the same ones in one step.
create function ordak.lock_stock(orders bigint[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_items constant bigint[] := array(
    select r.item from ordak.reservations as r where r.order_key = any (orders)
    union
    select unnest(ordak.with_parts(array(
      select m.item from ordak.orders as o cross join lateral unnest(ordak.match_lines(o)) as m
      where o.id = any (orders) and ordak.is_tracked(o.store)))));
begin
  perform ordak.lock_items(v_items);
  perform ordak.lock_touched(v_items);
end
$$;


-- switch_tracking: switches the counting of a store's stock; false where it was so already.
create function ordak.switch_tracking(me ordak.staff_shared, store text, tracking boolean) returns boolean
language plpgsql set search_path = '' as $$
begin
  update ordak.settings as s set inventory_tracking = tracking, updated_at = now()
  where s.store = switch_tracking.store and s.inventory_tracking <> tracking;
  if found then
    perform ordak.audit(me.id, store, case when tracking then 'start_tracking' else 'stop_tracking' end, store,
      jsonb_build_object('inventory_tracking', not tracking), jsonb_build_object('inventory_tracking', tracking));
  end if;
  return found;
end
$$;


-- open_orders: the next open orders of a store, locked: those with a cake that is not complete, and those without cakes
-- of the last 90 days that are not handed over. What was sold over a counter went with the customer.
create function ordak.open_orders(store text, after bigint, most int) returns bigint[]
language plpgsql set search_path = '' as $$
begin
  return array(
    select o.id from ordak.orders as o
    where o.cancelled_at is null and o.id in (
      select t.order_key from ordak.tasks as t
      where t.store = open_orders.store and t.stage <> 'Complete' and t.cancelled_at is null and t.order_key > after
      union
      select l.order_key from ordak.orders as a join ordak.order_lines as l on l.order_key = a.id
      where a.store = open_orders.store and a.placed_at > now() - interval '90 days' and a.id > after and not a.pos
        and l.kind <> 'ignored' and l.wanted > 0 and not l.fulfilled
        and not exists (select from ordak.tasks as t where t.order_key = a.id))
    order by o.id
    limit most
    for no key update);
end
$$;


create function api.start_tracking(store text, after text default null) returns api.tracking
language plpgsql security definer set search_path = '' as $$
declare
  v_most   constant int := 50;
  v_me     ordak.staff_shared;
  v_after  bigint := 0;
  v_orders bigint[];
  v_answer api.tracking;
begin
  v_me := ordak.require_staff('Admin', store);
  perform ordak.check_store(store, true);
  if after is not null then
    select o.id into v_after from ordak.orders as o
    where o.order_id = after and o.store = start_tracking.store;
    if not found then
      perform ordak.fail('VAL001', 'expected `next` of an earlier call, but found something else',
                         'leave `after` out for the first call');
    end if;
  end if;
  if not ordak.is_tracked(store) then
    -- An order that is being taken at this instant has asked already whether stock is counted: wait for it.
    perform ordak.lock_products(store, false);
  end if;
  v_answer.changed := ordak.switch_tracking(v_me, store, true);
  v_orders := ordak.open_orders(store, v_after, v_most);
  perform ordak.lock_stock(v_orders);
  perform ordak.reserve(o) from unnest(v_orders) as o;
  if after is null then
    perform ordak.mark_missing_listings(store);
  end if;
  v_answer.orders := cardinality(v_orders);
  v_answer.next := (select o.order_id from ordak.orders as o where o.id = v_orders[v_most]);
  return v_answer;
end
$$;
grant execute on function api.start_tracking(text, text) to authenticated;
comment on function api.start_tracking(text, text) is $$
Switches the counting of a store's stock on, and has its open orders reserve what they still need, 50 at a call: call it
again with `next` until that is null. Orders that come meanwhile reserve by themselves. Listings are looked up, and told
nothing before their level is read.

store    the code of the store
after    `next` of the call before; left out for the first one
returns  {changed, orders, next}: whether the call switched it on, and how many orders it had reserve; next is null once
         all have. From the first call again it changes nothing that is right already
raises   AUTH001; AUTH002 not an Admin of the store; VAL001
role     Admin
example  {"store": "bannos"}
$$;


create function api.stop_tracking(store text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin', store);
  perform ordak.check_store(store, true);
  if not ordak.switch_tracking(v_me, store, false) then
    return false;
  end if;
  -- From now on nobody keeps what Shopify must show: it has to be read again.
  perform ordak.lock_listings(array(select g.id from ordak.listings as g where g.store = stop_tracking.store));
  update ordak.listings as g set based_at = null where g.store = stop_tracking.store and g.based_at is not null;
  -- Also where it is being read: what is sold from now on would be missing.
  perform ordak.mark_all('base_listing', array_agg(w.store), array_agg(w.key))
  from ordak.work_queue as w
  where w.store = stop_tracking.store and w.topic = 'base_listing' and w.state <> 'dead';
  return true;
end
$$;
grant execute on function api.stop_tracking(text) to authenticated;
comment on function api.stop_tracking(text) is $$
Switches the counting of a store's stock off: new orders reserve nothing, and its shop is told nothing. What is reserved
follows its orders to their end.

store    the code of the store
returns  true; false where it was off already
raises   AUTH001; AUTH002 not an Admin of the store; VAL001
role     Admin
example  {"store": "bannos"}
$$;
