-- Topics: what the worker is asked to read at Shopify, and what its answers mean (see docs/sync.md). Each topic has a
-- claim, which answers with what to ask, or null where there is nothing to do, and a finish for what came back. Whoever
-- calls them has the store's row of sync_stores locked.

-- Listings that are not known yet ------------------------------------------------------------------------------------

-- lacks_listing: whether something could be sold in a store of which we do not know as what.
create function ordak.lacks_listing(item ordak.items, store text) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return item.active and item.kind in ('product', 'accessory', 'topper') and ordak.is_tracked(store)
    and not exists (select from ordak.listings as g where g.item = lacks_listing.item.id and g.store = lacks_listing.store);
end
$$;


-- mark_missing_listings: has looked up as what items are sold in stores that have no listing of them.
--
-- store  in which store; null for all whose stock is counted
-- item   which item; null for all
create function ordak.mark_missing_listings(store text default null, item bigint default null) returns void
language plpgsql set search_path = '' as $$
begin
  perform ordak.alert('location_missing', s.code, s.code,
    'nobody has said which location of the shop is ours: set `location` in the store''s row of ordak.stores')
  from ordak.stores as s
  where s.code = coalesce(mark_missing_listings.store, s.code) and s.location is null and ordak.is_tracked(s.code)
  order by s.code;
  perform ordak.resolve_alert('location_missing', s.code, s.code)
  from ordak.stores as s
  where s.code = coalesce(mark_missing_listings.store, s.code) and s.location is not null
  order by s.code;
  perform ordak.mark_all('find_listing', array_agg(s.code), array_agg(i.id::text))
  from ordak.stores as s
  cross join ordak.items as i
  where s.code = coalesce(mark_missing_listings.store, s.code) and s.location is not null
    and i.id = coalesce(mark_missing_listings.item, i.id) and ordak.lacks_listing(i, s.code);
end
$$;


