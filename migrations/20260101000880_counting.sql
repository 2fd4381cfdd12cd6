-- Stock for people: what is there, what changed it, and how it is corrected.

create type api.item as (
  sku      text,
  name     text,
  kind     text,
  tracked  boolean,
  active   boolean,
  on_hand  numeric,
  reserved numeric,
  blocked  numeric,
  buffer   numeric,
  minimum  numeric
);
comment on type api.item is
  'What there is of something; reserved is what orders need, and blocked the part of it that is missing';

create type api.item_change as (changed boolean, item api.item);
comment on type api.item_change is 'An item as it is now, and whether the call changed anything';

create type api.stock_move as (
  move_id    bigint,
  sku        text,
  delta      numeric,
  on_hand    numeric,
  reason     text,
  reference  text,
  actor_name text,
  at         timestamptz
);
comment on type api.stock_move is
  'One change of what is on hand; on_hand is what there was afterwards, actor_name is null for orders';

create type api.stock_change as (changed boolean, items api.item[], moves api.stock_move[]);
comment on type api.stock_change is 'The items as they are now, and the moves that the call made, or had made before';


-- item_of: an item as callers see it.
create function ordak.item_of(item ordak.items) returns api.item
language sql immutable set search_path = '' as $$
  select (item.sku, item.name, item.kind, item.tracked, item.active, item.on_hand, item.held + item.blocked,
    item.blocked,
          item.buffer, item.minimum)::api.item
$$;


-- stock_change: what is answered about moves.
create function ordak.stock_change(changed boolean, items bigint[], moves bigint[]) returns api.stock_change
language sql stable set search_path = '' as $$
  select (
    changed,
    array(select f from ordak.items as i cross join lateral ordak.item_of(i) as f where i.id = any (items)
      order by i.sku),
    array(select (m.id, i.sku, m.delta, m.on_hand, m.reason, m.reference, a.full_name, m.at)::api.stock_move
          from ordak.stock_moves as m
          join ordak.items as i on i.id = m.item
          left join ordak.staff_shared as a on a.id = m.actor
          where m.id = any (moves) order by m.id)
  )::api.stock_change
$$;


-- check_amount: refuses with VAL001 an amount that is none, out of its range, or finer than a thousandth.
create function ordak.check_amount(field text, amount numeric, low numeric, high numeric) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if amount between low and high is not true or amount <> round(amount, 3) then
    perform ordak.fail('VAL001', format('expected %s from %s to %s with at most 3 decimals, but found %s', field,
      low, high,
                                        coalesce(left(amount::text, 30), 'none')));
  end if;
end
$$;


-- find_item: an item by its SKU. Raises INV002.
create function ordak.find_item(sku text) returns ordak.items
language plpgsql stable set search_path = '' as $$
declare
  v_item ordak.items;
begin
  select * into v_item from ordak.items as i where i.sku = find_item.sku;
  if not found then
    perform ordak.fail('INV002', 'expected the SKU of an item, but found another', 'see low_stock and save_item');
  end if;
  return v_item;
end
$$;


-- counted_item: an item by its SKU, locked, of which pieces are counted. Raises INV002, and INV003 where none are.
create function ordak.counted_item(sku text) returns ordak.items
language plpgsql set search_path = '' as $$
declare
  v_item ordak.items := ordak.find_item(sku);
begin
  perform ordak.lock_items(array[v_item.id]);
  -- Read again: whoever had the lock before may have changed it.
  select * into strict v_item from ordak.items as i where i.id = v_item.id;
  if not v_item.tracked then
    perform ordak.fail('INV003', 'expected an item whose pieces are counted, but found one that is made to order');
  end if;
  return v_item;
end
$$;


-- after_gain: what follows where people have changed what is on hand: who waits is served, shops are owed something.
create function ordak.after_gain(items bigint[]) returns void
language plpgsql set search_path = '' as $$
begin
  perform ordak.serve(items);
  perform ordak.mark_listings(items);
  perform ordak.tell_stock(null, items);
end
$$;


-- move_stock: changes what is on hand of an item that the caller has locked, and answers with it.
create function ordak.move_stock(
  me ordak.staff_shared, item ordak.items, delta numeric, reason text, reference text, idempotency_key text
) returns api.stock_change
language plpgsql set search_path = '' as $$
declare
  v_move bigint;
