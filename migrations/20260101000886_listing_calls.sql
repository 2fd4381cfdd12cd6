-- Listings: which items a shop shows, what it was found to show, and what it is owed.

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
  -- All that follows from it at once, in their order.
  perform ordak.lock_touched(array[v_item.id]);
  insert into ordak.listings as g (item, store, inventory_item_id, location_id, variant_id, enabled)
  values (v_item.id, store, inventory_item_id, location_id, variant_id, enabled)
  on conflict on constraint listings_item_key do update set
    inventory_item_id = excluded.inventory_item_id, location_id = excluded.location_id,
      variant_id = excluded.variant_id,
    enabled = excluded.enabled, disabled_reason = null,
    -- What another level shows must be read first, and what Shopify has counted since it refused the listing.
    based_at = case when (g.inventory_item_id, g.location_id) = (excluded.inventory_item_id, excluded.location_id)
      and g.disabled_reason is null then g.based_at end
  where (g.inventory_item_id, g.location_id, g.variant_id, g.enabled, g.disabled_reason) is distinct from
        (excluded.inventory_item_id, excluded.location_id, excluded.variant_id, excluded.enabled, null)
  returning g.id into v_id;
  if v_id is null then
    return (select ordak.listing_change(false, g.id) from ordak.listings as g where (g.item, g.store) = (v_item.id,
      set_listing.store));
  end if;
  perform ordak.mark_listings(array[v_item.id]);
  -- One that is being read may be that of what it was before; one that was given up is worth another try.
  perform ordak.mark('base_listing', w.store, w.key)
  from ordak.listings as g join ordak.work_queue as w on (w.topic, w.store, w.key) = ('base_listing', g.store, g.id::text)
  where g.id = v_id and g.based_at is null;
  perform ordak.resolve_alert('listing_ambiguous', store, sku);
  if not enabled then
    -- A person has decided.
    perform ordak.resolve_alert(k, store, v_id::text) from unnest('{stock_drift,listing_refused}'::text[]) as k;
  end if;
  perform ordak.audit(v_me.id, l.store, 'set_listing', l.sku, null, to_jsonb(l))
    from ordak.listings_of(array[v_id]) as l;
  return ordak.listing_change(true, v_id);
end
$$;
grant execute on function api.set_listing(text, text, bigint, bigint, bigint, boolean) to authenticated;
comment on function api.set_listing(text, text, bigint, bigint, bigint, boolean) is $$
Says as what an item is sold in a shop. Nothing is sent there before its level has been read, which the schedule has done.

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


create function api.rebase_listing(listing_id bigint) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_listing ordak.listings;
  v_me      ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin');
  select * into v_listing from ordak.listings as g where g.id = listing_id for no key update;
  if not found then
    perform ordak.fail('INV002', 'expected the id of a listing, but found another', 'see list_listings');
  end if;
  perform ordak.require_store(v_me, v_listing.store);
  if v_listing.based_at is null then
    return false;
  end if;
  -- The first level is taken as it is.
  update ordak.listings as g set based_at = null where g.id = listing_id;
  perform ordak.mark('base_listing', v_listing.store, listing_id::text);
  perform ordak.audit(v_me.id, v_listing.store, 'rebase_listing', listing_id::text, null, null);
  return true;
end
$$;
grant execute on function api.rebase_listing(bigint) to authenticated;
comment on function api.rebase_listing(bigint) is $$
Has a listing's level read anew and taken as it is, however far it is from what Shopify must show: a person has looked why,
as the alert stock_drift asks. What it differs by stands in drift_report and is pushed back.

listing_id  which one
returns     true; false where its level is waited for already
raises      AUTH001; AUTH002 not an Admin of its store; INV002 no such listing
role        Admin
example     {"listing_id": 1}
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
