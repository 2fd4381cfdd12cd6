-- Ingestion: what Shopify delivers becomes an order, an ignored topic or a dead letter, in one transaction.

create table ordak.dead_letters (
  id          bigint generated always as identity primary key,
  store       text        not null,
  topic       text        not null,
  reason      text        not null,
  body        bytea       not null,
  body_sha256 bytea       not null generated always as (sha256(body)) stored,
  created_at  timestamptz not null default now(),

  constraint dead_letters_store_fkey foreign key (store) references ordak.stores (code),
  -- Once for each body, however often it is delivered and under whatever id.
  constraint dead_letters_body_key   unique (store, topic, body_sha256)
);
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
  constraint webhook_deliveries_outcome_word     check (outcome in ('created', 'skipped', 'ignored', 'rejected'))
);
create index webhook_deliveries_order_key_idx on ordak.webhook_deliveries (order_key);
create index webhook_deliveries_dead_letter_idx on ordak.webhook_deliveries (dead_letter);
alter table ordak.webhook_deliveries enable row level security;


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
    'status', case when repeated and d.outcome = 'created' then 'skipped' else d.outcome end,
    'message', case
      when d.outcome = 'ignored'  then 'this topic is not acted on'
      when d.outcome = 'rejected' then 'kept as a dead letter (SYNC002): ' || l.reason
      when repeated               then 'this delivery was taken before'
      when d.outcome = 'skipped'  then 'this order was there already'
      else 'order created'
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


create function api.ingest_order(delivery jsonb, content jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_store    ordak.stores;
  v_delivery bigint;
  v_order    bigint;
begin
  perform ordak.require_service();
  v_store := ordak.store_of(delivery);
  v_delivery := ordak.record_delivery(v_store.code, delivery, 'skipped');
  if v_delivery is not null then
    v_order := ordak.store_order(v_store, content);
    update ordak.webhook_deliveries
    set outcome = case when v_order is null then 'skipped' else 'created' end,
        order_key = coalesce(v_order, (select id from ordak.orders
                                       where shopify_order_gid = content ->> 'shopify_order_gid'))
    where id = v_delivery;
  end if;
  return ordak.delivery_answer(v_store.code, delivery, v_delivery is null);
end
$$;
grant execute on function api.ingest_order(jsonb, jsonb) to service_role;
comment on function api.ingest_order(jsonb, jsonb) is $$
Takes an order that Shopify delivered.

delivery  see ordak-core, rpc::Delivery
content   the order in normal form, see ordak-core, order::Order
returns   {store, order_id, status, message}; status is created, or skipped where the delivery or its order is there
          already
raises    AUTH001 unknown store; ORD004 data that can never be stored; ORD005 number of another order, or an order
          that stands in another store
role      service
example   {"delivery": {}, "content": {}}
$$;


create function api.ignore_delivery(delivery jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_store    ordak.stores;
  v_delivery bigint;
begin
  perform ordak.require_service();
  v_store := ordak.store_of(delivery);
  v_delivery := ordak.record_delivery(v_store.code, delivery, 'ignored');
  return ordak.delivery_answer(v_store.code, delivery, v_delivery is null);
end
$$;
grant execute on function api.ignore_delivery(jsonb) to service_role;
comment on function api.ignore_delivery(jsonb) is $$
Records a delivery of a topic that we do not act on.

delivery  see ordak-core, rpc::Delivery
returns   {store, order_id: null, status: ignored, message}
raises    AUTH001 unknown store
role      service
example   {"delivery": {}}
$$;


create function api.reject_delivery(delivery jsonb, reason text, body text) returns jsonb
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
    insert into ordak.dead_letters as l (store, topic, reason, body)
    values (v_store.code, left(delivery ->> 'topic', 100), left(reason, 1000), decode(body, 'base64'))
    -- Its reason may be another by now: the newest is the one that still holds.
    on conflict on constraint dead_letters_body_key do update set reason = excluded.reason
    returning l.id into v_letter;
    update ordak.webhook_deliveries set dead_letter = v_letter where id = v_delivery;
  end if;
  return ordak.delivery_answer(v_store.code, delivery, v_delivery is null);
end
$$;
grant execute on function api.reject_delivery(jsonb, text, text) to service_role;
comment on function api.reject_delivery(jsonb, text, text) is $$
Keeps a delivery that cannot be taken as a dead letter, once for each body.

delivery  see ordak-core, rpc::Delivery
reason    for a person; never with a person's data
body      the raw body in base64
returns   {store, order_id: null, status: rejected, message}
raises    AUTH001 unknown store
role      service
example   {"delivery": {}, "reason": "line 1, column 9: expected JSON", "body": "eyJpZCI="}
$$;
