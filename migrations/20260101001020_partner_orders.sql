-- Partner orders: what a partner's server sends us.

-- partner_order: a partner's order in the normal form that store_order writes.
create function ordak.partner_order(store text, content jsonb) returns jsonb
language sql set search_path = '' as $$
  select content || jsonb_build_object(
    'source', case when content ->> 'shopify_order_gid' is null then 'api' else 'shopify' end,
    'number', coalesce((content ->> 'number')::bigint, ordak.take_number(store)),
    'currency', 'AUD', 'pos', false, 'test', false, 'placed_at', now())
$$;


-- partner_repeat: the order that a partner's request is about, where it is there already; null where it is not.
create function ordak.partner_repeat(store text, content jsonb, key text, sha256 bytea) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_order ordak.orders;
begin
  v_order.order_id := ordak.repeated_order(store, key, sha256);
  if v_order.order_id is not null or content ->> 'shopify_order_gid' is null then
    return v_order.order_id;
  end if;
  select * into v_order from ordak.orders as o where o.shopify_order_gid = content ->> 'shopify_order_gid';
  perform ordak.refuse_other_store(store, v_order.store);
  return v_order.order_id;
end
$$;


create function api.create_order(content jsonb, request_id text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_key    constant text := coalesce(
    content ->> 'idempotency_key', case when content ->> 'shopify_order_gid' is null then request_id end);
  -- Two names for one request: the partner's own, and the one that is signed with it.
  v_sha256 constant bytea := sha256(convert_to((content - 'idempotency_key')::text, 'UTF8'));
  v_store  ordak.stores;
  v_id     text;
  v_new    boolean;
begin
  perform ordak.require_service();
  perform ordak.check_store(content ->> 'store', true);
  -- Shopify's own delivery of the order may arrive at the same instant.
  perform ordak.lock_shopify_order(content ->> 'store', (content ->> 'shopify_order_id')::bigint);
  -- One at a time in a store: the second of two equal requests waits here, and then finds the first one's order.
  select * into strict v_store from ordak.stores as s where s.code = content ->> 'store' for no key update;
  v_id := ordak.partner_repeat(v_store.code, content, v_key, v_sha256);
  v_new := v_id is null;
  if v_new then
    v_id := ordak.new_order(v_store, ordak.partner_order(v_store.code, content) || jsonb_build_object(
      'idempotency_key', v_key, 'request_sha256', case when v_key is not null then v_sha256 end));
  end if;
  return ordak.with_dirt(jsonb_build_object(
    'store', v_store.code, 'order_id', v_id, 'status', case when v_new then 'created' else 'skipped' end,
    'message', case when v_new then 'order created' else 'this order was there already' end));
end
$$;
grant execute on function api.create_order(jsonb, text) to service_role;
comment on function api.create_order(jsonb, text) is $$
Takes an order that a partner's server sent. Known by Shopify's gid where it has one, else by its idempotency_key, else by
the id of the request.

content     the order, see ordak-core, order::partner::PartnerOrder
request_id  what the partner signed the request with
returns     {store, order_id, status, message}; status is created, or skipped where it is there already; with dirty: true
            where something is to be pushed now
raises      AUTH001; VAL001 no store of ours; ORD005 the key was used for another order, the number is another order's, or
            the gid stands in another store
role        service
example     {"content": {"store": "bannos"}, "request_id": "msg_1"}
$$;
