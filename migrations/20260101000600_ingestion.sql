-- Ingestion: what Shopify delivers becomes orders, refunds, products, or a dead letter, each in one transaction.
--
-- Deliveries come late, twice, out of order and under wrong headers. Whatever the order among them, what is kept in the
-- end is the same: the newest body wins, refunds and cancellation are never taken back, and what people did stays.

create table ordak.dead_letters (
  id          bigint generated always as identity primary key,
  -- What callers name it by.
  letter_id   uuid        not null default gen_random_uuid(),
  store       text        not null,
  topic       text        not null,
  reason      text        not null,
  -- The raw body, until it is purged.
  body        bytea,
  body_sha256 bytea       not null,
  -- What the function had made of the body, where it could read it.
  content     jsonb,
  -- Shopify's id of the order that it is about, where it names one: it can be fetched, whether or not the body can be read.
  shopify_order_id bigint,
  -- When it came last. By the clock: several of one transaction would else be one place in the list.
  received_at timestamptz not null default clock_timestamp(),
  replayed_at timestamptz,

  constraint dead_letters_letter_id_key unique (letter_id),
  constraint dead_letters_store_fkey    foreign key (store) references ordak.stores (code),
  -- Once for each body, however often it is delivered and under whatever id.
  constraint dead_letters_body_key      unique (store, topic, body_sha256)
);
create index dead_letters_received_idx on ordak.dead_letters (received_at);
create index dead_letters_store_idx on ordak.dead_letters (store, received_at);
create index dead_letters_body_idx on ordak.dead_letters (received_at) where body is not null;
alter table ordak.dead_letters enable row level security;
comment on table ordak.dead_letters is 'Signed deliveries that cannot be taken, with the reason, for a person';

create table ordak.webhook_deliveries (
  id           bigint generated always as identity primary key,
  store        text        not null,
  topic        text        not null,
  webhook_id   text        not null,
  -- A keyed digest of the body, which alone is signed: store, topic and id are headers.
  body_digest  text        not null,
  outcome      text        not null,
  order_key    bigint,
  dead_letter  bigint,
  event_id     text,
  triggered_at timestamptz,
  api_version  text,
  received_at  timestamptz not null default now(),

  constraint webhook_deliveries_store_fkey       foreign key (store) references ordak.stores (code),
  constraint webhook_deliveries_order_fkey       foreign key (order_key) references ordak.orders (id),
  constraint webhook_deliveries_dead_letter_fkey foreign key (dead_letter) references ordak.dead_letters (id),
  -- All four: a delivery with another header must not pass for this one and be lost.
  constraint webhook_deliveries_key              unique (store, topic, webhook_id, body_digest),
  constraint webhook_deliveries_outcome_word     check (outcome in (
    'created', 'updated', 'skipped', 'recorded', 'ignored', 'rejected'))
);
create index webhook_deliveries_order_key_idx on ordak.webhook_deliveries (order_key);
create index webhook_deliveries_dead_letter_idx on ordak.webhook_deliveries (dead_letter);
create index webhook_deliveries_received_idx on ordak.webhook_deliveries (received_at);
alter table ordak.webhook_deliveries enable row level security;

-- levels_seen: what Shopify last said that it has of something, for the base check. It never sets what is owed: such a
-- delivery overtakes orders and is assembled late.
create table ordak.levels_seen (
  store              text        not null,
  inventory_item_id  bigint      not null,
  location_id        bigint      not null,
  -- Null where the item is not stocked at the location.
  available          bigint,
  shopify_updated_at timestamptz not null,
  seen_at            timestamptz not null default now(),
  -- When it is compared again, where it is not what Shopify must show: what it tells of may be on its way.
  check_at           timestamptz,

  constraint levels_seen_pkey       primary key (store, inventory_item_id, location_id),
  constraint levels_seen_store_fkey foreign key (store) references ordak.stores (code)
);
create index levels_seen_check_idx on ordak.levels_seen (check_at) where check_at is not null;
alter table ordak.levels_seen enable row level security;


