-- Versions: an order as it is written first, and what a newer or an older word of Shopify's makes of it.

-- content_sha256: a hash of what an order in normal form says: two bodies of one version that say the same are one,
-- though one was delivered and the other fetched, which write times and amounts otherwise. Without its number, which we
-- may have to change, and without what is kept whatever the version.
create function ordak.content_sha256(content jsonb) returns bytea
language sql stable set search_path = '' as $$
  select sha256(convert_to((
    content - '{number,placed_at,updated_at,shop_host,refund_lines}'::text[]
    || jsonb_build_object(
      'cancelled_at', extract(epoch from (content ->> 'cancelled_at')::timestamptz),
      'total_amount', trim_scale((content ->> 'total_amount')::numeric),
      'lines', (
        select jsonb_agg(l.line || jsonb_build_object('price', trim_scale((l.line ->> 'price')::numeric)) order by l.place)
        from jsonb_array_elements(content -> 'lines') with ordinality as l (line, place))))::text, 'UTF8'))
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


-- lock_shopify_order: has deliveries about one order of Shopify's wait for each other, before it is here as well: an order
-- and its refund that arrive at the same instant must see each other. The first lock of all. No id, no lock.
create function ordak.lock_shopify_order(store text, shopify_order_id bigint) returns void
language plpgsql set search_path = '' as $$
begin
  perform pg_advisory_xact_lock(hashtextextended(store, shopify_order_id));
end
$$;


-- refuse_other_store: refuses with ORD005 what is about an order that stands in another store. The domain is a header and
-- not signed: one of the two deliveries named the wrong one. Null is no order, and passes.
create function ordak.refuse_other_store(store text, holder text) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if holder <> store then
    perform ordak.fail('ORD005', format('expected an order of store %s, but found that it stands in %s', store, holder));
  end if;
end
$$;


-- order_there: the order that a body is about, locked. Raises ORD005 where there is none, for then another one has its
-- number, and where it stands in another store, unless that one only took it for its own.
create function ordak.order_there(store ordak.stores, content jsonb, proven boolean) returns ordak.orders
language plpgsql set search_path = '' as $$
declare
  v_order ordak.orders;
begin
  select * into v_order from ordak.orders as o
  where o.shopify_order_gid = content ->> 'shopify_order_gid'
  for no key update;
  if not found then
    perform ordak.fail('ORD005', format('order number %s of store %s belongs to another order',
                                        content ->> 'number', store.code));
  end if;
  if v_order.store <> store.code and proven
     and (v_order.content_sha256 is null or 'unproven_store' = any (v_order.flags)) then
    return ordak.move_order(v_order, store, (content ->> 'number')::bigint);
  end if;
  perform ordak.refuse_other_store(store.code, v_order.store);
  return v_order;
end
$$;


-- adopt_lines: gives the lines that a partner told us of the ids of Shopify's lines that are the same products, so that
-- the cakes that are made already are those of Shopify's order.
create function ordak.adopt_lines(order_key bigint, lines jsonb) returns void
language sql set search_path = '' as $$
  with ours as (
    select l.id, l.title, l.variant_title,
           row_number() over (partition by l.title, l.variant_title order by l.position) as place
    from ordak.order_lines as l
    where l.order_key = adopt_lines.order_key and l.line_id is null
  ), theirs as (
    select b.line_id, b.title, b.variant_title,
           row_number() over (partition by b.title, b.variant_title order by b.line_id) as place
    from jsonb_to_recordset(lines) as b (line_id bigint, title text, variant_title text)
  )
  update ordak.order_lines as l set line_id = t.line_id
  from ours as o
  join theirs as t on t.title = o.title and t.variant_title is not distinct from o.variant_title and t.place = o.place
  where l.id = o.id
$$;


-- flags_said: an order's flags after Shopify has said something new: those that the body decides are as it says, but where
-- a person has decided when the order is due; the others are ours.
create function ordak.flags_said(old text[], said text[], overrides jsonb) returns text[]
language plpgsql immutable set search_path = '' as $$
declare
  v_flags constant text[] := array(
    select f from unnest(old) as f where f not in ('no_due_date', 'bad_due_date', 'truncated')
    union
    select f from unnest(said) as f
    order by f);
begin
  return case when overrides ? 'due_date'
              then ordak.due_date_flags(v_flags, (overrides -> 'due_date' ->> 'value')::date) else v_flags end;
end
$$;