begin
  insert into ordak.stock_moves (item, delta, reason, reference, actor, idempotency_key)
  values (item.id, delta, reason, reference, me.id, idempotency_key)
  returning id into v_move;
  perform ordak.after_gain(array[item.id]);
  return ordak.stock_change(true, array[item.id], array[v_move]);
end
$$;


-- repeated_move: the move that a request has made under its key; null where there is none. Raises ORD005 where the key
-- made another.
create function ordak.repeated_move(item ordak.items, idempotency_key text, reason text, reference text, delta numeric)
returns bigint
language plpgsql stable set search_path = '' as $$
declare
  v_move ordak.stock_moves;
begin
  select * into v_move from ordak.stock_moves as m where m.item = item.id
    and m.idempotency_key = repeated_move.idempotency_key;
  if v_move.id is not null and (v_move.reason, v_move.reference, v_move.delta)
                               is distinct from (repeated_move.reason, repeated_move.reference,
                                 repeated_move.delta) then
    perform ordak.fail('ORD005', 'expected the request that this idempotency key was used with, but found another',
                       'use a new key for another change');
  end if;
  return v_move.id;
end
$$;


create function api.adjust_stock(
  sku text, delta numeric, reason text, reference text default null, idempotency_key text default null
) returns api.stock_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_item ordak.items;
  v_move bigint;
begin
  v_me := ordak.require_staff('Supervisor');
  perform ordak.check_amount('a delta', delta, -1000000, 1000000);
  perform ordak.check_text('a reference', reference, 200);
  perform ordak.check_text('an idempotency_key', idempotency_key, 255);
  if delta = 0 or coalesce(reason, '') <> all (case when delta > 0 then array['restock', 'return', 'correction']
       else array['adjustment', 'damaged', 'sold', 'used', 'expired', 'correction'] end) then
    perform ordak.fail('VAL001',
      'expected a delta and a reason that goes with its sign, but found another',
      'restock, return: above 0; adjustment, damaged, sold, used, expired: below 0; correction: either');
  end if;
  v_item := ordak.counted_item(sku);
  v_move := ordak.repeated_move(v_item, idempotency_key, reason, reference, delta);
  if v_move is not null then
    return ordak.stock_change(false, array[v_item.id], array[v_move]);
  elsif v_item.on_hand + delta < 0 and delta < 0 and reason <> 'correction' then
    perform ordak.fail('INV003', format('expected at most %s to go, but found %s', greatest(v_item.on_hand, 0), -delta),
                       'count_stock sets what was counted; the reason correction may go below zero');
  end if;
  return ordak.move_stock(v_me, v_item, delta, reason, reference, idempotency_key);
end
$$;
grant execute on function api.adjust_stock(text, numeric, text, text, text) to authenticated;
comment on function api.adjust_stock(text, numeric, text, text, text) is $$
Adds pieces of an item, or takes some away. Orders that wait for it are served.

sku              of which item
delta            how many more or, below 0, fewer; at most 3 decimals
reason           restock, return (both above 0), adjustment, damaged, sold, used, expired (all below 0) or correction
reference        what it belongs to, as a delivery note; at most 200 characters
idempotency_key  at most 255 characters; the same request under the same key counts once
returns          the item and the move; changed is false where the key made it earlier
raises           AUTH001; AUTH002 not a Supervisor; VAL001; INV002 no such item; INV003 more would go than there is, and
                 the reason is not correction; ORD005 the key was used for another request
role             Supervisor
example          {"sku": "BOX-10", "delta": -2, "reason": "damaged"}
$$;


create function api.count_stock(
  sku text, counted numeric, reference text default null, idempotency_key text default null
) returns api.stock_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_item ordak.items;
  v_move ordak.stock_moves;
begin
  v_me := ordak.require_staff('Supervisor');
  perform ordak.check_amount('what was counted', counted, 0, 1000000);
  perform ordak.check_text('a reference', reference, 200);
  perform ordak.check_text('an idempotency_key', idempotency_key, 255);
  v_item := ordak.counted_item(sku);
  select * into v_move from ordak.stock_moves as m
  where m.item = v_item.id and m.idempotency_key = count_stock.idempotency_key;
  if v_move.id is not null and (v_move.reason, v_move.on_hand, v_move.reference)
                               is distinct from ('count', counted, count_stock.reference) then
    perform ordak.fail('ORD005', 'expected the request that this idempotency key was used with, but found another');
  elsif v_move.id is not null or v_item.on_hand = counted then
    return ordak.stock_change(false, array[v_item.id], array[v_move.id]);
  end if;
  return ordak.move_stock(v_me, v_item, counted - v_item.on_hand, 'count', reference, idempotency_key);
