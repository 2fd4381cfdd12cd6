-- Pushes: what is being told to Shopify of what it is owed, and what became of it (see docs/sync.md).
--
-- A push is written down before it is sent, byte for byte, under a key that Shopify knows it by: sent again it is the
-- same push. Whoever learns what became of it counts it in E, once, whoever sent it.

-- push_batches: a push of up to 250 differences of one store.
create table ordak.push_batches (
  -- The idempotency key, and the token of the rows that it is about. Random: derived from what is sent it would have
  -- Shopify pass over a second push of as much.
  key       uuid primary key,
  store     text        not null,
  -- The variables of the call, as they are sent.
  variables text        not null,
  -- Uncertain: nobody will ever know whether Shopify took it.
  state     text        not null default 'open',
  -- How often it was sent and nobody knows what became of it.
  sends     int         not null default 1,
  opened_at timestamptz not null default now(),
  sent_at   timestamptz not null default now(),
  closed_at timestamptz,
  note      text,

  constraint push_batches_store_fkey foreign key (store) references ordak.stores (code),
  constraint push_batches_state_word check (state in ('open', 'applied', 'void', 'uncertain')),
  constraint push_batches_closed     check ((state = 'open') = (closed_at is null))
);
create index push_batches_store_idx on ordak.push_batches (store, opened_at);
create unique index push_batches_open_key on ordak.push_batches (store) where state = 'open';
create index push_batches_closed_idx on ordak.push_batches (closed_at) where closed_at is not null;
alter table ordak.push_batches enable row level security;


-- push_items: the differences of a push.
create table ordak.push_items (
  id       bigint generated always as identity primary key,
  batch    uuid   not null,
  -- Its place in the call, by which Shopify names it in errors.
  position int    not null,
  listing  bigint not null,
  delta    bigint not null,

  constraint push_items_batch_fkey   foreign key (batch) references ordak.push_batches (key) on delete cascade,
  constraint push_items_listing_fkey foreign key (listing) references ordak.listings (id),
  constraint push_items_position_key unique (batch, position),
  constraint push_items_listing_key  unique (batch, listing),
  constraint push_items_delta        check (delta <> 0)
);
create index push_items_listing_idx on ordak.push_items (listing);
alter table ordak.push_items enable row level security;


-- key_life: for how long a push can be sent again under its key, which Shopify keeps for 24 hours.
create function ordak.key_life() returns interval
language sql immutable set search_path = '' as $$
  select interval '20 hours'
$$;


-- push_variables: the variables of the call that tells a shop of these debts, in their order.
create function ordak.push_variables(key uuid, debts ordak.debt[]) returns text
language sql stable set search_path = '' as $$
  select jsonb_build_object('key', key, 'input', jsonb_build_object(
    'name', 'available', 'reason', 'correction', 'referenceDocumentUri', 'ordak://push/' || key,
    'changes', jsonb_agg(jsonb_build_object(
      'inventoryItemId', 'gid://shopify/InventoryItem/' || g.inventory_item_id,
      'locationId', 'gid://shopify/Location/' || g.location_id,
      'delta', d.owed, 'changeFromQuantity', null) order by d.position)))::text
  from unnest(debts) with ordinality as d (listing, store, ats, owed, position)
  join ordak.listings as g on g.id = d.listing
$$;


-- push_work: a push as a worker is given it.
create function ordak.push_work(batch ordak.push_batches) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('work', 'push', 'token', batch.key, 'key', batch.key, 'variables', batch.variables)
$$;


-- resend_push: the store's open push, to be sent once more as it is; null where there is none.
create function ordak.resend_push(store text) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_batch ordak.push_batches;
begin
  update ordak.push_batches as b set sends = b.sends + 1, sent_at = now()
  where b.store = resend_push.store and b.state = 'open' returning * into v_batch;
  return case when found then ordak.push_work(v_batch) end;
end
$$;