-- claim_find_listings: SKUs to be looked up.
create function ordak.claim_find_listings(store text, token uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_location constant text := (select s.location from ordak.stores as s where s.code = claim_find_listings.store);
  v_skus jsonb;
  v_keys text[];
begin
  loop
    select array_agg(w.key) filter (where f.needed is not true), jsonb_agg(i.sku order by i.sku) filter (where f.needed)
    into v_keys, v_skus
    from ordak.claim_rows('find_listing', store, token, 50) as w
    left join ordak.items as i on i.id = w.key::bigint
    cross join lateral (select v_location is not null and ordak.lacks_listing(i, claim_find_listings.store)) as f (needed);
    perform ordak.end_rows(token, v_keys);
    exit when v_skus is not null or v_keys is null;
  end loop;
  return case when v_skus is not null then
    jsonb_build_object('work', 'find_listings', 'token', token, 'location', v_location, 'skus', v_skus) end;
end
$$;


-- take_found: makes what was found of an item its listing, and has its level read.
create function ordak.take_found(store ordak.stores, item ordak.items, variant jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_id bigint;
begin
  insert into ordak.listings (item, store, inventory_item_id, location_id, variant_id)
  values (item.id, store.code, (variant ->> 'inventory_item_id')::bigint, substring(store.location from '[0-9]+$')::bigint,
          (variant ->> 'variant_id')::bigint)
  on conflict do nothing
  returning id into v_id;
  if v_id is not null then
    perform ordak.mark('base_listing', store.code, v_id::text);
    perform ordak.audit(null, store.code, 'find_listing', item.sku, null, variant);
  elsif not exists (select from ordak.listings as g where (g.item, g.store) = (item.id, store.code)) then
    perform ordak.alert('listing_ambiguous', store.code, item.sku,
      format('the stock of %s is that of another listing: correct the SKUs in the shop, or set_listing', item.sku));
  end if;
end
$$;


-- finish_find_listings: takes what carries exactly the SKU of an item, if it is one thing and Shopify counts it. What was
-- not found is not looked up again until somebody asks, or the next night.
create function ordak.finish_find_listings(store text, token uuid, result jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_store ordak.stores;
  v_item  ordak.items;
  v_found jsonb[];
begin
  select * into strict v_store from ordak.stores as s where s.code = finish_find_listings.store;
  for v_item in
    select i.* from ordak.work_queue as w join ordak.items as i on i.id = w.key::bigint
    where w.lease_token = token order by i.id
  loop
    v_found := array(select f from jsonb_array_elements(result -> 'found') as f where f ->> 'sku' = v_item.sku);
    if cardinality(v_found) > 1 then
      perform ordak.alert('listing_ambiguous', store, v_item.sku,
        format('%s variants in the shop have the SKU %s: leave it to one of them, or set_listing', cardinality(v_found),
               v_item.sku));
      continue;
    end if;
    perform ordak.resolve_alert('listing_ambiguous', store, v_item.sku);
    if v_found[1] -> 'tracked' = 'true' then
      perform ordak.take_found(v_store, v_item, v_found[1]);
    end if;
  end loop;
  perform ordak.finish_rows(token);
end
$$;


-- Levels: the base check ---------------------------------------------------------------------------------------------

-- pushed_since: whether a push of a listing is on its way, or was at some time since an instant.
create function ordak.pushed_since(listing bigint, at timestamptz) returns boolean
-- From the few pushes of that time: a listing may have had thousands.
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
begin
  return exists (
    select from ordak.push_batches as b join ordak.push_items as i on i.batch = b.key
    where i.listing = pushed_since.listing and b.state = 'open')
  or exists (
    select from ordak.push_batches as b join ordak.push_items as i on i.batch = b.key
    where i.listing = pushed_since.listing and b.closed_at >= pushed_since.at);
end
$$;


-- wake_levels: has levels that were read long enough ago compared soon: by the next worker who comes for work, with whom
-- settle_levels comes first. Never at once, or they would be claimed to be read again.
create function ordak.wake_levels(store text) returns void
language sql set search_path = '' as $$
  update ordak.work_queue as w set run_at = clock_timestamp() + interval '200 milliseconds'
  from ordak.level_reads as r
  where r.store = wake_levels.store and r.due_at <= now() and w.state = 'ready'
    and (w.topic, w.store, w.key) = ('base_listing', r.store, r.listing::text)
$$;


-- claim_read_levels: listings whose level is to be read. One that is being pushed waits for that: whether the level would
-- hold the push already, nobody could say.
create function ordak.claim_read_levels(store text, token uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_useless  text[];
  v_waiting  text[];
  v_location bigint;
  v_listings jsonb;
begin
  if exists (
    select from ordak.level_reads as r
    join ordak.work_queue as w on (w.topic, w.store, w.key) = ('base_listing', r.store, r.listing::text)
    where r.store = claim_read_levels.store and r.due_at <= now() and w.run_at <= clock_timestamp()
  ) then
    perform ordak.wake_levels(store);
  end if;
  loop
    select array_agg(w.key) filter (where g.enabled is not true or not ordak.is_tracked(claim_read_levels.store)),
           array_agg(w.key) filter (where g.enabled and ordak.pushed_since(g.id, 'infinity'))
    into v_useless, v_waiting
    from ordak.claim_rows('base_listing', store, token, 100) as w
    left join ordak.listings as g on g.id = w.key::bigint and g.store = claim_read_levels.store;
    perform ordak.end_rows(token, v_useless);
    perform ordak.release_rows(token, coalesce(v_waiting, '{}'), now() + interval '5 seconds');
    select min(g.location_id) into v_location
    from ordak.work_queue as w join ordak.listings as g on g.id = w.key::bigint where w.lease_token = token;
    exit when v_location is not null or coalesce(v_useless, v_waiting) is null;
  end loop;
  -- One location at a time.
  perform ordak.release_rows(token, array(
    select w.key from ordak.work_queue as w join ordak.listings as g on g.id = w.key::bigint
    where w.lease_token = token and g.location_id <> v_location), now());
  with asked as (
    insert into ordak.level_reads as r (listing, store, asked_at)
    select w.key::bigint, w.store, clock_timestamp() from ordak.work_queue as w where w.lease_token = token
    on conflict (listing) do update set
      asked_at = excluded.asked_at, level = null, set_aside = null, read_at = null, effects_through = null, due_at = null
    returning r.listing
  )
  select jsonb_agg(jsonb_build_object('listing_id', g.id, 'inventory_item_id', g.inventory_item_id) order by g.id)
  into v_listings
  from asked as a join ordak.listings as g on g.id = a.listing;
  return case when v_listings is not null then jsonb_build_object('work', 'read_levels', 'token', token,
    'location', 'gid://shopify/Location/' || v_location, 'listings', v_listings) end;
end
$$;


-- finish_read_levels: keeps levels that were read until they may be compared. Not one during whose reading a push was on
-- its way: it is read again. What is not stocked at the location, Shopify would refuse for ever.
create function ordak.finish_read_levels(store text, token uuid, result jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_due      constant timestamptz := now() + (select s.base_wait from ordak.sync_settings as s);
  v_listings constant bigint[]    := array(
    select w.key::bigint from ordak.work_queue as w where w.lease_token = token);
begin
  perform ordak.lock_listings(v_listings);
  delete from ordak.level_reads as r
  where r.listing = any (v_listings) and ordak.pushed_since(r.listing, r.asked_at);
  update ordak.level_reads as r
  set level = v.available, set_aside = coalesce(v.set_aside, 0), read_at = (result ->> 'read_at')::timestamptz, due_at = v_due,
      -- Of all listings: it is found at once, and a later effect of this one, which is locked, has a higher id too.
      effects_through = (select coalesce(max(e.id), 0) from ordak.listing_effects as e)
  from jsonb_to_recordset(result -> 'levels') as v (listing_id bigint, available bigint, set_aside bigint)
  where r.listing = any (v_listings) and v.listing_id = r.listing and v.available is not null;
  perform ordak.release_rows(token, array(
    select k::text from unnest(v_listings) as k
    where not exists (select from ordak.level_reads as r where r.listing = k)), now() + interval '1 second');
  perform ordak.release_rows(token, array(
    select r.listing::text from ordak.level_reads as r where r.listing = any (v_listings) and r.level is not null), v_due);
  perform ordak.refuse_listing(r.listing, 'it is not counted, or not stocked, at our location')
  from (select * from ordak.level_reads as r where r.listing = any (v_listings) and r.level is null
        order by r.listing) as r;
  delete from ordak.level_reads as r where r.listing = any (v_listings) and r.level is null;
  perform ordak.finish_rows(token);
end
$$;


-- settled_orders: whether everything of Shopify's up to an instant is here: its orders were listed since, and none waits to
-- be fetched. Has them listed where they were not.
create function ordak.settled_orders(store text, through timestamptz) returns boolean
language plpgsql set search_path = '' as $$
begin
  if (select s.orders_through >= through from ordak.sync_stores as s where s.store = settled_orders.store) is true then
    return not exists (
      select from ordak.work_queue as w
      where w.topic = 'refetch_order' and w.store = settled_orders.store and w.state in ('ready', 'leased'));
  end if;
  if not exists (
    select from ordak.work_queue as w
    where w.topic = 'list_orders' and w.store = settled_orders.store and w.key = settled_orders.store
  ) then
    perform ordak.mark('list_orders', store, store);
  end if;
  return false;
end
$$;


-- settle_levels: compares the levels of a store that were read long enough ago with what Shopify must show.
create function ordak.settle_levels(store text) returns void
language plpgsql set search_path = '' as $$
declare
  v_threshold constant bigint := (select s.drift_threshold from ordak.sync_settings as s);
  v_through   timestamptz;
  v_listings  bigint[];
begin
  -- Marked again since it was claimed: what was read then says nothing any more.
  with void as (
    delete from ordak.level_reads as r using ordak.work_queue as w
    where r.store = settle_levels.store and r.due_at is not null
      and (w.topic, w.store, w.key) = ('base_listing', r.store, r.listing::text)
      and (w.state <> 'ready' or w.version <> w.claimed_version)
    returning w.id
  )
  update ordak.work_queue as w set run_at = now() from void as v where w.id = v.id and w.state = 'ready';
  select array_agg(l.listing order by l.listing), max(l.due_at) into v_listings, v_through
  from (select * from ordak.level_reads as r where r.store = settle_levels.store and r.due_at <= now()
        order by r.due_at, r.listing limit 200) as l;
  if v_listings is null then
    return;
  elsif ordak.settled_orders(store, v_through) then
    perform ordak.lock_listings(v_listings);
    v_listings := array(select l from unnest(v_listings) as l where not ordak.pushed_since(l, 'infinity') order by l);
    perform ordak.take_level_read(r.listing, r.level, r.read_at, v_threshold, r.set_aside, r.effects_through)
    from (select * from ordak.level_reads as r where r.listing = any (v_listings) order by r.listing) as r;
    delete from ordak.level_reads as r where r.listing = any (v_listings);
    delete from ordak.work_queue as w
    where w.topic = 'base_listing' and w.store = settle_levels.store and w.key = any (v_listings::text[])
      and w.version = w.claimed_version;
  end if;
  -- What cannot be compared yet is looked at whenever something else is done, and else a little later.
  update ordak.work_queue as w set run_at = now() + interval '5 seconds'
  from ordak.level_reads as r
  where r.store = settle_levels.store and r.due_at <= now() and w.run_at <= now()
    and (w.topic, w.store, w.key) = ('base_listing', r.store, r.listing::text);
end
$$;


-- Orders -------------------------------------------------------------------------------------------------------------

-- claim_list_orders: from when on orders are to be listed that have changed: a little before the last time, for what
-- Shopify had not found yet; at first the last day.
create function ordak.claim_list_orders(store text, token uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_row  ordak.work_queue;
  v_sync ordak.sync_stores;
begin
  select * into v_row from ordak.claim_rows('list_orders', store, token, 1);
  if v_row.id is null then
    return null;
  end if;
  update ordak.sync_stores as s
  set orders_began = now(), orders_cursor = null,
      orders_since = coalesce(s.orders_through - (select t.orders_overlap from ordak.sync_settings as t),
                              now() - interval '1 day')
  -- A page that failed is no place to go on from.
  where s.store = claim_list_orders.store and (s.orders_cursor is null or v_row.attempts > 0);
  select * into strict v_sync from ordak.sync_stores as s where s.store = claim_list_orders.store;
  return jsonb_build_object('work', 'list_orders', 'token', token, 'after', v_sync.orders_cursor,
    'since', to_char(v_sync.orders_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
end
$$;


-- finish_list_orders: has those orders fetched that are not here, or not as new as Shopify has them.
create function ordak.finish_list_orders(store text, token uuid, result jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  perform ordak.mark_all('refetch_order', array_agg(finish_list_orders.store), array_agg(l.id::text))
  from (select distinct l.id, l.updated_at
        from jsonb_to_recordset(result -> 'orders') as l (id bigint, updated_at timestamptz)) as l
  where not exists (
    select from ordak.orders as o
    where o.shopify_order_gid = 'gid://shopify/Order/' || l.id and o.shopify_updated_at >= l.updated_at);
  if result ->> 'after' is not null then
    update ordak.sync_stores as s set orders_cursor = result ->> 'after' where s.store = finish_list_orders.store;
    update ordak.work_queue as w set attempts = 0 where w.lease_token = token;
    perform ordak.release_rows(token, null, now());
  else
    update ordak.sync_stores as s set orders_through = s.orders_began, orders_cursor = null
    where s.store = finish_list_orders.store;
    perform ordak.finish_rows(token);
    perform ordak.wake_levels(store);
  end if;
end
$$;


-- claim_fetch_orders: orders to be read again.
create function ordak.claim_fetch_orders(store text, token uuid) returns jsonb
language sql set search_path = '' as $$
  select jsonb_build_object('work', 'fetch_orders', 'token', token, 'orders', jsonb_agg(w.key::bigint order by w.key::bigint))
  from ordak.claim_rows('refetch_order', store, token, 10) as w
  having count(*) > 0
$$;


-- lock_fetched: locks all that orders which were fetched together touch, in the one order in which everybody locks:
-- taken one by one they could make a ring with somebody who takes one of them.
create function ordak.lock_fetched(store text, orders jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_orders bigint[];
  v_items  bigint[];
begin
  perform ordak.lock_shopify_order(store, f.id)
  from (select (f ->> 'id')::bigint as id from jsonb_array_elements(orders) as f order by 1) as f;
  perform ordak.lock_products(store, true);
  v_orders := array(
    select o.id from ordak.orders as o
    where o.shopify_order_gid in (select 'gid://shopify/Order/' || (f ->> 'id') from jsonb_array_elements(orders) as f)
    order by o.id for no key update);
  v_items := array(
    select r.item from ordak.reservations as r
    where r.order_key = any (v_orders) and r.state in ('blocked', 'held', 'released')
    union
    select unnest(ordak.with_parts(array(
      select ordak.match_item(lock_fetched.store, jsonb_populate_record(null::ordak.order_lines, jsonb_build_object(
        'sku', l -> 'sku', 'product_id', l -> 'product_id', 'kind', l -> 'kind', 'title', l -> 'title',
        'variant_title', l -> 'variant_title')))
      from jsonb_array_elements(orders) as f
      cross join lateral jsonb_array_elements(f #> '{content,order,lines}') as l))));
  perform ordak.lock_items(v_items);
  perform ordak.lock_touched(v_items);
end
$$;


-- take_fetched: takes one order that was fetched, or keeps it as a dead letter, as a delivery is. Answers with what failed
-- where it may pass later, else null.
--
-- content  the order as a delivery's content; null where it is not there any more
-- reason   why it could not be read
create function ordak.take_fetched(store ordak.stores, id bigint, content jsonb, reason text) returns text
language plpgsql set search_path = '' as $$
declare
  v_reason text := reason;
begin
  begin
    if reason is null and content is not null then
      perform ordak.put_order(store, content -> 'order', true, true);
    end if;
  exception
    when sqlstate 'PGRST' then
      v_reason := (sqlerrm::jsonb ->> 'code') || ': ' || (sqlerrm::jsonb ->> 'message');
      if v_reason !~ '^ORD00[45]' then
        return v_reason;
      end if;
    when data_exception or integrity_constraint_violation then
      v_reason := format('ORD004: the database refused the data (%s)', sqlstate);
    when others then
      -- Its message may hold a customer's data.
      return format('the database failed (%s)', sqlstate);
  end;
  if v_reason is not null then
    perform ordak.keep_letter(store.code, 'sync/order', v_reason,
      convert_to(coalesce(content, jsonb_build_object('id', id))::text, 'UTF8'), content);
  end if;
  return null;
end
$$;


-- finish_fetch_orders: takes the orders that were fetched, each whatever becomes of the others. They came by the store's own
-- token, which proves whose they are.
create function ordak.finish_fetch_orders(store text, token uuid, result jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_store    ordak.stores;
  v_row      record;
  v_error    text;
  v_failures jsonb := '[]';
begin
  select * into strict v_store from ordak.stores as s where s.code = finish_fetch_orders.store;
  perform ordak.lock_fetched(store, result -> 'orders');
  for v_row in
    select w.key, f.id, f.content, f.reason
    from ordak.work_queue as w
    left join jsonb_to_recordset(result -> 'orders') as f (id bigint, content jsonb, reason text) on f.id = w.key::bigint
    where w.lease_token = token
    order by w.key::bigint
  loop
    v_error := case when v_row.id is null then 'the answer lacks it'
                    else ordak.take_fetched(v_store, v_row.id, v_row.content, v_row.reason) end;
    if v_error is not null then
      v_failures := v_failures || jsonb_build_object('key', v_row.key, 'error', v_error);
    end if;
  end loop;
  perform ordak.finish_rows(token, v_failures);
  perform ordak.wake_levels(store);
end
$$;


-- Products -----------------------------------------------------------------------------------------------------------

-- claim_fetch_products: products whose picture is to be looked up.
create function ordak.claim_fetch_products(store text, token uuid) returns jsonb
language sql set search_path = '' as $$
  select jsonb_build_object('work', 'fetch_products', 'token', token, 'products',
                            jsonb_agg(w.key::bigint order by w.key::bigint))
  from ordak.claim_rows('product_image', store, token, 50) as w
  having count(*) > 0
$$;


-- finish_fetch_products: keeps what Shopify says of products, each whatever becomes of the others; one that is not there
-- any more stays as it is.
create function ordak.finish_fetch_products(store text, token uuid, result jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_store    ordak.stores;
  v_product  jsonb;
  v_failures jsonb := '[]';
begin
  select * into strict v_store from ordak.stores as s where s.code = finish_fetch_products.store;
  for v_product in
    select p from jsonb_array_elements(result -> 'products') as p order by (p ->> 'product_id')::bigint
  loop
    begin
      perform ordak.take_product(v_store, v_product, true);
    exception when others then
      v_failures := v_failures || jsonb_build_object(
        'key', v_product ->> 'product_id', 'error', format('the database failed (%s)', sqlstate));
    end;
  end loop;
  perform ordak.finish_rows(token, v_failures);
end
$$;
