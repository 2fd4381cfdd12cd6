-- Orders that people take, and what people correct in orders and tasks.

-- field_rules: what may stand in a JSON object that a person sends, by the object's name.
--
-- kind     see field_fits
-- most     the most characters of a text; the largest number
-- needed   whether the field must be there and not null
create function ordak.field_rules(object text)
returns table (key text, kind text, most bigint, needed boolean)
language sql immutable set search_path = '' as $$
  select rules.key, rules.kind, rules.most, rules.needed
  from (values
    ('cake',      'product_title',   'text',   255,                 true),
    ('cake',      'quantity',        'whole',  500,                 true),
    ('cake',      'size',            'text',   255,                 false),
    ('cake',      'flavour',         'text',   255,                 false),
    ('cake',      'cake_writing',    'text',   500,                 false),
    ('cake',      'sku',             'text',   255,                 false),
    ('cake',      'product_id',      'whole',  9223372036854775807, false),
    ('cake',      'price',           'amount', 1000000,             false),
    ('accessory', 'title',           'text',   255,                 true),
    ('accessory', 'quantity',        'whole',  500,                 true),
    ('accessory', 'sku',             'text',   255,                 false),
    ('accessory', 'variant_title',   'text',   255,                 false),
    ('accessory', 'price',           'amount', 1000000,             false),
    ('order',     'customer_name',   'text',   100,                 true),
    ('order',     'due_date',        'day',    null,                false),
    ('order',     'delivery_method', 'method', null,                true),
    ('order',     'delivery_window', 'text',   100,                 false),
    ('order',     'notes',           'text',   5000,                false),
    ('request',   'total_amount',    'amount', 1000000,             false),
    ('request',   'idempotency_key', 'text',   255,                 false),
    ('task',      'product_title',   'text',   255,                 true),
    ('task',      'size',            'text',   255,                 false),
    ('task',      'flavour',         'text',   255,                 false),
    ('task',      'cake_writing',    'text',   500,                 false)
  ) as rules (object, key, kind, most, needed)
  where rules.object = field_rules.object
$$;