-- claim_push: the store's open push, else a new one of what it is owed; null where it is owed nothing.
create function ordak.claim_push(store text, token uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_work     jsonb := ordak.resend_push(store);
  v_listings bigint[];
  v_debts    ordak.debt[];
begin
  while v_work is null loop
    -- The push has the lease, for as long as it may be open: whoever sends it.
    v_listings := array(
      select r.key::bigint from ordak.claim_rows('inventory_push', store, token, 250, ordak.key_life()) as r);
    exit when v_listings = '{}';
    -- A statement of its own: it sees what was committed with the last mark. No listing is locked: whoever changes one
    -- now marks it, and waits for us where its row is claimed.
    v_debts := array(select o from ordak.owed(v_listings) as o where o.owed <> 0 order by o.listing);
    perform ordak.drop_rows(token, v_listings, array(select d.listing from unnest(v_debts) as d));
    if v_debts <> '{}' then
      v_work := ordak.open_push(store, token, v_debts);
    end if;
  end loop;
  return v_work;
end
$$;


-- drop_rows: ends rows that were claimed for a push whose listings are owed nothing. A listing that is to be based anew
-- keeps its row, and what it knows of losses, until then.
create function ordak.drop_rows(token uuid, listings bigint[], owed bigint[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_left constant bigint[] := array(select l from unnest(listings) as l except select l from unnest(owed) as l);
begin
  if v_left <> '{}' then
    perform ordak.release_rows(token, array_agg(g.id::text), now() + interval '30 seconds')
    from ordak.listings as g
    where g.id = any (v_left) and g.enabled and g.based_at is null and ordak.is_tracked(g.store) having count(*) > 0;
    perform ordak.end_rows(token, v_left::text[]);
  end if;
end
$$;


-- open_push: writes down a push of debts, before it is sent.
create function ordak.open_push(store text, key uuid, debts ordak.debt[]) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_batch ordak.push_batches;
begin
  insert into ordak.push_batches (key, store, variables)
  values (open_push.key, open_push.store, ordak.push_variables(open_push.key, debts)) returning * into v_batch;
  insert into ordak.push_items (batch, position, listing, delta)
  select v_batch.key, d.position - 1, d.listing, d.owed
  from unnest(debts) with ordinality as d (listing, store, ats, owed, position);
  return ordak.push_work(v_batch);
end
$$;


-- close_push: moves a push from open, and has E say so; false where somebody else has. Its rows are the caller's to
-- end.
--
-- The listings are locked first: whoever changes one has either seen the push open, and what they changed is seen here,
-- or waits and sees it closed. So what is still owed afterwards is asked by somebody.
create function ordak.close_push(key uuid, state text, note text, at timestamptz default null) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_listings constant bigint[] := ordak.pushed_listings(key);
begin
  perform ordak.lock_listings(v_listings);
  update ordak.push_batches as b set state = close_push.state, note = left(close_push.note, 500), closed_at = now()
  where b.key = close_push.key and b.state = 'open';
  if not found then
    return false;
  elsif state = 'applied' then
    insert into ordak.listing_effects (listing, kind, source_id, counted, delta, shopify_at)
    select i.listing, 'push', i.id, i.delta, i.delta, coalesce(at, now())
    from ordak.push_items as i where i.batch = close_push.key;
  elsif state = 'uncertain' then
    -- Owed nothing until their levels are read: to push them again could tell Shopify twice.
    update ordak.listings as g set based_at = null where g.id = any (v_listings);
    perform ordak.mark_all('base_listing', array_agg(g.store), array_agg(g.id::text))
    from ordak.listings as g where g.id = any (v_listings) and g.enabled;
  end if;
  return true;
end
$$;


-- pushed_listings: the listings of a push, in the order in which they are locked.
create function ordak.pushed_listings(key uuid) returns bigint[]
language plpgsql stable set search_path = '' as $$
begin
  return array(select i.listing from ordak.push_items as i where i.batch = key order by i.listing);
end
$$;


-- apply_push: Shopify took a push. Answers how many listings were told; 0 where that was known.
create function ordak.apply_push(key uuid, at timestamptz) returns int
language plpgsql set search_path = '' as $$
declare
  v_listings constant bigint[] := ordak.pushed_listings(key);
begin
  if not ordak.close_push(key, 'applied', null, at) then
    return 0;
  end if;
  perform ordak.lock_rows(key);
  delete from ordak.work_queue as w
  where w.lease_token = apply_push.key and w.version = w.claimed_version
    and w.key <> all (array(select o.listing::text from ordak.owed(v_listings) as o where o.owed <> 0));
  -- What changed meanwhile waits. How often it did is not known: while a push is open, nothing is marked.
  update ordak.work_queue as w set run_at = ordak.next_push(w.key::bigint, 1)
  where w.lease_token = apply_push.key;
  perform ordak.renew_rows(key);
  return cardinality(v_listings);
end
$$;


-- reject_push: Shopify took nothing of a push, and says which of its differences are why. The others are sent again at
-- once, in another push. False where it names none, or that push was closed.
--
-- errors  [{index, code, message}]
create function ordak.reject_push(key uuid, errors jsonb) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_named    text[];
  v_refused  text[];
  v_reasons  text[];
  -- What no repetition changes.
  v_permanent constant text[] := '{ITEM_NOT_STOCKED_AT_LOCATION,NON_MUTABLE_INVENTORY_ITEM,INVALID_INVENTORY_ITEM,
                                   INVALID_LOCATION}';
begin
  if not ordak.close_push(key, 'void', 'rejected') then
    return false;
  end if;
  select array_agg(f.listing), array_agg(f.reason), array_agg(f.listing) filter (where f.permanent)
  into v_named, v_reasons, v_refused
  from (
    select i.listing::text as listing, bool_or(e.code = any (v_permanent)) as permanent,
           string_agg(format('%s: %s', e.code, e.message), '; ') as reason
    from jsonb_to_recordset(errors) as e (index int, code text, message text)
    join ordak.push_items as i on i.batch = key and i.position = e.index
    group by i.listing
  ) as f;
  perform ordak.refuse_listing(f.listing::bigint, left(f.reason, 500))
  from unnest(v_named, v_reasons) as f (listing, reason) where f.listing = any (v_refused);
  perform ordak.count_work(b.store, 0, coalesce(cardinality(v_refused), 0))
  from ordak.push_batches as b where b.key = reject_push.key;
  perform ordak.lock_rows(key);
  perform ordak.end_rows(key, v_refused);
  perform ordak.fail_rows(key, v_named, v_reasons);
  if v_named is not null then
    perform ordak.release_rows(key, null, now());
  else
    perform ordak.lose_rows(key, coalesce(errors -> 0 ->> 'code', 'rejected for no reason'), true);
  end if;
  return v_named is not null;
end
$$;


-- doubt_push: nobody will know what became of a push: the levels of its listings are read anew before more is pushed.
create function ordak.doubt_push(key uuid, reason text, blame boolean) returns void
language plpgsql set search_path = '' as $$
begin
  if ordak.close_push(key, 'uncertain', reason) then
    perform ordak.lose_rows(key, reason, blame);
  end if;
end
$$;


-- give_up_pushes: doubts the open pushes of stores where nobody knows after three sends what became of it, or Shopify
-- will soon have forgotten its key and would take it once more. False where there is none.
create function ordak.give_up_pushes(stores text[]) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_keys constant uuid[] := array(
    select b.key from ordak.push_batches as b
    where b.store = any (stores) and b.state = 'open' and (b.sends >= 3 or b.opened_at < now() - ordak.key_life())
    order by b.key);
begin
  if v_keys = '{}' then
    return false;
  end if;
  -- Those of all before the rows of any.
  perform ordak.lock_listings(array(select i.listing from ordak.push_items as i where i.batch = any (v_keys)));
  perform ordak.doubt_push(b.key, case when b.sends >= 3 then 'sent three times without an answer'
                                       else 'open for 20 hours' end, b.sends >= 3)
  from ordak.push_batches as b where b.key = any (v_keys);
  return true;
end
$$;


-- unsend_push: a push that was sent certainly did not happen: that does not count as a send.
create function ordak.unsend_push(key uuid) returns void
language plpgsql set search_path = '' as $$
begin
  update ordak.push_batches as b set sends = b.sends - 1 where b.key = unsend_push.key and b.state = 'open';
end
$$;