-- store_of: the store that a delivery is from.
--
-- The shop domain is a header and not signed. Where a store's own secret signed the body, that store it is,
-- and a header that says otherwise is refused. Raises AUTH001 for a domain that we do not know.
create function ordak.store_of(delivery jsonb) returns ordak.stores
language plpgsql stable set search_path = '' as $$
declare
  v_store ordak.stores;
begin
  select * into v_store from ordak.stores where shop_domain = delivery ->> 'shop_domain';
  if not found then
    perform ordak.fail('AUTH001', 'expected the domain of a store of ours, but found another',
                       'add the store''s row, or correct its shop_domain');
  elsif v_store.code is distinct from coalesce(delivery ->> 'secret_store', v_store.code) then
    perform ordak.fail('AUTH001', 'expected the secret of the store that the domain names, but found another store''s');
  end if;
  return v_store;
end
$$;


-- record_delivery: remembers a delivery; null where it is known already.
--
-- A copy that arrives while the first is still being stored waits here for that one's commit: if it
-- commits, the copy is known; if not, the copy takes its place.
create function ordak.record_delivery(store text, delivery jsonb, outcome text) returns bigint
language sql set search_path = '' as $$
  insert into ordak.webhook_deliveries (
    store, topic, webhook_id, body_digest, outcome, event_id, triggered_at, api_version
  )
  select
    record_delivery.store, left(delivery ->> 'topic', 100), left(delivery ->> 'webhook_id', 255),
    delivery ->> 'body_digest', record_delivery.outcome, left(delivery ->> 'event_id', 255),
    -- A header, so anything may stand there; it is for measuring only.
    case when pg_input_is_valid(delivery ->> 'triggered_at', 'timestamptz')
         then (delivery ->> 'triggered_at')::timestamptz end,
    left(delivery ->> 'api_version', 32)
  on conflict on constraint webhook_deliveries_key do nothing
  returning id
$$;


-- delivery_answer: what is answered to a delivery that is recorded, whether now or earlier.
create function ordak.delivery_answer(store text, delivery jsonb, repeated boolean) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'store', delivery_answer.store,
    'order_id', o.order_id,
    'status', case when repeated and d.outcome in ('created', 'updated') then 'skipped' else d.outcome end,
    'message', case
      when d.outcome = 'ignored'  then 'this topic is not acted on'
      when d.outcome = 'rejected' then 'kept as a dead letter (SYNC002): ' || l.reason
      when repeated               then 'this delivery was taken before'
      when d.outcome = 'skipped'  then 'this order was there already, in this version or a newer one'
      when d.outcome = 'recorded' then 'taken'
      else 'order ' || d.outcome
    end
  )
  from ordak.webhook_deliveries as d
  left join ordak.orders as o on o.id = d.order_key
  left join ordak.dead_letters as l on l.id = d.dead_letter
  where d.store = delivery_answer.store
    and d.topic = left(delivery_answer.delivery ->> 'topic', 100)
    and d.webhook_id = left(delivery_answer.delivery ->> 'webhook_id', 255)
    and d.body_digest = delivery_answer.delivery ->> 'body_digest'
$$;


-- shown_store: the store that the body of an order shows to be its own, by the first of these that it shows: an order that
-- is known to be a store's, the host of its status page, products that one store alone is shown to have. Null where it
-- shows nothing.
create function ordak.shown_store(store ordak.stores, content jsonb) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_shown text;
  v_known text[];
begin
  select o.store into v_shown from ordak.orders as o
  where o.shopify_order_gid = content ->> 'shopify_order_gid' and 'unproven_store' <> all (o.flags)
    and o.content_sha256 is not null;
  if not found then
    select s.code into v_shown from ordak.stores as s where s.shop_domain = content ->> 'shop_host';
  end if;
  if v_shown is null then
    select array_agg(distinct p.store) into v_known
    from jsonb_array_elements(content -> 'lines') as line
    join ordak.products as p on p.product_id = (line ->> 'product_id')::bigint and p.proven;
    v_shown := case when cardinality(v_known) = 1 then v_known[1] end;
  end if;
  return v_shown;
end
$$;


