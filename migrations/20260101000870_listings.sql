-- Listings: what is sold of an item in a shop, what Shopify must show there, and what it is owed (see docs/stock.md).
--
-- E is what Shopify must show given every event of its own that we know of and every push that it took; A is what can
-- be sold, with its sign. A − E is owed, and a listing that is owed something is marked in the transaction that made
-- it so.

create table ordak.listings (
  id                bigint generated always as identity primary key,
  item              bigint      not null,
  store             text        not null,
  -- As Shopify names it, at its one location that we manage.
  inventory_item_id bigint      not null,
  location_id       bigint      not null,
  -- The variant that is sold; null where all that the item matches is this one.
  variant_id        bigint,
  enabled           boolean     not null default true,
  -- Why it is not, where Shopify refused it.
  disabled_reason   text,
  -- When its level was last read; what happened up to then is in the level. Null until the first time.
  based_at          timestamptz,
  -- E, once it is based: always the sum of its listing_effects.
  expected          bigint      not null default 0,
  created_at        timestamptz not null default now(),

  constraint listings_item_fkey       foreign key (item) references ordak.items (id),
  constraint listings_store_fkey      foreign key (store) references ordak.stores (code),
  constraint listings_item_key        unique (item, store),
  -- Two listings of one level would each push their own difference.
  constraint listings_level_key       unique (store, inventory_item_id, location_id),
  constraint listings_disabled_reason check (disabled_reason is null or not enabled)
);
alter table ordak.listings enable row level security;


-- listing_effects: what has changed E, each once. Append-only: E is their sum.
create table ordak.listing_effects (
  id         bigint generated always as identity primary key,
  listing    bigint      not null,
  -- sold and refund come from Shopify's orders, push from us, drift from a level that was read.
  kind       text        not null,
  -- Shopify's id of the line or the refund line; the push; the level.
  source_id  bigint      not null,
  -- How many pieces of the source are counted with this one: a line that grows counts once more.
  counted    bigint      not null,
  -- What it adds to E: nothing, where the level held it already that was read after it.
  delta      bigint      not null,
  shopify_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp(),

  constraint listing_effects_listing_fkey foreign key (listing) references ordak.listings (id),
  constraint listing_effects_source_key   unique (listing, kind, source_id, counted),
  constraint listing_effects_kind_word    check (kind in ('sold', 'refund', 'push', 'drift'))
);
create index listing_effects_drift_idx on ordak.listing_effects (id) where kind = 'drift';
create index listing_effects_at_idx on ordak.listing_effects (listing, shopify_at);
alter table ordak.listing_effects enable row level security;
create trigger listing_effects_append_only before update or delete or truncate on ordak.listing_effects
  for each statement execute function ordak.refuse_change();


-- sum_effects: the one way in which E changes.
create function ordak.sum_effects() returns trigger
language plpgsql set search_path = '' as $$
begin
  update ordak.listings as g set expected = g.expected + a.delta
  from (select listing, sum(delta) as delta from added group by listing) as a
  where g.id = a.listing and a.delta <> 0;
  return null;
end
$$;
create trigger listing_effects_sum after insert on ordak.listing_effects
  referencing new table as added for each statement execute function ordak.sum_effects();


-- lock_listings: locks listings in ascending order.
create function ordak.lock_listings(listings bigint[]) returns void
language plpgsql set search_path = '' as $$
begin
  perform from ordak.listings as g where g.id = any (listings) order by g.id for no key update;
end
$$;


-- lock_touched: locks the listings of items and of what is made of them, in ascending order, and says which they are.
--
-- Whoever changes what can be sold of them, or what Shopify must show, has them locked when they compare the two, so
-- that of two who each change a part the second sees the whole. What they compare they must read in a later statement:
-- it sees what whoever had the lock before has changed.
create function ordak.lock_touched(items bigint[]) returns bigint[]
language plpgsql set search_path = '' as $$
declare
  v_touched constant bigint[] := array(
    select unnest(items) union select b.product from ordak.bom_lines as b where b.item = any (items));
begin
  return array(select g.id from ordak.listings as g where g.item = any (v_touched) order by g.id for no key update);
end
$$;


create type ordak.debt as (listing bigint, store text, ats bigint, owed bigint);

-- owed: what Shopify is owed of these listings; those that are not enabled, not based, or in a store whose stock is not
-- counted, are owed nothing and left out.
create function ordak.owed(listings bigint[]) returns setof ordak.debt
language plpgsql stable rows 20 set search_path = '' as $$
begin
  return query
    with asked as materialized (
      select g.* from ordak.listings as g
      join ordak.settings as s on s.store = g.store and s.inventory_tracking
      where g.id = any (listings) and g.enabled and g.based_at is not null
    )
    select g.id, g.store, a.ats::bigint, a.ats::bigint - g.expected
    from asked as g
    join ordak.ats(array(select item from asked), array(select store from asked)) as a on a.item = g.item
      and a.store = g.store
    where a.ats is not null;