-- field_fits: whether a JSON value is of a kind, and so can be written without an error of Postgres.
create function ordak.field_fits(value jsonb, kind text, most bigint) returns boolean
language sql stable set search_path = '' as $$
  select case jsonb_typeof(value) || ' as ' || kind
    when 'string as text'   then length(v.text) between 1 and most and v.text = btrim(v.text, E' \t\r\n')
    -- Postgres would read 08/12/2026 as the 12th of August, and "today" in its own zone.
    when 'string as day'    then v.text ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' and pg_input_is_valid(v.text, 'date')
    when 'string as method' then v.text in ('Pickup', 'Delivery')
    when 'number as whole'  then v.text ~ '^[0-9]+$' and v.text::numeric between 1 and most
    when 'number as amount' then v.text::numeric between 0 and most and v.text::numeric = round(v.text::numeric, 2)
    else false
  end
  from (select value #>> '{}') as v (text)
$$;


-- field_expected: what a message says that a field may be.
create function ordak.field_expected(kind text, most bigint) returns text
language sql immutable set search_path = '' as $$
  select case kind
    when 'text'   then format('a text of 1 to %s characters without blanks at its ends', most)
    when 'day'    then 'a day as YYYY-MM-DD'
    when 'method' then 'Pickup or Delivery'
    when 'whole'  then format('a whole number of 1 to %s', most)
    when 'amount' then format('an amount of 0 to %s with at most two decimals', most)
  end
$$;


-- field_errors: all that is wrong with a JSON object, each with its path.
--
-- partial   whether fields may be left out that are needed: it changes an object that has them
create function ordak.field_errors(object text, path text, fields jsonb, partial boolean) returns setof text
language plpgsql stable set search_path = '' as $$
begin
  if jsonb_typeof(fields) is distinct from 'object' then
    return next format('%s: expected an object, but found %s', path, ordak.json_found(fields));
    return;
  end if;
  return query
    select concat_ws('.', path, left(f.key, 50)) || ': expected no such field'
    from jsonb_object_keys(fields) as f (key)
    where f.key not in (select r.key from ordak.field_rules(object) as r);
  return query
    select format('%s: expected %s, but found %s', concat_ws('.', path, r.key), ordak.field_expected(r.kind, r.most),
                  ordak.json_found(fields -> r.key))
    from ordak.field_rules(object) as r
    where case
      when not fields ? r.key       then r.needed and not partial
      when fields -> r.key = 'null' then r.needed
      else not ordak.field_fits(fields -> r.key, r.kind, r.most)
    end;
end
$$;


-- list_errors: all that is wrong with a JSON list of `fewest` to 50 objects.
create function ordak.list_errors(object text, path text, list jsonb, fewest int) returns setof text
language plpgsql stable set search_path = '' as $$
declare
  c_most constant int := 50;
begin
  if jsonb_typeof(list) is distinct from 'array' or jsonb_array_length(list) not between fewest and c_most then
    return next format('%s: expected a list of %s to %s, but found %s', path, fewest, c_most, ordak.json_found(list));
    return;
  end if;
  return query
    select ordak.field_errors(object, format('%s[%s]', path, l.position - 1), l.fields, false)
    from jsonb_array_elements(list) with ordinality as l (fields, position);
end
$$;


-- refuse_errors: refuses with VAL001 where there are any, and says the first ten.
create function ordak.refuse_errors(errors text[]) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if cardinality(errors) > 0 then
    perform ordak.fail('VAL001', array_to_string(errors[1:10], '; '));
  end if;
end
$$;


-- check_edit: refuses with VAL001 what cannot be an edit of an order or a task.
create function ordak.check_edit(object text, version int, changes jsonb) returns void
language plpgsql stable set search_path = '' as $$
begin
  if version is null then
    perform ordak.fail('VAL001', 'expected the version that the changes are made to, but found none');
  end if;
  perform ordak.refuse_errors(array(select ordak.field_errors(object, 'changes', changes, true)));
end
$$;


-- check_version: refuses with ORD006 an edit of what somebody else has edited since it was read.
create function ordak.check_version(expected int, actual int) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if actual <> expected then
    perform ordak.fail('ORD006', format('expected version %s, but found %s', expected, actual),
                       'read it again, and make the change to what it is now');
  end if;
end
$$;


-- audit_edit: writes to the audit log what two states of a row differ in.
create function ordak.audit_edit(actor bigint, store text, action text, subject text, old jsonb, new jsonb)
returns void
language sql set search_path = '' as $$
  select ordak.audit(actor, store, action, subject, ordak.changed_fields(old - 'overrides', new - 'overrides'),
                     ordak.changed_fields(new - 'overrides', old - 'overrides'))
$$;


-- default_due_date: the first day that a store's settings allow, from so many days after today; null where they
-- allow none within a year.
create function ordak.default_due_date(settings ordak.settings, today date) returns date
language sql immutable set search_path = '' as $$
  select min(d.day)
  from generate_series(0, 366) as step
  cross join lateral (select today + settings.due_offset_days + step) as d (day)
  where settings.due_allowed_days[extract(isodow from d.day)::int]
    and d.day <> all (settings.due_blackout_dates)
$$;


-- due_date: when an order is due that a person takes or moves at an instant: on the day they name, if it can be;
-- without one, on the store's default. Raises VAL001.
create function ordak.due_date(store text, named date, at timestamptz default now()) returns date
language plpgsql stable set search_path = '' as $$
declare
  v_settings ordak.settings;
  v_today    date;
begin
  select * into strict v_settings from ordak.settings as s where s.store = due_date.store;
  select ordak.local_day(s.time_zone, at) into strict v_today from ordak.stores as s where s.code = due_date.store;
  if named not between v_today and v_today + interval '2 years' then
    perform ordak.fail('VAL001', format(
      'due_date: expected a day from %s to two years later, but found %s', v_today, named));
  elsif named = any (v_settings.due_blackout_dates) then
    perform ordak.fail('VAL001', format('due_date: expected a day that is not blacked out, but found %s', named));
  elsif named is null and ordak.default_due_date(v_settings, v_today) is null then
    perform ordak.fail('VAL001', 'due_date: expected a day, for the settings allow none within a year, but found none');
  end if;
  return coalesce(named, ordak.default_due_date(v_settings, v_today));
end
$$;


-- take_number: the next number of a store that no order has.
create function ordak.take_number(store text) returns bigint
language plpgsql set search_path = '' as $$
declare
  v_number bigint;
begin
  loop
    update ordak.stores as s set next_number = s.next_number + 1
    where s.code = take_number.store
    returning s.next_number - 1 into strict v_number;
    exit when not exists (select from ordak.orders as o where o.store = take_number.store and o.number = v_number);
  end loop;
  return v_number;
end
$$;


-- check_number: refuses with VAL001 what is no number of the store; null passes.
create function ordak.check_number(store text, number text) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_letter text;
begin
  select s.letter into strict v_letter from ordak.stores as s where s.code = check_number.store;
  if number !~ ('^' || v_letter || '[1-9][0-9]{0,8}$') then
    perform ordak.fail('VAL001', format(
      'number: expected the letter %s of store %s and 1 to 9 digits, but found %s', v_letter, check_number.store,
      case when number ~ '^[A-Z][1-9][0-9]{0,8}$' then 'the letter ' || left(number, 1) else 'another form' end));
  end if;
end
$$;


-- check_manual_order: refuses with VAL001 what can be no order that a person takes, whenever they do.
create function ordak.check_manual_order(store text, idempotency_key text, request jsonb) returns void
language plpgsql stable set search_path = '' as $$
declare
  v_cakes bigint;
begin
  perform ordak.refuse_errors(array(
    select ordak.field_errors('order', null, request - '{number,total_amount,cakes,accessories}'::text[], false)
    union all
    select ordak.field_errors('request', null, jsonb_build_object(
      'total_amount', request -> 'total_amount', 'idempotency_key', idempotency_key), false)
    union all
    select ordak.list_errors('cake', 'cakes', request -> 'cakes', 1)
    union all
    select ordak.list_errors('accessory', 'accessories', request -> 'accessories', 0)
  ));
  perform ordak.check_number(store, request ->> 'number');
  select sum((cake ->> 'quantity')::int) into v_cakes from jsonb_array_elements(request -> 'cakes') as cake;
  if v_cakes > 500 then
    perform ordak.fail('VAL001', format('cakes: expected at most 500 of them, but found %s', v_cakes));
  end if;
end
$$;


-- manual_order: an order that a person takes, in the normal form that store_order writes.
create function ordak.manual_order(store text, request jsonb) returns jsonb
language sql set search_path = '' as $$
  with lines as (
    select l.kind, l.position, jsonb_build_object(
      'kind', l.kind, 'title', coalesce(l.fields -> 'product_title', l.fields -> 'title'),
      'price', coalesce(l.fields ->> 'price', '0'), 'properties', '[]'::jsonb
    ) || l.fields - '{product_title,title,price}'::text[] as line
    from (
      select 'cake', c.* from jsonb_array_elements(request -> 'cakes') with ordinality as c
      union all
      select 'accessory', a.* from jsonb_array_elements(request -> 'accessories') with ordinality as a
    ) as l (kind, fields, position)
  )
  select request || jsonb_build_object(
    'source', 'manual', 'currency', 'AUD', 'pos', false, 'test', false, 'placed_at', now(), 'flags', '[]'::jsonb,
    'number', coalesce(substr(request ->> 'number', 2)::bigint, ordak.take_number(store)),
    'due_date', ordak.due_date(store, (request ->> 'due_date')::date),
    'total_amount', coalesce((request ->> 'total_amount')::numeric,
                             sum((line ->> 'price')::numeric * (line ->> 'quantity')::int)),
    'lines', jsonb_agg(line order by kind desc, position)
  )
  from lines
$$;


-- repeated_order: the order that a request made earlier under its key; null where it is the first. Raises ORD005
-- where the key made another.
create function ordak.repeated_order(store text, idempotency_key text, request_sha256 bytea) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_order ordak.orders;
begin
  select * into v_order from ordak.orders as o
  where o.store = repeated_order.store and o.idempotency_key = repeated_order.idempotency_key;
  if v_order.request_sha256 <> repeated_order.request_sha256 then
    perform ordak.fail('ORD005', 'expected the request that this idempotency key was used with, but found another',
                       'use a new key for a new order');
  end if;
  return v_order.order_id;
end
$$;


-- new_order: writes an order that did not come from Shopify, and answers with its id. Raises ORD005 where another order
-- has its number.
create function ordak.new_order(store ordak.stores, content jsonb) returns text
language plpgsql set search_path = '' as $$
declare
  v_order ordak.orders;
begin
  perform ordak.lock_products(store.code, true);
  v_order := ordak.store_order(store, content);
  if v_order.id is null then
    perform ordak.fail('ORD005', format('order number %s of store %s belongs to another order',
                                        content ->> 'number', store.code));
  end if;
  return v_order.order_id;
end
$$;


create function api.create_manual_order(
  store text, customer_name text, cakes jsonb, due_date text default null, number text default null,
  delivery_method text default 'Pickup', delivery_window text default null, notes text default null,
  total_amount numeric default null, accessories jsonb default '[]', idempotency_key text default null
) returns api.order_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me       ordak.staff_shared;
  v_store    ordak.stores;
  v_request  jsonb;
  v_sha256   bytea;
  v_order_id text;
begin
  v_me := ordak.require_staff('Supervisor', store);
  perform ordak.check_store(store, true);
  v_request := jsonb_build_object(
    'customer_name', customer_name, 'cakes', cakes, 'due_date', due_date, 'number', number,
    'delivery_method', delivery_method, 'delivery_window', delivery_window, 'notes', notes,
    'total_amount', trim_scale(total_amount), 'accessories', accessories);
  perform ordak.check_manual_order(store, idempotency_key, v_request);

  -- One at a time in a store: the second of two equal requests waits here, and then finds the first one's order.
  select * into strict v_store from ordak.stores as s where s.code = create_manual_order.store for no key update;
  if idempotency_key is not null then
    v_sha256 := sha256(convert_to(v_request::text, 'UTF8'));
    v_order_id := ordak.repeated_order(store, idempotency_key, v_sha256);
  end if;
  if v_order_id is not null then
    return ordak.order_change(v_order_id, false);
  end if;

  v_order_id := ordak.new_order(v_store, ordak.manual_order(store, v_request) || jsonb_build_object(
    'idempotency_key', idempotency_key, 'request_sha256', v_sha256));
  perform ordak.audit(v_me.id, store, 'create_manual_order', v_order_id, null, null);
  return ordak.order_change(v_order_id, true);
end
$$;
grant execute on function
  api.create_manual_order(text, text, jsonb, text, text, text, text, text, numeric, jsonb, text) to authenticated;
comment on function
  api.create_manual_order(text, text, jsonb, text, text, text, text, text, numeric, jsonb, text) is $$
Takes an order that did not come from Shopify: over the telephone or at the counter. Each cake becomes a task.

store            the code of the store
customer_name    1 to 100 characters
cakes            1 to 50 of {product_title, quantity, size, flavour, cake_writing, sku, product_id, price}, of which the
                 first two are needed; at most 500 cakes in all
due_date         YYYY-MM-DD, from today to two years ahead and not blacked out; left out for the store's default
number           the store's letter and 1 to 9 digits, as B25999; left out for the store's next one
delivery_method  Pickup or Delivery; left out for Pickup
delivery_window  at most 100 characters
notes            at most 5000 characters
total_amount     in AUD; left out for the sum of the prices
accessories      at most 50 of {title, quantity, sku, variant_title, price}, of which the first two are needed
idempotency_key  at most 255 characters; the same request under the same key makes one order, however often it is sent
returns          the order and its tasks; changed is false where the key made it earlier
raises           AUTH001; AUTH002 not a Supervisor of that store; VAL001 with the path of each field that is wrong;
                 ORD005 the number is another order's, or the key was used for another request
role             Supervisor
example          {"store": "bannos", "customer_name": "Ada", "cakes": [{"product_title": "Bliss Cake", "quantity": 1}]}
$$;


-- due_date_flags: an order's flags once a person has decided when it is due, or that nobody knows yet.
create function ordak.due_date_flags(flags text[], due_date date) returns text[]
language sql immutable set search_path = '' as $$
  select array(
    select f from unnest(flags) as f where f not in ('no_due_date', 'bad_due_date')
    union
    select 'no_due_date' where due_date is null
    order by f)
$$;


-- edited: the overrides of a row that came from Shopify once a person has changed fields of it: each keeps what Shopify
-- says now, which the person has seen. A field that is what Shopify says is overridden no more.
create function ordak.edited(overrides jsonb, old jsonb, changes jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_object_agg(field, o), '{}')
  from (
    select field, o from jsonb_each(overrides) as e (field, o) where not changes ? field
    union all
    select field, jsonb_build_object('value', value, 'shopify', said, 'now', said)
    from jsonb_each(changes) as c (field, value)
    cross join lateral (
      select case when overrides ? field then overrides -> field -> 'now' else old -> field end) as s (said)
    where value is distinct from said
  ) as kept
$$;


create function api.edit_order(order_id text, version int, changes jsonb) returns api.order_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me  ordak.staff_shared;
  v_old ordak.orders;
  v_new ordak.orders;
begin
  v_me := ordak.require_staff('Supervisor');
  perform ordak.check_edit('order', version, changes);
  v_old := ordak.lock_order(v_me, order_id);
  v_new := jsonb_populate_record(v_old, changes);
  if v_old.source = 'shopify' then
    v_new.overrides := ordak.edited(v_old.overrides, to_jsonb(v_old), changes);
  end if;
  -- The overrides too: what a person says again after Shopify has said something else is new.
  if v_new is not distinct from v_old then
    return ordak.order_change(order_id, false);
  elsif v_old.cancelled_at is not null then
    perform ordak.fail('ORD003', 'expected an open order, but found one that is cancelled');
  elsif (select bool_and(t.stage = 'Complete') from ordak.tasks as t where t.order_key = v_old.id) then
    perform ordak.fail('ORD003', 'expected an open order, but found one whose cakes are all complete');
  end if;
  perform ordak.check_version(version, v_old.version);
  if v_new.due_date is distinct from v_old.due_date then
    v_new.flags := ordak.due_date_flags(v_old.flags, v_new.due_date);
    if v_new.due_date is not null then
      perform ordak.due_date(v_old.store, v_new.due_date);
    end if;
  end if;

  update ordak.orders as o
  set overrides = v_new.overrides, customer_name = v_new.customer_name, due_date = v_new.due_date,
      delivery_method = v_new.delivery_method, delivery_window = v_new.delivery_window, notes = v_new.notes,
      flags = v_new.flags, version = v_old.version + 1
  where o.id = v_old.id;
  perform ordak.flag_conflict(v_old.id);
  perform ordak.reserve(v_old.id);
  perform ordak.audit_edit(v_me.id, v_old.store, 'edit_order', v_old.order_id, to_jsonb(v_old), to_jsonb(v_new));
  return ordak.order_change(order_id, true);
end
$$;
grant execute on function api.edit_order(text, int, jsonb) to authenticated;
comment on function api.edit_order(text, int, jsonb) is $$
Corrects what an order says. Its tasks follow at once.

order_id  of which order
version   of the order as it was read; where somebody has edited it since, nothing changes
changes   any of {customer_name, due_date, delivery_method, delivery_window, notes}, as in create_manual_order; null
          clears all but customer_name and delivery_method
returns   the order and its tasks; changed is false where all of it was so already
raises    AUTH001; AUTH002 not a Supervisor of its store; VAL001; ORD001; ORD003 cancelled, or all its cakes are
          complete; ORD006 edited since
role      Supervisor
example   {"order_id": "bannos-25771", "version": 1, "changes": {"due_date": "2026-12-24", "notes": null}}
$$;


create function api.edit_task(task_number text, version int, changes jsonb) returns api.task_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me  ordak.staff_shared;
  v_old ordak.tasks;
  v_new ordak.tasks;
begin
  v_me := ordak.require_staff('Supervisor');
  perform ordak.check_edit('task', version, changes);
  v_old := ordak.lock_task(v_me, task_number);
  v_new := jsonb_populate_record(v_old, changes);
  if exists (select from ordak.orders as o where o.id = v_old.order_key and o.source = 'shopify') then
    v_new.overrides := ordak.edited(v_old.overrides, to_jsonb(v_old), changes);
  end if;
  if v_new is not distinct from v_old then
    return ordak.task_change(task_number, false);
  elsif v_old.cancelled_at is not null or v_old.stage = 'Complete' then
    perform ordak.fail('ORD003', format('expected an open task, but found one that is %s',
      case when v_old.cancelled_at is null then 'complete' else 'cancelled' end));
  end if;
  perform ordak.check_version(version, v_old.version);

  update ordak.tasks as t
  set overrides = v_new.overrides, product_title = v_new.product_title, size = v_new.size, flavour = v_new.flavour,
      cake_writing = v_new.cake_writing, version = v_old.version + 1
  where t.id = v_old.id;
  perform ordak.flag_conflict(v_old.order_key);
  perform ordak.audit_edit(v_me.id, v_old.store, 'edit_task', v_old.number, to_jsonb(v_old), to_jsonb(v_new));
  return ordak.task_change(task_number, true);
end
$$;
grant execute on function api.edit_task(text, int, jsonb) to authenticated;
comment on function api.edit_task(text, int, jsonb) is $$
Corrects what one cake shall be.

task_number  of which task
version      of the task as it was read; where somebody has edited it since, nothing changes
changes      any of {product_title, size, flavour, cake_writing}, as in create_manual_order; null clears all but
             product_title
returns      the task; changed is false where all of it was so already
raises       AUTH001; AUTH002 not a Supervisor of its store; VAL001; ORD001; ORD003 cancelled or complete; ORD006 edited
             since
role         Supervisor
example      {"task_number": "B25771-A", "version": 1, "changes": {"cake_writing": "Happy birthday"}}
$$;


create function api.dismiss_flag(order_id text, flag text) returns api.order_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me    ordak.staff_shared;
  v_order ordak.orders;
begin
  v_me := ordak.require_staff('Supervisor');
  perform ordak.check_text('flag', flag, 50, true);
  v_order := ordak.lock_order(v_me, order_id);
  if flag <> all (v_order.flags) then
    return ordak.order_change(order_id, false);
  end if;
  perform ordak.flag(v_order.id, dismiss_flag.flag, false);
  perform ordak.audit(v_me.id, v_order.store, 'dismiss_flag', v_order.order_id, jsonb_build_object('flag', flag), null);
  return ordak.order_change(order_id, true);
end
$$;
grant execute on function api.dismiss_flag(text, text) to authenticated;
comment on function api.dismiss_flag(text, text) is $$
Takes a flag off an order, once a person has seen to it. What the next delivery still shows is flagged again.

order_id  of which order
flag      one of the order's flags
returns   the order and its tasks; changed is false where it has no such flag
raises    AUTH001; AUTH002 not a Supervisor of its store; VAL001; ORD001
role      Supervisor
example   {"order_id": "bannos-25771", "flag": "changed_when_begun"}
$$;