-- is_proven: whether what Shopify signed shows that an order is this store's. The domain is a header; a body of one
-- store sent under another's must not become that one's order.
--
-- Raises ORD005 where the body shows that it is another store's; false where it shows nothing.
create function ordak.is_proven(store ordak.stores, delivery jsonb, content jsonb) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  v_shown text;
begin
  if delivery ->> 'secret_store' is not null then
    return true;
  end if;
  v_shown := ordak.shown_store(store, content);
  if v_shown <> store.code then
    perform ordak.fail('ORD005', format('expected an order of store %s, but found that its body is of %s',
                                        store.code, v_shown));
  end if;
  return v_shown is not null;
end
$$;


-- order_of: the order that a refund or an edit is of, locked; an empty row where it is not there yet. Raises ORD005 where
-- it stands in another store.
create function ordak.order_of(store ordak.stores, shopify_order_id bigint) returns ordak.orders
language plpgsql set search_path = '' as $$
declare
  v_order ordak.orders;
begin
  perform ordak.lock_shopify_order(store.code, shopify_order_id);
  select * into v_order from ordak.orders as o where o.shopify_order_id = order_of.shopify_order_id for no key update;
  perform ordak.refuse_other_store(store.code, v_order.store);
  return v_order;
end
$$;


-- take_refund: keeps a refund's lines, whether or not its order is there yet, and has the order read again.
create function ordak.take_refund(store ordak.stores, refund jsonb, out outcome text, out order_key bigint)
language plpgsql set search_path = '' as $$
declare
  v_id    constant bigint := (refund ->> 'shopify_order_id')::bigint;
  v_order constant ordak.orders := ordak.order_of(store, v_id);
begin
  order_key := v_order.id;
  outcome := 'recorded';
  if ordak.keep_refunds(store.code, v_id, refund -> 'refund_lines') > 0 and order_key is not null then
    perform ordak.settle_order(order_key, v_order.cancelled_at is null);
    outcome := 'updated';
  end if;
  perform ordak.mark('refetch_order', store.code, v_id::text);
end
$$;


-- take_edit: has an edited order read again: how it was edited, the body does not say.
create function ordak.take_edit(store ordak.stores, edit jsonb, out outcome text, out order_key bigint)
language plpgsql set search_path = '' as $$
declare
  v_id constant bigint := (edit ->> 'shopify_order_id')::bigint;
begin
  order_key := (ordak.order_of(store, v_id)).id;
  outcome := 'recorded';
  perform ordak.mark('refetch_order', store.code, v_id::text);
end
$$;


-- take_product: keeps what Shopify says of a product; what a person said that it is stays.
--
-- proven    whether the store's own secret signed it: the body itself does not say whose product it is
create function ordak.take_product(store ordak.stores, product jsonb, proven boolean) returns void
language sql set search_path = '' as $$
  insert into ordak.products as p (store, product_id, title, kind, image_url, shopify_updated_at, proven)
  values (store.code, (product ->> 'product_id')::bigint, product ->> 'title', product ->> 'kind', product ->> 'image_url',
          (product ->> 'updated_at')::timestamptz, take_product.proven)
  on conflict on constraint products_product_key do update set
    title = excluded.title, image_url = excluded.image_url, shopify_updated_at = excluded.shopify_updated_at,
    kind = case when p.reviewed then p.kind else excluded.kind end, proven = p.proven or excluded.proven
  -- Shopify's clock has whole seconds: of two in one, the same one counts whichever comes first.
  where coalesce((p.shopify_updated_at, p.title, coalesce(p.image_url, ''))
                 < (excluded.shopify_updated_at, excluded.title, coalesce(excluded.image_url, '')), true)
$$;