-- renew_order: writes what a newer body says into an order, but for what people have changed. A cancellation stays.
create function ordak.renew_order(v_old ordak.orders, content jsonb, proven boolean) returns ordak.orders
language plpgsql set search_path = '' as $$
declare
  v_overrides constant jsonb := ordak.overridden(v_old.overrides, content);
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
      flags = ordak.flags_said(o.flags, n.flags, v_overrides)
  from jsonb_to_record(content) as n (
    customer_name text, due_date text, delivery_window text, delivery_method text, notes text, currency text,
    total_amount numeric, pos boolean, test boolean, placed_at timestamptz, location_id bigint, updated_at timestamptz,
    cancelled_at timestamptz, cancel_reason text, flags text[]
  )
  where o.id = v_old.id
  returning o.* into v_order;
  if v_old.content_sha256 is null then
    perform ordak.adopt_lines(v_old.id, content -> 'lines');
  end if;
  -- What the body does not name any more, Shopify does not count any more.
  update ordak.order_lines as l set current = 0
  where l.order_key = v_old.id and l.current > 0 and not exists (
    select from jsonb_array_elements(content -> 'lines') as b (line) where (b.line ->> 'line_id')::bigint = l.line_id);
  perform ordak.put_lines(v_order, content -> 'lines', proven);
  if v_old.content_sha256 is null and v_order.number <> (content ->> 'number')::bigint then
    v_order := ordak.take_own_number(v_order, (content ->> 'number')::bigint, proven);
  end if;
  -- A ticket shows these too.
  if (v_old.due_date, v_old.customer_name, v_old.delivery_method) is distinct from
     (v_order.due_date, v_order.customer_name, v_order.delivery_method)
     and exists (select from ordak.tasks as t where t.order_key = v_order.id and t.stage <> 'Complete' and ordak.is_started(t)) then
    perform ordak.flag(v_order.id, 'changed_when_begun', true);
  end if;
  return v_order;
end
$$;


-- store_order: writes an order in normal form that is not there yet, its lines and its tasks; an empty row where it is
-- there, or another has its number. The caller has called lock_products.
--
-- proven    whether what was signed shows that it is the store's
create function ordak.store_order(store ordak.stores, content jsonb, proven boolean default false) returns ordak.orders
language plpgsql set search_path = '' as $$
declare
  v_order ordak.orders;
begin
  v_order := ordak.add_order(store, content);
  if v_order.id is not null then
    perform ordak.keep_refunds(store.code, v_order.shopify_order_id, content -> 'refund_lines');
    perform ordak.put_lines(v_order, content -> 'lines', proven);
    perform ordak.make_tasks(v_order);
    perform ordak.flag_unknown(v_order.id);
    perform ordak.reserve(v_order.id);
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
    perform ordak.change_tasks(null, 'cancel', ordak.tasks_where(v_order.id, false), '{"assignee": null}',
                               v_order.cancel_reason);
  end if;
  perform ordak.flag_unknown(v_order.id);
  perform ordak.flag_conflict(v_order.id);
  perform ordak.reserve(v_order.id);
end
$$;


-- renumber: gives an order that nobody has begun another number, and its tasks with it. An edit of what was read under the
-- old number fails.
create function ordak.renumber(v_order ordak.orders, letter text, number bigint) returns void
language plpgsql set search_path = '' as $$
begin
  update ordak.orders as o set number = renumber.number, version = o.version + 1 where o.id = v_order.id;
  update ordak.tasks as t
  set number = letter || renumber.number || substr(t.number, length(letter || v_order.number) + 1)
  where t.order_key = v_order.id;
  perform ordak.audit(null, v_order.store, 'renumber', v_order.order_id,
                      jsonb_build_object('number', v_order.number), jsonb_build_object('number', renumber.number));
end
$$;


-- free_number: the number that an order of Shopify's can have: its own, which its customer was told, where it is free or can
-- be made so; else the next one of the store.
--
-- Another order gives it up where its store's Shopify has not confirmed it and nobody has begun it. An order that is not
-- shown to be the store's takes no number from anybody. Two that are confirmed keep their quarrel: it ends as ORD005.
create function ordak.free_number(store ordak.stores, number bigint, proven boolean) returns bigint
language plpgsql set search_path = '' as $$
declare
  v_holder ordak.orders;
  v_next   bigint;
begin
  select * into v_holder from ordak.orders as o
  where o.store = free_number.store.code and o.number = free_number.number
  for no key update;
  if not found then
    return number;
  elsif proven and v_holder.content_sha256 is not null and 'unproven_store' <> all (v_holder.flags) then
    return number;
  end if;
  v_next := ordak.take_number(store.code);
  if not proven or exists (select from ordak.tasks as t where t.order_key = v_holder.id and ordak.is_started(t)) then
    return v_next;
  end if;
  perform ordak.renumber(v_holder, store.letter, v_next);
  -- Whoever knew it by the old one must be told.
  perform ordak.flag(v_holder.id, 'number_taken', true);
  return number;
end
$$;


-- take_own_number: gives an order that a partner told us of, by another number or none, the one that Shopify has told its
-- customer; where it cannot have that, or the kitchen has begun it, it is flagged.
create function ordak.take_own_number(v_order ordak.orders, number bigint, proven boolean) returns ordak.orders
language plpgsql set search_path = '' as $$
declare
  v_store ordak.stores;
  v_taken boolean := true;
