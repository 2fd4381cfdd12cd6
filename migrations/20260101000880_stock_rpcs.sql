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


-- change_item: gives an item other values, and what follows for who waits and what can be sold; audited.
create function ordak.change_item(me ordak.staff_shared, action text, v_new ordak.items) returns api.item_change
language plpgsql set search_path = '' as $$
declare
  v_old ordak.items;
begin
  perform ordak.lock_items(array[v_new.id]);
  select * into strict v_old from ordak.items as i where i.id = v_new.id;
  if (v_old.name, v_old.kind, v_old.tracked, v_old.buffer, v_old.minimum, v_old.active)
     is not distinct from (v_new.name, v_new.kind, v_new.tracked, v_new.buffer, v_new.minimum, v_new.active) then
    return (false, ordak.item_of(v_old))::api.item_change;
  elsif not v_new.tracked and (v_old.on_hand, v_old.held + v_old.blocked) <> (0, 0) then
    perform ordak.fail('INV003', 'expected an item of which there is nothing and nothing is reserved, but found some',
                       'count it as 0 first');
  elsif not v_new.tracked and exists (select from ordak.bom_lines as b where b.item = v_new.id) then
    perform ordak.fail('INV003', 'expected an item that nothing is made of, but found it in a bill of materials');
  end if;
  update ordak.items as i
  set name = v_new.name, kind = v_new.kind, tracked = v_new.tracked, buffer = v_new.buffer, minimum = v_new.minimum,
      active = v_new.active
  where i.id = v_new.id
  returning * into v_new;
  perform ordak.mark_listings(array[v_new.id]);
  perform ordak.audit(me.id, null, action, v_new.sku, ordak.changed_fields(to_jsonb(v_old), to_jsonb(v_new)),
                      ordak.changed_fields(to_jsonb(v_new), to_jsonb(v_old)));
  return (true, ordak.item_of(v_new))::api.item_change;
end
$$;


create function api.save_item(
  sku text, name text, kind text, tracked boolean default true, buffer numeric default 0, minimum numeric default 0,
  active boolean default true
) returns api.item_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_item ordak.items;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.check_text('a sku', sku, 100, true);
  perform ordak.check_text('a name', name, 255, true);
  perform ordak.check_amount('a buffer', buffer, 0, 1000000);
  perform ordak.check_amount('a minimum', minimum, 0, 1000000);
  if kind in ('component', 'accessory', 'topper', 'product') is not true then
    perform ordak.fail('VAL001', 'expected the kind component, accessory, topper or product, but found another');
  elsif (tracked or kind = 'product') is not true or active is null then
    perform ordak.fail('VAL001',
      'expected tracked and active to be true or false, and false for tracked of a product alone, but found another');
  end if;
  insert into ordak.items (sku, name, kind, tracked, buffer, minimum, active)
  values (sku, name, kind, tracked, buffer, minimum, active)
  on conflict on constraint items_sku_key do nothing
  returning * into v_item;
  if v_item.id is not null then
    perform ordak.audit(v_me.id, null, 'save_item', sku, null, to_jsonb(v_item));
    return (true, ordak.item_of(v_item))::api.item_change;
  end if;
  v_item := ordak.find_item(sku);
  v_item.name := name;
  v_item.kind := kind;
  v_item.tracked := tracked;
  v_item.buffer := buffer;
  v_item.minimum := minimum;
  v_item.active := active;
  return ordak.change_item(v_me, 'save_item', v_item);
end
$$;
grant execute on function api.save_item(text, text, text, boolean, numeric, numeric, boolean) to authenticated;
comment on function api.save_item(text, text, text, boolean, numeric, numeric, boolean) is $$
Defines an item, or changes one. What there is of it changes by adjust_stock, count_stock and receive_stock alone.

sku      its SKU, 1 to 100 characters; it stays as it is
name     1 to 255 characters
kind     component, accessory, topper or product
tracked  whether its pieces are counted; false only for a product, as one that is made to order
buffer   how many are kept back from sale, from 0
minimum  below how many it is low, from 0
active   false for what lines of orders shall not match any more
returns  the item; changed is false where all of it was so already
raises   AUTH001; AUTH002 not an Admin; VAL001; INV003 not to be counted any more, but there is some, or others need it
role     Admin
example  {"sku": "BOX-10", "name": "Cake box, 10 inch", "kind": "component", "minimum": 20}
$$;