-- take_level: remembers the level that Shopify says it has, the newest by Shopify's clock; one that is not what Shopify must
-- show of a listing is looked at again when what it tells of must have come.
create function ordak.take_level(store ordak.stores, level jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  insert into ordak.levels_seen as s (store, inventory_item_id, location_id, available, shopify_updated_at, check_at)
  select store.code, v.inventory_item_id, v.location_id, v.available, v.updated_at,
         case when g.id is not null and g.expected is distinct from v.available then now() + (select base_wait from ordak.sync_settings) end
  from jsonb_to_record(level) as v (inventory_item_id bigint, location_id bigint, available bigint, updated_at timestamptz)
  left join ordak.listings as g on g.store = store.code and g.inventory_item_id = v.inventory_item_id
    and g.location_id = v.location_id and g.enabled and g.based_at is not null
  on conflict on constraint levels_seen_pkey do update set
    available = excluded.available, shopify_updated_at = excluded.shopify_updated_at, seen_at = now(),
    -- The earliest: levels that come one after the other must not put it off for ever.
    check_at = case when excluded.check_at is not null then least(s.check_at, excluded.check_at) end
  where (s.shopify_updated_at, coalesce(s.available, -1)) < (excluded.shopify_updated_at, coalesce(excluded.available, -1));
end
$$;


-- take_uninstall: stops a store whose shop has removed our app: its token is void, so nothing can be sent to it.
create function ordak.take_uninstall(store ordak.stores, uninstalled jsonb, body_digest text) returns void
language plpgsql set search_path = '' as $$
begin
  -- The topic is a header: any body that we were sent once could be sent again under it, and would stop the store.
  if uninstalled ->> 'myshopify_domain' is distinct from store.shop_domain then
    perform ordak.fail('ORD005', format('expected the body to name the shop of store %s, but found another or none',
                                        store.code));
  end if;
  -- Nor under another id: a body that stopped the store once must not stop it again after it was resumed.
  if (select count(*) from ordak.webhook_deliveries as d
      where d.store = take_uninstall.store.code and d.topic = 'app/uninstalled'
        and d.body_digest = take_uninstall.body_digest) > 1 then
    return;
  end if;
  update ordak.stores as s set stopped_at = now(), stop_reason = 'the app was uninstalled'
  where s.code = store.code and s.stopped_at is null;
  perform ordak.alert('store_stopped', store.code, store.code,
                      'the app was uninstalled from the shop; install it, then call resume_store');
end
$$;


-- take: does what a delivery's content says.
--
-- content     one field, which names the kind: see ordak-core, order::Content
-- proven      whether what was signed shows that it is the store's
-- body_digest what the delivery is known by beside its id
-- outcome   created, updated, skipped, recorded or ignored
-- Raises ORD004 and ORD005 for what can never be taken.
create function ordak.take(
  store ordak.stores, content jsonb, proven boolean, body_digest text, out outcome text, out order_key bigint
)
language plpgsql set search_path = '' as $$
declare
  v_kind constant text  := case jsonb_typeof(content) when 'string' then content #>> '{}'
                                                      else (select jsonb_object_keys(content)) end;
  v_what constant jsonb := case jsonb_typeof(content) when 'object' then content -> v_kind end;
begin
  outcome := 'recorded';
  case v_kind
    when 'order'       then select * into outcome, order_key from ordak.put_order(store, v_what, proven);
    when 'refund'      then select * into outcome, order_key from ordak.take_refund(store, v_what);
    when 'edit'        then select * into outcome, order_key from ordak.take_edit(store, v_what);
    when 'product'     then perform ordak.take_product(store, v_what, proven);
    when 'level'       then perform ordak.take_level(store, v_what);
    when 'uninstalled' then perform ordak.take_uninstall(store, v_what, body_digest);
    when 'ignored'     then outcome := 'ignored';
  end case;
end
$$;


create function api.ingest(delivery jsonb, content jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_store    ordak.stores;
  v_delivery bigint;
  v_proven   boolean;
begin
  perform ordak.require_service();
  v_store := ordak.store_of(delivery);
  v_delivery := ordak.record_delivery(v_store.code, delivery, 'recorded');
  if v_delivery is not null then
    v_proven := case when content ? 'order' then ordak.is_proven(v_store, delivery, content -> 'order')
                     else delivery ->> 'secret_store' is not null end;
    update ordak.webhook_deliveries as d
    set outcome = t.outcome, order_key = t.order_key
    from ordak.take(v_store, content, v_proven, delivery ->> 'body_digest') as t
    where d.id = v_delivery;
  end if;
  return ordak.with_dirt(ordak.delivery_answer(v_store.code, delivery, v_delivery is null));
end
$$;
grant execute on function api.ingest(jsonb, jsonb) to service_role;
comment on function api.ingest(jsonb, jsonb) is $$
Takes a delivery of Shopify's: an order, a refund, an edit, a product, a level, or a topic that we do not act on.

delivery  see ordak-core, rpc::Delivery
content   one field that names the kind, see ordak-core, order::Content
returns   {store, order_id, status, message}; status is created, updated, skipped (known already, or older than what is
          there), recorded (taken, and no order changed) or ignored; with dirty: true where something is to be pushed now
raises    AUTH001 unknown store; ORD004 data that can never be stored; ORD005 number of another order, or what stands in
          or shows another store
role      service
example   {"delivery": {}, "content": "ignored"}
$$;


-- order_named: Shopify's id of the order that a body is about, of which nothing is known but that it could not be taken;
-- null where it names none, or is no JSON.
create function ordak.order_named(topic text, body bytea) returns bigint
language plpgsql immutable set search_path = '' as $$
declare
  v_body jsonb;
begin
  v_body := convert_from(body, 'UTF8')::jsonb;
  return coalesce(
    v_body #>> '{order_edit,order_id}', v_body ->> 'order_id', v_body #>> '{order,shopify_order_id}',
    case when topic = 'sync/order' or topic like 'orders/%'
              or v_body ->> 'admin_graphql_api_id' like 'gid://shopify/Order/%' then v_body ->> 'id' end)::bigint;
exception when data_exception or program_limit_exceeded then
  return null;
end
$$;


-- keep_letter: keeps what cannot be taken as a dead letter, once for each body, and answers with its id.
create function ordak.keep_letter(store text, topic text, reason text, body bytea, content jsonb) returns bigint
language sql set search_path = '' as $$
  insert into ordak.dead_letters as l (store, topic, reason, body, body_sha256, content, shopify_order_id)
  values (keep_letter.store, left(keep_letter.topic, 100), left(keep_letter.reason, 1000), keep_letter.body,
          sha256(keep_letter.body), keep_letter.content, ordak.order_named(keep_letter.topic, keep_letter.body))
  -- Its reason may be another by now, and its body purged: the newest is the one that still holds.
  on conflict on constraint dead_letters_body_key do update set
    reason = excluded.reason, body = excluded.body, content = excluded.content, received_at = excluded.received_at,
    -- It came again after it was replayed, and was refused again: it waits for somebody again.
    replayed_at = null
  returning l.id
$$;


create function api.reject_delivery(delivery jsonb, reason text, body text, content jsonb default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_store    ordak.stores;
  v_delivery bigint;
  v_letter   bigint;
begin
  perform ordak.require_service();
  v_store := ordak.store_of(delivery);
  v_delivery := ordak.record_delivery(v_store.code, delivery, 'rejected');
  if v_delivery is not null then
    v_letter := ordak.keep_letter(v_store.code, delivery ->> 'topic', reason, decode(body, 'base64'), content);
    update ordak.webhook_deliveries set dead_letter = v_letter where id = v_delivery;
  end if;
  return ordak.delivery_answer(v_store.code, delivery, v_delivery is null);
end
$$;
grant execute on function api.reject_delivery(jsonb, text, text, jsonb) to service_role;
comment on function api.reject_delivery(jsonb, text, text, jsonb) is $$
Keeps a delivery that cannot be taken as a dead letter, once for each body.

delivery  see ordak-core, rpc::Delivery
reason    for a person; never with a person's data
body      the raw body in base64
content   what was made of the body, where it could be read, for replaying it
returns   {store, order_id: null, status: rejected, message}
raises    AUTH001 unknown store
role      service
example   {"delivery": {}, "reason": "line 1, column 9: expected JSON", "body": "eyJpZCI="}
$$;


create type api.cleaned as (deliveries bigint, bodies bigint, pushes bigint, runs bigint, alerts bigint);
comment on type api.cleaned is
  'How many deliveries, pushes, runs and resolved alerts were forgotten, and how many bodies of dead letters purged';


-- clean_up: forgets what is older than an instant, at most so many of each; alerts that are resolved after three times as
-- long, for who looks back over a season.
create function ordak.clean_up(most int, before timestamptz) returns api.cleaned
language plpgsql set search_path = '' as $$
declare
  v_cleaned api.cleaned;
begin
  if most between 1 and 50000 is not true then
    perform ordak.fail('VAL001', 'expected most to be 1 to 50000, but found ' || coalesce(most::text, 'none'));
  end if;
  delete from ordak.webhook_deliveries as d
  where d.id in (select o.id from ordak.webhook_deliveries as o
                 where o.received_at < before order by o.received_at limit most);
  get diagnostics v_cleaned.deliveries = row_count;
  update ordak.dead_letters as l set body = null, content = null
  where l.id in (select o.id from ordak.dead_letters as o
                 where o.received_at < before and o.body is not null order by o.received_at limit most);
  get diagnostics v_cleaned.bodies = row_count;
  delete from ordak.push_batches as b
  where b.key in (
    select o.key from (
      -- By what they hold: most are small, but one may have 250 differences.
      select p.key, sum(p.items) over (order by p.closed_at, p.key) as items
      from (
        select c.key, c.closed_at, (select count(*) from ordak.push_items as i where i.batch = c.key) as items
        from ordak.push_batches as c where c.closed_at < before order by c.closed_at limit most
      ) as p
    ) as o
    where o.items <= greatest(most, 250));
  get diagnostics v_cleaned.pushes = row_count;
  delete from ordak.sync_runs as r
  where r.id in (select o.id from ordak.sync_runs as o
                 -- As its index is.
                 where coalesce(o.finished_at, o.started_at) < before and o.finished_at is not null
                 order by coalesce(o.finished_at, o.started_at) limit most);
  get diagnostics v_cleaned.runs = row_count;
  delete from ordak.alerts as a
  where a.id in (select o.id from ordak.alerts as o
                 where o.resolved_at < now() - 3 * (now() - before) order by o.resolved_at limit most);
  get diagnostics v_cleaned.alerts = row_count;
  return v_cleaned;
end
$$;


create function api.clean_up(most int default 5000) returns api.cleaned
language plpgsql security definer set search_path = '' as $$
begin
  perform ordak.require_service();
  return ordak.clean_up(most, now() - interval '30 days');
end
$$;
grant execute on function api.clean_up(int) to service_role;
comment on function api.clean_up(int) is $$
Forgets deliveries, closed pushes and runs, and purges the bodies of dead letters after 30 days; forgets resolved alerts
after 90. Orders are known by their gid for ever. The worker's schedule does it once an hour.

most     how many of each at the most, so that no call takes long; 1 to 50000
returns  how many there were; call again until all are 0
raises   AUTH001; VAL001
role     service
example  {}
$$;


create function api.resume_store(store text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_me ordak.staff_shared;
begin
  v_me := ordak.require_staff('Admin', store);
  perform ordak.check_store(store, true);
  -- First, as the worker does that stops a store.
  perform from ordak.sync_stores as s where s.store = resume_store.store for no key update;
  update ordak.stores as s set stopped_at = null, stop_reason = null
  where s.code = resume_store.store and s.stopped_at is not null;
  if not found then
    return false;
  end if;
  -- What it was left alone for is over too.
  update ordak.sync_stores as s set backoff_until = null, failures = 0 where s.store = resume_store.store;
  perform ordak.resolve_alert('store_stopped', store, store);
  perform ordak.audit(v_me.id, store, 'resume_store', store, null, null);
  return true;
end
$$;
grant execute on function api.resume_store(text) to authenticated;
comment on function api.resume_store(text) is $$
Has a store's shop served again, after the app was installed anew or its token replaced.

store    the code of the store
returns  true; false where it was not stopped
raises   AUTH001; AUTH002 not an Admin of the store; VAL001
role     Admin
example  {"store": "bannos"}
$$;