end
$$;
grant execute on function api.count_stock(text, numeric, text, text) to authenticated;
comment on function api.count_stock(text, numeric, text, text) is $$
Sets what is on hand of an item to what was counted; the ledger shows the difference.

sku              of which item
counted          how many there are, from 0; at most 3 decimals
reference        what it belongs to, at most 200 characters
idempotency_key  at most 255 characters; the same request under the same key counts once
returns          the item and the move; changed is false where it was right, or the key counted it earlier
raises           AUTH001; AUTH002 not a Supervisor; VAL001; INV002 no such item; INV003 its pieces are not counted;
                 ORD005 the key was used for another request
role             Supervisor
example          {"sku": "BOX-10", "counted": 48}
$$;


-- received: the lines of what was delivered, with their items locked. Raises VAL001 and INV002.
create function ordak.received(lines jsonb) returns table (item ordak.items, quantity numeric)
language plpgsql set search_path = '' as $$
begin
  if jsonb_typeof(lines) is distinct from 'array' or jsonb_array_length(lines) not between 1 and 200
     or exists (select from jsonb_array_elements(lines) as l
                where jsonb_typeof(l -> 'sku') is distinct from 'string'
                  or jsonb_typeof(l -> 'quantity') is distinct from 'number') then
    perform ordak.fail('VAL001', 'expected 1 to 200 lines of {sku, quantity}, but found another');
  elsif (select count(distinct l ->> 'sku') from jsonb_array_elements(lines) as l) < jsonb_array_length(lines) then
    perform ordak.fail('VAL001', 'expected each sku once, but found one again');
  end if;
  perform ordak.check_amount('a quantity', (l ->> 'quantity')::numeric, 0.001, 1000000)
    from jsonb_array_elements(lines) as l;
  perform ordak.lock_items(array(select i.id from ordak.items as i where i.sku in (select l ->> 'sku'
    from jsonb_array_elements(lines) as l)));
  return query
    select ordak.counted_item(l ->> 'sku'), (l ->> 'quantity')::numeric from jsonb_array_elements(lines) as l;
end
$$;


create function api.receive_stock(lines jsonb, reference text default null, idempotency_key text default null)
returns api.stock_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me    ordak.staff_shared;
  v_items bigint[];
  v_known bigint[];
  v_moves bigint[];
begin
  v_me := ordak.require_staff('Supervisor');
  perform ordak.check_text('a reference', reference, 200);
  perform ordak.check_text('an idempotency_key', idempotency_key, 255);
  select array_agg((r.item).id), array_agg(k order by k) filter (where k is not null) into v_items, v_known
  from ordak.received(lines) as r
  cross join lateral ordak.repeated_move(r.item, idempotency_key, 'restock', reference, r.quantity) as k;
  if cardinality(v_known) = cardinality(v_items) then
    return ordak.stock_change(false, v_items, v_known);
  elsif v_known is not null then
    perform ordak.fail('ORD005', 'expected the request that this idempotency key was used with, but found another');
  end if;
  with made as (
    insert into ordak.stock_moves (item, delta, reason, reference, actor, idempotency_key)
    select (r.item).id, r.quantity, 'restock', receive_stock.reference, v_me.id, receive_stock.idempotency_key
    from ordak.received(lines) as r
    returning id
  )
  select array_agg(id) into v_moves from made;
  perform ordak.after_gain(v_items);
  return ordak.stock_change(true, v_items, v_moves);
end
$$;
grant execute on function api.receive_stock(jsonb, text, text) to authenticated;
comment on function api.receive_stock(jsonb, text, text) is $$
Adds what a supplier has delivered, all of it or nothing. Orders that wait for it are served.

lines            1 to 200 of {sku, quantity}, each item once
reference        what it belongs to, as a delivery note; at most 200 characters
idempotency_key  at most 255 characters; the same request under the same key counts once
returns          the items and the moves; changed is false where the key made them earlier
raises           AUTH001; AUTH002 not a Supervisor; VAL001; INV002 no such item; INV003 its pieces are not counted;
                 ORD005 the key was used for another request
role             Supervisor
example          {"lines": [{"sku": "BOX-10", "quantity": 50}], "reference": "Delivery 4711"}
$$;