create function api.set_buffer(sku text, buffer numeric) returns api.item_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_item ordak.items;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.check_amount('a buffer', buffer, 0, 1000000);
  v_item := ordak.find_item(sku);
  v_item.buffer := buffer;
  return ordak.change_item(v_me, 'set_buffer', v_item);
end
$$;
grant execute on function api.set_buffer(text, numeric) to authenticated;
comment on function api.set_buffer(text, numeric) is $$
Sets how many pieces of an item are kept back from sale. Orders that are taken are served from them too.

sku      of which item
buffer   how many, from 0
returns  the item; changed is false where it was so already
raises   AUTH001; AUTH002 not an Admin; VAL001; INV002 no such item
role     Admin
example  {"sku": "BOX-10", "buffer": 5}
$$;


-- delete_item: removes an item that nothing has used; false where something has.
create function ordak.delete_item(item bigint) returns boolean
language plpgsql set search_path = '' as $$
begin
  delete from ordak.bom_lines as b where b.product = delete_item.item;
  delete from ordak.items as i where i.id = delete_item.item;
  return true;
exception when foreign_key_violation then
  return false;
end
$$;


create function api.delete_item(sku text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_item ordak.items;
begin
  v_me := ordak.require_staff('Admin');
  select * into v_item from ordak.items as i where i.sku = delete_item.sku for update;
  if not found then
    return false;
  elsif not ordak.delete_item(v_item.id) then
    perform ordak.fail('INV003',
      'expected an item that nothing has used, but found one that orders, moves, bills, rules or listings name',
                       'save it with active false');
  end if;
  perform ordak.audit(v_me.id, null, 'delete_item', sku, to_jsonb(v_item), null);
  return true;
end
$$;
grant execute on function api.delete_item(text) to authenticated;
comment on function api.delete_item(text) is $$
Deletes an item that nothing has used, with its bill of materials.

sku      of which item
returns  true; false where there was none
raises   AUTH001; AUTH002 not an Admin; INV003 it was used: save it with active false
role     Admin
example  {"sku": "BOX-11"}
$$;


create type api.bom_line as (sku text, quantity numeric, stage text, optional boolean, store text);
comment on type api.bom_line is 'What one piece of a product needs of an item; store is null for all stores';

create type api.bom as (changed boolean, sku text, lines api.bom_line[]);
comment on type api.bom is 'What one piece of a product is made of';


-- bom: what a product is made of, as callers see it.
create function ordak.bom(changed boolean, product ordak.items) returns api.bom
language sql stable set search_path = '' as $$
  select (changed, product.sku, array(
    select (i.sku, b.quantity, b.stage, b.optional, b.store)::api.bom_line
    from ordak.bom_lines as b join ordak.items as i on i.id = b.item
    where b.product = product.id order by b.stage, i.sku, b.store))::api.bom
$$;


-- check_bom: refuses with VAL001 what is no list of lines of a bill.
create function ordak.check_bom(lines jsonb) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_line jsonb;
begin
  if jsonb_typeof(lines) is distinct from 'array' or jsonb_array_length(lines) > 100 then
    perform ordak.fail('VAL001',
      'expected at most 100 lines of {sku, quantity, stage, optional, store}, but found another');
  end if;
  for v_line in select * from jsonb_array_elements(lines) loop
    if jsonb_typeof(v_line -> 'sku') is distinct from 'string'
       or jsonb_typeof(v_line -> 'quantity') is distinct from 'number'
       or jsonb_typeof(coalesce(v_line -> 'optional', 'false')) <> 'boolean'
       or exists (select from jsonb_object_keys(v_line) as k where
                  k not in ('sku', 'quantity', 'stage', 'optional', 'store')) then
      perform ordak.fail('VAL001', 'expected lines of {sku, quantity, stage, optional, store}, but found another');
    end if;
    perform ordak.check_amount('a quantity', (v_line ->> 'quantity')::numeric, 0.001, 10000);
    perform ordak.check_stage(coalesce(v_line ->> 'stage', 'Packing'), false);
    perform ordak.check_store(v_line ->> 'store');
  end loop;
end
$$;


-- bom_rows: the lines of a bill as rows, each once. Raises INV002 and VAL001.
create function ordak.bom_rows(product ordak.items, lines jsonb) returns ordak.bom_lines[]
language plpgsql set search_path = '' as $$
declare
  v_rows ordak.bom_lines[] := array(
    select (null, product.id, l.store, (ordak.find_item(l.sku)).id, l.quantity, coalesce(l.stage, 'Packing'),
      coalesce(l.optional, false))::ordak.bom_lines
    from jsonb_to_recordset(lines) as l (sku text, quantity numeric, stage ordak.stage, optional boolean, store text));
begin
  if (select count(distinct (r.store, r.item, r.stage)) from unnest(v_rows) as r) < cardinality(v_rows) then
    perform ordak.fail('VAL001', 'expected each item once for a stage and store, but found one again');
  elsif exists (select from unnest(v_rows) as r join ordak.items as i on i.id = r.item where not i.tracked) then
    perform ordak.fail('VAL001', 'expected items whose pieces are counted, but found one that is made to order');
  elsif exists (
    with recursive parts (item) as (
      select r.item from unnest(v_rows) as r
      union
      select b.item from parts as p join ordak.bom_lines as b on b.product = p.item
    )
    select from parts as p where p.item = product.id
  ) then
    perform ordak.fail('VAL001', 'expected what is not made of itself, but found a cycle');
  end if;
  return v_rows;
end
$$;


create function api.set_bom(sku text, lines jsonb) returns api.bom
language plpgsql security definer set search_path = '' as $$
declare
  v_me      ordak.staff_shared;
  v_product ordak.items;
  v_rows    ordak.bom_lines[];
  v_old     api.bom;
  v_new     api.bom;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.check_bom(lines);
  v_product := ordak.find_item(sku);
  -- One bill at a time, or two of them could close a circle.
  perform pg_advisory_xact_lock(hashtextextended('ordak.bom_lines', 0));
  v_rows := ordak.bom_rows(v_product, lines);
  perform ordak.lock_items(ordak.with_parts(array[v_product.id]) || array(select r.item from unnest(v_rows) as r));
  v_old := ordak.bom(true, v_product);
  delete from ordak.bom_lines as b where b.product = v_product.id;
  insert into ordak.bom_lines (product, store, item, quantity, stage, optional)
  select r.product, r.store, r.item, r.quantity, r.stage, r.optional from unnest(v_rows) as r;
  v_new := ordak.bom(true, v_product);
  if v_new = v_old then
    v_new.changed := false;
    return v_new;
  end if;
  perform ordak.mark_listings(array[v_product.id]);
  perform ordak.audit(v_me.id, null, 'set_bom', sku, to_jsonb(v_old.lines), to_jsonb(v_new.lines));
  return v_new;
end
$$;
grant execute on function api.set_bom(text, jsonb) to authenticated;
comment on function api.set_bom(text, jsonb) is $$
Says what one piece of a product is made of: the whole bill, in place of the one before. It counts for units that are
ordered from now on.

sku      of which product
lines    at most 100 of {sku, quantity, stage, optional, store}, of which the first two are needed. stage uses it up:
         Filling, Covering, Decorating or Packing, which it is where left out; optional ones are left out where there is
         too little; store is left out for all stores. Empty for no bill
returns  the bill; changed is false where it was so already
raises   AUTH001; AUTH002 not an Admin; VAL001, also for a cycle; INV002 no such item
role     Admin
example  {"sku": "CAKE-1", "lines": [{"sku": "BOARD-10", "quantity": 0.4, "stage": "Filling"}]}
$$;


create function api.get_bom(sku text) returns api.bom
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Staff');
  return ordak.bom(false, ordak.find_item(sku));
end
$$;
grant execute on function api.get_bom(text) to authenticated;
comment on function api.get_bom(text) is $$
What one piece of a product is made of.

sku      of which product
returns  its bill; changed is false
raises   AUTH001; INV002 no such item
role     Staff
example  {"sku": "CAKE-1"}
$$;


create type api.match_rule as (rule_id bigint, sku text, store text, product_id bigint, variant_sku text, keyword text);
comment on type api.match_rule is
  'Which item (sku) a line of an order is: by its product_id, its own SKU (variant_sku) or words of its title';

create type api.match_rule_change as (changed boolean, rule api.match_rule);
comment on type api.match_rule_change is 'A rule as it is now, and whether the call changed anything';


-- rule_of: a rule as callers see it.
create function ordak.rule_of(rule ordak.match_rules) returns api.match_rule
language sql stable set search_path = '' as $$
  select (rule.id, i.sku, rule.store, rule.product_id, rule.sku, rule.keyword)::api.match_rule
  from ordak.items as i where i.id = rule.item
$$;


create function api.set_match_rule(
  sku text, store text default null, product_id bigint default null, variant_sku text default null,
    keyword text default null
) returns api.match_rule_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_item ordak.items;
  v_rule ordak.match_rules;
begin
  v_me := ordak.require_staff('Admin');
  perform ordak.check_store(store);
  perform ordak.check_text('a variant_sku', variant_sku, 255);
  perform ordak.check_text('a keyword', keyword, 100);
  if num_nonnulls(product_id, variant_sku, keyword) <> 1 or length(keyword) < 2 then
    perform ordak.fail('VAL001',
      'expected one of product_id, variant_sku and a keyword of 2 letters or more, but found another');
  end if;
  v_item := ordak.find_item(sku);
  insert into ordak.match_rules as r (store, product_id, sku, keyword, item)
  values (store, product_id, variant_sku, lower(keyword), v_item.id)
  on conflict on constraint match_rules_key do update set item = excluded.item where r.item <> excluded.item
  returning * into v_rule;
  if v_rule.id is null then
    select * into strict v_rule from ordak.match_rules as r
    where (r.store, r.product_id, r.sku, r.keyword) is not distinct from
          (set_match_rule.store, set_match_rule.product_id, variant_sku, lower(set_match_rule.keyword));
    return (false, ordak.rule_of(v_rule))::api.match_rule_change;
  end if;
  perform ordak.audit(v_me.id, store, 'set_match_rule', sku, null, to_jsonb(v_rule));
  return (true, ordak.rule_of(v_rule))::api.match_rule_change;
end
$$;
grant execute on function api.set_match_rule(text, text, bigint, text, text) to authenticated;
comment on function api.set_match_rule(text, text, bigint, text, text) is $$
Says which item the lines of orders are that name something. An SKU beats a product_id, and that beats keywords,
of which the longest wins that stands in the title; a store's own rule beats the one for all. Orders that
are there follow by remap_order.

sku          the SKU of the item
store        in which store; left out for all
product_id   Shopify's id of the product; one of these three
variant_sku  the SKU on the line, where it is not that of the item
keyword      2 to 100 letters that stand in the title or variant
returns      the rule; changed is false where it was so already
raises       AUTH001; AUTH002 not an Admin; VAL001; INV002 no such item
role         Admin
example      {"sku": "BALLOON-GOLD-6", "keyword": "gold 6"}
$$;


create function api.delete_match_rule(rule_id bigint) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_rule ordak.match_rules;
begin
  v_me := ordak.require_staff('Admin');
  delete from ordak.match_rules as r where r.id = rule_id returning * into v_rule;
  if v_rule.id is null then
    return false;
  end if;
  perform ordak.audit(v_me.id, v_rule.store, 'delete_match_rule', rule_id::text, to_jsonb(v_rule), null);
  return true;
end
$$;
grant execute on function api.delete_match_rule(bigint) to authenticated;
comment on function api.delete_match_rule(bigint) is $$
Deletes a rule that says which item lines of orders are.

rule_id  which one, see list_match_rules
returns  true; false where there was none
raises   AUTH001; AUTH002 not an Admin
role     Admin
example  {"rule_id": 12}
$$;


create function api.list_match_rules(after bigint default 0, page_size int default 50) returns setof api.match_rule
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Staff');
  perform ordak.check_page(page_size);
  return query
    select f.* from ordak.match_rules as r cross join lateral ordak.rule_of(r) as f
    where r.id > coalesce(after, 0) order by r.id limit page_size;
end
$$;
grant execute on function api.list_match_rules(bigint, int) to authenticated;
comment on function api.list_match_rules(bigint, int) is $$
The rules that say which item lines of orders are.

after      only those after this rule_id, the last one of the page before
page_size  1 to 200
returns    them by rule_id
raises     AUTH001; VAL001
role       Staff
example    {}
$$;


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


create function api.low_stock(kind text default null, page_size int default 50) returns setof api.item
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Staff');
  perform ordak.check_page(page_size);
  return query
    select f.* from ordak.items as i cross join lateral ordak.item_of(i) as f
    where i.active and i.tracked and (i.on_hand < i.minimum or i.on_hand <= 0)
      and (low_stock.kind is null or i.kind = low_stock.kind)
    order by i.minimum - i.on_hand desc, i.sku
    limit page_size;
end
$$;
grant execute on function api.low_stock(text, int) to authenticated;
comment on function api.low_stock(text, int) is $$
Items of which there is less than their minimum, or nothing.

kind       component, accessory, topper or product; left out for all
page_size  1 to 200
returns    them, what is furthest below its minimum first
raises     AUTH001; VAL001
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


-- inventory_of: what can be sold of items in a store, in the order of their SKUs; of all stores what their bills have in
-- common. A product is the item that the store's own rule names, or else the one for all. Raises VAL001 and INV002.
create function ordak.inventory_of(skus text[], product_id bigint, store text) returns setof api.inventory
language plpgsql stable set search_path = '' as $$
declare
  v_items   bigint[];
  v_unknown int[];
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
    select array_agg(i.id order by s.place), array_agg(s.place order by s.place) filter (where i.id is null)
    into v_items, v_unknown
    from unnest(skus) with ordinality as s (sku, place)
    -- One look-up each: joined, the planner would read the table whole.
    left join lateral (select i.id from ordak.items as i where i.sku = s.sku limit 1) as i on true;
    if v_unknown is not null then
      perform ordak.fail('INV002', format('expected SKUs of items, but found %s of %s that are none, in place %s',
                         cardinality(v_unknown), cardinality(skus), array_to_string(v_unknown, ', ')), 'see list_items');
    end if;
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


create type api.listing as (
  listing_id        bigint,
  sku               text,
  store             text,
  inventory_item_id bigint,
  location_id       bigint,
  variant_id        bigint,
  enabled           boolean,
  disabled_reason   text,
  based_at          timestamptz,
  expected          bigint,
  owed              bigint
);
comment on type api.listing is
  'An item in a shop: what Shopify must show (expected), and what it is owed; null until it is based';

create type api.listing_change as (changed boolean, listing api.listing);
comment on type api.listing_change is 'A listing as it is now, and whether the call changed anything';


-- listings_of: listings as callers see them.
create function ordak.listings_of(listings bigint[]) returns setof api.listing
language sql stable set search_path = '' as $$
  select g.id, i.sku, g.store, g.inventory_item_id, g.location_id, g.variant_id, g.enabled, g.disabled_reason,
    g.based_at,
         case when g.based_at is not null then g.expected end, o.owed
  from ordak.listings as g
  join ordak.items as i on i.id = g.item
  left join ordak.owed(listings) as o on o.listing = g.id
  where g.id = any (listings)
  order by g.id
$$;


-- listing_change: what is answered about a listing.
create function ordak.listing_change(changed boolean, listing bigint) returns api.listing_change
language sql stable set search_path = '' as $$
  select (changed, l)::api.listing_change from ordak.listings_of(array[listing]) as l
$$;


create function api.set_listing(
  sku text, store text, inventory_item_id bigint, location_id bigint, variant_id bigint default null,
    enabled boolean default true
) returns api.listing_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me   ordak.staff_shared;
  v_item ordak.items;
  v_id   bigint;
begin
  v_me := ordak.require_staff('Admin', store);
  perform ordak.check_store(store, true);
  if inventory_item_id is null or location_id is null or enabled is null then
    perform ordak.fail('VAL001', 'expected inventory_item_id, location_id and enabled, but found none');
  end if;
  v_item := ordak.find_item(sku);
  if exists (select from ordak.listings as g where g.item <> v_item.id and (g.store, g.inventory_item_id,
    g.location_id) =
             (set_listing.store, set_listing.inventory_item_id, set_listing.location_id)) then
    perform ordak.fail('VAL001', 'expected an inventory item that no other listing names, but found one that does');
  end if;
  insert into ordak.listings as g (item, store, inventory_item_id, location_id, variant_id, enabled)
  values (v_item.id, store, inventory_item_id, location_id, variant_id, enabled)
  on conflict on constraint listings_item_key do update set
    inventory_item_id = excluded.inventory_item_id, location_id = excluded.location_id,
      variant_id = excluded.variant_id,
    enabled = excluded.enabled, disabled_reason = null,
    -- What another level shows must be read first.
    based_at = case when (g.inventory_item_id, g.location_id) = (excluded.inventory_item_id, excluded.location_id)
      then g.based_at end
  where (g.inventory_item_id, g.location_id, g.variant_id, g.enabled) is distinct from
        (excluded.inventory_item_id, excluded.location_id, excluded.variant_id, excluded.enabled)
  returning g.id into v_id;
  if v_id is null then
    return (select ordak.listing_change(false, g.id) from ordak.listings as g where (g.item, g.store) = (v_item.id,
      set_listing.store));
  end if;
  perform ordak.mark_listings(array[v_item.id]);
  perform ordak.audit(v_me.id, l.store, 'set_listing', l.sku, null, to_jsonb(l))
    from ordak.listings_of(array[v_id]) as l;
  return ordak.listing_change(true, v_id);
end
$$;
grant execute on function api.set_listing(text, text, bigint, bigint, bigint, boolean) to authenticated;
comment on function api.set_listing(text, text, bigint, bigint, bigint, boolean) is $$
Says as what an item is sold in a shop. Nothing is sent there before its level has been read.

sku                of which item
store              the code of the store
inventory_item_id  Shopify's id of the inventory item
location_id        Shopify's id of the location whose level we manage
variant_id         Shopify's id of the variant; needed where the item matches others too
enabled            false for what Shopify shall not be told of
returns            the listing; changed is false where it was so already
raises             AUTH001; AUTH002 not an Admin of the store; VAL001; INV002 no such item
role               Admin
example            {"sku": "CAKE-1", "store": "bannos", "inventory_item_id": 4251, "location_id": 71}
$$;


create function api.list_listings(store text default null, after bigint default 0, page_size int default 50)
returns setof api.listing
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Supervisor', store);
  perform ordak.check_store(store);
  perform ordak.check_page(page_size);
  return query select f.* from ordak.listings_of(array(
    select g.id from ordak.listings as g
    where g.id > coalesce(after, 0) and g.store = coalesce(list_listings.store, v_me.store, g.store)
    order by g.id limit page_size)) as f;
end
$$;
grant execute on function api.list_listings(text, bigint, int) to authenticated;
comment on function api.list_listings(text, bigint, int) is $$
What is sold in shops, what Shopify must show of it, and what it is owed.

store      the code of a store; left out for all of the caller's
after      only those after this listing_id, the last one of the page before
page_size  1 to 200
returns    them by listing_id
raises     AUTH001; AUTH002 not a Supervisor, or another store; VAL001
role       Supervisor
example    {"store": "bannos"}
$$;


-- rebase: has a listing, which the caller has locked, expect a level that was read, and what happened after it.
create function ordak.rebase(listing ordak.listings, level bigint, drift bigint, read_at timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if drift <> 0 then
    insert into ordak.listing_effects (listing, kind, source_id, counted, delta, shopify_at)
    values (listing.id, 'drift', (extract(epoch from read_at) * 1000000)::bigint, level, drift, read_at);
  end if;
  update ordak.listings as g set based_at = read_at where g.id = listing.id;
  perform ordak.mark_listings(array[listing.item]);
end
$$;


-- take_level_read: what follows from a level that was read: the listing is based, its drift healed, or a person told.
-- False where a later level was read before.
--
-- threshold   how far Shopify may show too much before a person decides; null for any
-- set_aside   how many pieces Shopify keeps there as damaged, reserved, safety stock or for quality control
create function ordak.take_level_read(listing_id bigint, level bigint, read_at timestamptz, threshold bigint,
  set_aside bigint)
returns boolean
language plpgsql set search_path = '' as $$
declare
  v_listing ordak.listings;
  v_drift   bigint;
begin
  if level is null or read_at is null or read_at > clock_timestamp() then
    perform ordak.fail('VAL001', 'expected a level and when it was read, but found another');
  end if;
  select * into v_listing from ordak.listings as g where g.id = listing_id for no key update;
  if not found then
    perform ordak.fail('INV002', 'expected the id of a listing, but found another', 'see list_listings');
  elsif read_at <= v_listing.based_at then
    return false;
  end if;
  v_drift := level - v_listing.expected + (
    select coalesce(sum(e.delta), 0) from ordak.listing_effects as e where e.listing = v_listing.id
      and e.shopify_at > read_at);
  if v_listing.based_at is not null and (v_drift > threshold or v_drift <> 0 and set_aside > 0) then
    perform ordak.alert('stock_drift', v_listing.store, listing_id::text,
      format('Shopify shows %s more than it should: find out why, then base it', v_drift));
    return false;
  end if;
  perform ordak.rebase(v_listing, level, v_drift, read_at);
  perform ordak.resolve_alert('stock_drift', v_listing.store, listing_id::text);
  return true;
end
$$;


create function api.base_listing(listing_id bigint, level bigint, read_at timestamptz) returns api.listing_change
language plpgsql security definer set search_path = '' as $$
begin
  perform ordak.require_service();
  return ordak.listing_change(ordak.take_level_read(listing_id, level, read_at, null, 0), listing_id);
end
$$;
grant execute on function api.base_listing(bigint, bigint, timestamptz) to service_role;
comment on function api.base_listing(bigint, bigint, timestamptz) is $$
Has a listing start from a level that was read at Shopify, after all orders up to then were ingested.

listing_id  which one
level       what Shopify has available of it at the location
read_at     when that was read
returns     the listing; changed is false where a later level was read before
raises      AUTH001; VAL001; INV002 no such listing
role        service
example     {"listing_id": 1, "level": 12, "read_at": "2026-11-24T10:00:00Z"}
$$;


create function api.record_drift(
  listing_id bigint, level bigint, read_at timestamptz, threshold bigint default 5, set_aside bigint default 0
) returns api.listing_change
language plpgsql security definer set search_path = '' as $$
begin
  perform ordak.require_service();
  if threshold >= 0 and set_aside >= 0 is not true then
    perform ordak.fail('VAL001', 'expected a threshold and set_aside from 0, but found another');
  end if;
  return ordak.listing_change(ordak.take_level_read(listing_id, level, read_at, threshold, set_aside), listing_id);
end
$$;
grant execute on function api.record_drift(bigint, bigint, timestamptz, bigint, bigint) to service_role;
comment on function api.record_drift(bigint, bigint, timestamptz, bigint, bigint) is $$
Compares a level that was read at Shopify with what it must show. The difference is recorded and owed back;
  where Shopify
shows too much by more than the threshold, or keeps pieces aside, an alert asks a person instead.

listing_id  which one
level       what Shopify has available of it at the location
read_at     when that was read; all orders up to then are ingested
threshold   by how many pieces Shopify may show too much
set_aside   how many it keeps there as damaged, reserved, safety stock or for quality control
returns     the listing; changed is false where a person is asked, or a later level was read before
raises      AUTH001; VAL001; INV002 no such listing
role        service
example     {"listing_id": 1, "level": 12, "read_at": "2026-11-24T10:00:00Z"}
$$;


create type api.drift as (drift_id bigint, sku text, store text, delta bigint, read_at timestamptz);
comment on type api.drift is 'By how much Shopify showed something else than it should';


create function api.drift_report(store text default null, before bigint default null, page_size int default 50)
returns setof api.drift
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Supervisor', store);
  perform ordak.check_store(store);
  perform ordak.check_page(page_size);
  return query
    select e.id, i.sku, g.store, e.delta, e.shopify_at
    from ordak.listing_effects as e
    join ordak.listings as g on g.id = e.listing
    join ordak.items as i on i.id = g.item
    where e.kind = 'drift' and e.id < coalesce(before, 9223372036854775807)
      and g.store = coalesce(drift_report.store, v_me.store, g.store)
    order by e.id desc
    limit page_size;
end
$$;
grant execute on function api.drift_report(text, bigint, int) to authenticated;
comment on function api.drift_report(text, bigint, int) is $$
Where Shopify showed something else than it should, newest first: edits by hand there, and what was never ingested.

store      the code of a store; left out for all of the caller's
before     only those before this drift_id, the last one of the page before
page_size  1 to 200
returns    them; delta is above 0 where Shopify showed too much
raises     AUTH001; AUTH002 not a Supervisor, or another store; VAL001
role       Supervisor
example    {"store": "bannos"}
$$;
