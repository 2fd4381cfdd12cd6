-- Levels: what a level that was read at Shopify means: the base check (see docs/sync.md).
--
-- A level is read at an instant, and what happened up to then may reach us later. It waits therefore, until every order
-- up to that instant is here; only then it is compared with what Shopify must show.

-- level_reads: the base check of a listing that is under way: first asked for, then read, then waiting.
create table ordak.level_reads (
  listing         bigint      primary key,
  store           text        not null,
  asked_at        timestamptz not null,
  level           bigint,
  -- How many pieces Shopify keeps aside: damaged, reserved, safety stock or for quality control.
  set_aside       bigint,
  -- By Shopify's clock, which also dates what is sold and refunded.
  read_at         timestamptz,
  -- The last effect when it was read: a push with a higher id came after it.
  effects_through bigint,
  -- When it may be compared, by our clock, as soon as orders are listed up to then; null until it is read.
  due_at          timestamptz,

  constraint level_reads_listing_fkey foreign key (listing) references ordak.listings (id),
  constraint level_reads_store_fkey   foreign key (store) references ordak.stores (code),
  constraint level_reads_whole        check (num_nulls(level, set_aside, read_at, effects_through, due_at) in (0, 5))
);
create index level_reads_store_idx on ordak.level_reads (store, due_at);
alter table ordak.level_reads enable row level security;


-- What waits for its first level, for the schedule.
create index listings_unbased_idx on ordak.listings (store) where based_at is null and enabled;


-- refuse_listing: stops telling Shopify of a listing that it refuses for good, and asks a person.
create function ordak.refuse_listing(listing bigint, reason text) returns void
language plpgsql set search_path = '' as $$
declare
  v_sku   text;
  v_store text;
begin
  update ordak.listings as g set enabled = false, disabled_reason = reason
  where g.id = refuse_listing.listing and g.enabled
  returning g.store, (select i.sku from ordak.items as i where i.id = g.item) into v_store, v_sku;
  if found then
    perform ordak.alert('listing_refused', v_store, listing::text,
      format('Shopify takes no stock of %s: %s; correct it there, then set_listing with enabled true', v_sku, reason));
  end if;
end
$$;


-- after_read: what E has gained since a level was read at an instant. Shopify's clock has whole seconds: of what
-- happened in the same one, a sale is taken to be in the level and a refund not (see refund_margin), which can only make
-- Shopify show too little. A drift is nothing that happened there.
--
-- effects_through  the last effect when it was read: pushes of later ones came after it
create function ordak.after_read(listing bigint, read_at timestamptz, effects_through bigint) returns bigint
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(sum(e.delta), 0) from ordak.listing_effects as e
    where e.listing = after_read.listing
      -- What is much older came before, whatever the clocks say: years of it are not read.
      and e.shopify_at > after_read.read_at - interval '1 day'
      and case e.kind
      when 'sold'   then e.shopify_at > after_read.read_at
      when 'refund' then e.shopify_at >= after_read.read_at - ordak.refund_margin()
      when 'push'   then e.id > after_read.effects_through
      else false end);
end
$$;


-- rebase: has a listing, which the caller has locked, expect a level that was read, and what happened after it.
create function ordak.rebase(listing ordak.listings, level bigint, drift bigint, read_at timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if drift <> 0 then
    insert into ordak.listing_effects (listing, kind, source_id, counted, delta, shopify_at)
    values (listing.id, 'drift', (extract(epoch from clock_timestamp()) * 1000000)::bigint, level, drift, read_at);
  end if;
  update ordak.listings as g set based_at = read_at where g.id = listing.id;
  -- Where nothing has changed, what was given up stays so: it was read because nobody knew what became of the last try.
  if drift <> 0 or not exists (
    select from ordak.work_queue as w
    where (w.topic, w.store, w.key) = ('inventory_push', listing.store, listing.id::text) and w.state = 'dead') then
    perform ordak.mark_owed(array[listing.id]);
  end if;
end
$$;


-- take_level_read: what follows from a level that was read: the listing is based, its drift healed, or a person told.
-- Nothing where a later level was read before, or where nobody keeps what Shopify must show, for the store's stock is not
-- counted.
--
-- threshold        how far Shopify may show too much before a person decides
-- set_aside        how many pieces Shopify keeps there as damaged, reserved, safety stock or for quality control
-- effects_through  see after_read
create function ordak.take_level_read(
  listing_id bigint, level bigint, read_at timestamptz, threshold bigint, set_aside bigint, effects_through bigint
) returns void
language plpgsql set search_path = '' as $$
declare
  v_listing ordak.listings;
  v_drift   bigint;
begin
  select * into strict v_listing from ordak.listings as g where g.id = listing_id for no key update;
  if read_at <= v_listing.based_at or not ordak.is_tracked(v_listing.store) then
    return;
  end if;
  v_drift := level - v_listing.expected + ordak.after_read(listing_id, read_at, effects_through);
  if v_listing.based_at is not null and (v_drift > threshold or v_drift <> 0 and set_aside > 0) then
    perform ordak.alert('stock_drift', v_listing.store, listing_id::text,
      format('Shopify shows %s more than it should: find out why, then call rebase_listing', v_drift));
    return;
  end if;
  perform ordak.rebase(v_listing, level, v_drift, read_at);
  perform ordak.resolve_alert(k, v_listing.store, listing_id::text) from unnest('{stock_drift,listing_refused}'::text[]) as k;
end
$$;


-- recheck_levels: has the base check look at listings of which Shopify said some time ago that it has another level than
-- it must, and has not said since that it is right. Most of these were early: what they told of came right after. Where a
-- check is under way already, its outcome is waited for: to begin it anew each time would never end it.
create function ordak.recheck_levels() returns void
language plpgsql set search_path = '' as $$
declare
  v_listings bigint[];
begin
  select array_agg(g.id) into v_listings
  from ordak.levels_seen as s
  join ordak.listings as g
    on (g.store, g.inventory_item_id, g.location_id) = (s.store, s.inventory_item_id, s.location_id)
  where s.check_at <= now() and g.enabled and g.based_at is not null and s.available is distinct from g.expected;
  update ordak.levels_seen as s
  set check_at = case when exists (
    select from ordak.listings as g
    join ordak.work_queue as w on (w.topic, w.store, w.key) = ('base_listing', g.store, g.id::text) and w.state <> 'dead'
    where (g.store, g.inventory_item_id, g.location_id) = (s.store, s.inventory_item_id, s.location_id)
  ) then now() + (select t.base_wait from ordak.sync_settings as t) end
  where s.check_at <= now();
  perform ordak.mark_base(v_listings);
end
$$;


-- mark_base: has the base check look at listings, but for those that it looks at already.
create function ordak.mark_base(listings bigint[]) returns void
language plpgsql set search_path = '' as $$
begin
  perform ordak.mark_all('base_listing', array_agg(g.store), array_agg(g.id::text))
  from ordak.listings as g
  where g.id = any (listings) and not exists (
    select from ordak.work_queue as w
    where (w.topic, w.store, w.key) = ('base_listing', g.store, g.id::text) and w.state <> 'dead');
end
$$;