begin
  select * into strict v_store from ordak.stores as s where s.code = v_order.store;
  if not exists (select from ordak.tasks as t where t.order_key = v_order.id and ordak.is_started(t)) then
    begin
      v_taken := ordak.free_number(v_store, number, proven) <> number;
      -- By a statement of its own: the one before does not see what it gave away itself.
      v_taken := v_taken or exists (
        select from ordak.orders as o where (o.store, o.number) = (v_store.code, take_own_number.number));
      if not v_taken then
        perform ordak.renumber(v_order, v_store.letter, number);
      end if;
    exception when unique_violation then
      -- Somebody is given it at this instant.
      v_taken := true;
    end;
  end if;
  perform ordak.flag(v_order.id, 'number_taken', v_taken);
  select * into strict v_order from ordak.orders as o where o.id = v_order.id;
  return v_order;
end
$$;


-- move_order: gives an order that was taken for another store's to the store whose it is shown to be, as if it had never
-- been taken: what Shopify says comes next. Raises ORD005 where people have worked on it already.
create function ordak.move_order(v_order ordak.orders, store ordak.stores, number bigint) returns ordak.orders
language plpgsql set search_path = '' as $$
declare
  v_free constant bigint := ordak.free_number(store, number, true);
  v_new  ordak.orders;
begin
  perform ordak.drop_untouched(v_order.id);
  if exists (select from ordak.tasks as t where t.order_key = v_order.id) then
    perform ordak.refuse_other_store(store.code, v_order.store);
  end if;
  update ordak.refund_lines as r set store = move_order.store.code
  where r.store = v_order.store and r.shopify_order_id = v_order.shopify_order_id;
  update ordak.orders as o
  set store = move_order.store.code, number = v_free, content_sha256 = null, shopify_updated_at = null,
      version = o.version + 1
  where o.id = v_order.id
  returning * into v_new;
  perform ordak.audit(null, store.code, 'move_order', v_new.order_id, jsonb_build_object('order_id', v_order.order_id), null);
  return v_new;
end
$$;


-- put_order: makes an order what a body of Shopify's says it is, unless a newer one was here. Of an older body only
-- refunds and a cancellation count.
--
-- proven    whether what was signed shows that the order is this store's
-- fetched   whether Shopify was asked for it just now: of two bodies of one version, it is the one that is right
-- outcome   created, updated or skipped
-- Raises ORD004 and ORD005 for what can never be written.
create function ordak.put_order(
  store ordak.stores, content jsonb, proven boolean, fetched boolean default false, out outcome text, out order_key bigint
)
language plpgsql set search_path = '' as $$
declare
  v_number constant bigint := (content ->> 'number')::bigint;
  v_order  ordak.orders;
begin
  perform ordak.lock_shopify_order(store.code, (content ->> 'shopify_order_id')::bigint);
  perform ordak.lock_products(store.code, true);
  -- Twice: somebody may be giving its number away at this instant, which is seen only once they have.
  for v_try in 1 .. 2 loop
    exit when exists (select from ordak.orders as o where o.shopify_order_gid = content ->> 'shopify_order_gid');
    v_order := ordak.store_order(
      store, content || jsonb_build_object('number', ordak.free_number(store, v_number, proven)), proven);
    exit when v_order.id is not null;
  end loop;
  outcome := 'created';
  if v_order.id is null then
    v_order := ordak.order_there(store, content, proven);
    outcome := case when ordak.update_order(v_order, content, proven, fetched) then 'updated' else 'skipped' end;
  end if;
  order_key := v_order.id;
  if proven or outcome = 'created' then
    perform ordak.flag(order_key, 'unproven_store', not proven);
  end if;
  if outcome = 'created' and v_order.number <> v_number then
    perform ordak.flag(order_key, 'number_taken', true);
  end if;
end
$$;


-- update_order: takes from a body what is newer in it than what is here. False where that is nothing.
create function ordak.update_order(v_old ordak.orders, content jsonb, proven boolean, fetched boolean) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_said  constant timestamptz := (content ->> 'updated_at')::timestamptz;
  v_hash  constant bytea       := ordak.content_sha256(content);
  -- Two versions that claim to be one.
  v_rival constant boolean     := coalesce(v_said = v_old.shopify_updated_at and v_hash <> v_old.content_sha256, false);
  -- What a partner told us of an order of Shopify's is older than anything that Shopify says.
  v_newer constant boolean     := v_old.content_sha256 is null or v_rival and fetched
                                  or (v_said, v_hash) > (v_old.shopify_updated_at, v_old.content_sha256);
  v_order ordak.orders         := v_old;
  v_added bigint;
begin
  if v_rival and not fetched then
    -- Which of them is right, Shopify must say.
    perform ordak.mark('refetch_order', v_old.store, v_old.shopify_order_id::text);
  end if;
  v_added := ordak.keep_refunds(v_old.store, v_old.shopify_order_id, content -> 'refund_lines');
  if v_newer then
    v_order := ordak.renew_order(v_old, content, proven);
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