end
$$;


-- next_push: when a listing can be pushed that has changed so often since it last was; null where it never was. Each
-- change has it wait for a fifth of the window more, up to the whole: what changes now and then is pushed at once, and a
-- burst of orders makes a push for each window.
create function ordak.next_push(listing bigint, changes bigint) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (
    select e.created_at + (select s.push_window * least(changes, 5) / 5 from ordak.sync_settings as s)
    from ordak.listing_effects as e where e.listing = next_push.listing and e.kind = 'push'
    order by e.source_id desc limit 1);
end
$$;


-- mark_owed: marks those of listings, locked by the caller, that Shopify is owed something of. What an open push is about
-- waits for its end, when this is asked again.
create function ordak.mark_owed(listings bigint[]) returns void
-- By index, also where a session planned it when the queue was empty, as a plan is kept.
language plpgsql set search_path = '' set enable_seqscan = off as $$
declare
  v_waiting bigint[];
begin
  -- What waits in the queue already will be compared there: no need to compare it now, but to say that it has changed.
  with waiting as (
    update ordak.work_queue as w
    set version = w.version + 1,
        -- What is due is not put off.
        run_at = case when w.run_at <= now() then w.run_at
                      else greatest(w.run_at, ordak.next_push(
                        w.key::bigint, w.version + 1 - coalesce(w.claimed_version, 0))) end
    where w.key = any (listings::text[])
      -- In brackets no other index fits: all that waits may be much.
      and (w.topic = 'inventory_push' and w.state = 'ready') is true
    returning w.key::bigint as id
  )
  select array_agg(w.id) into v_waiting from waiting as w;
  if v_waiting is not null then
    perform ordak.note_dirt();
  end if;
  perform ordak.mark_all('inventory_push', array_agg(o.store), array_agg(o.listing::text),
                         array_agg(greatest(ordak.next_push(o.listing, 1), now())))
  from ordak.owed(array(select unnest(listings) except select unnest(v_waiting))) as o
  where o.owed <> 0 and not exists (
    select from ordak.push_batches as b join ordak.push_items as i on i.batch = b.key
    where b.store = o.store and b.state = 'open' and i.listing = o.listing);
end
$$;


-- mark_listings: marks what Shopify is owed something of, of the listings that these items touch; called where what is
-- there of them, or what Shopify must show, has changed.
create function ordak.mark_listings(items bigint[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_listings constant bigint[] := ordak.lock_touched(items);
begin
  if v_listings <> '{}' then
    perform ordak.mark_owed(v_listings);
  end if;
end
$$;


-- refund_margin: how long before a level's time a refund may be dated that came after the level was read: times are in whole
-- seconds, and the level's is that of Shopify's answer, which took a moment.
create function ordak.refund_margin() returns interval
language sql immutable set search_path = '' as $$
  select interval '2 seconds'
$$;


-- count_effects: counts in E what Shopify itself has counted of an order: what was sold, and what refunds put back at
-- the location that we manage. What was known when the level was last read counts nothing any more. The caller has
-- locked the listings of the items.
create function ordak.count_effects(v_order ordak.orders, matches ordak.match[]) returns void
language plpgsql set search_path = '' as $$
begin
  if v_order.source <> 'shopify' then
    return;
  end if;
  insert into ordak.listing_effects (listing, kind, source_id, counted, delta, shopify_at)
  select g.id, e.kind, e.source_id, e.counted,
         case when e.at <= g.based_at and (e.kind = 'sold' or e.at < g.based_at - ordak.refund_margin()) then 0
              else e.delta end, e.at
  from unnest(matches) as m
  join ordak.listings as g on g.item = m.item and g.store = v_order.store
  join ordak.order_lines as l on l.id = m.line_key and (g.variant_id is null or g.variant_id = l.variant_id)
  cross join lateral (
    -- A line that came later to an order counts as old too: taken for new it would raise what Shopify shows.
    select 'sold' as kind, l.line_id as source_id, l.quantity::bigint as counted, s.sold - l.quantity as delta,
           case when s.sold = 0 then v_order.placed_at
                else coalesce(v_order.shopify_updated_at, v_order.placed_at) end as at
    from (
      select coalesce(max(e.counted), 0) as sold from ordak.listing_effects as e
      where e.listing = g.id and e.kind = 'sold' and e.source_id = l.line_id
    ) as s
    where l.line_id is not null and l.quantity > s.sold and (not v_order.pos or v_order.location_id = g.location_id)
    union all
    select 'refund', r.refund_line_id, r.quantity, r.quantity, r.refunded_at
    from ordak.refund_lines as r
    where r.store = v_order.store and r.shopify_order_id = v_order.shopify_order_id and r.line_id = l.line_id
      and r.restock_type in ('cancel', 'return', 'legacy_restock') and r.quantity > 0
      and coalesce(r.location_id, g.location_id) = g.location_id
  ) as e
  on conflict on constraint listing_effects_source_key do nothing;
end
$$;
