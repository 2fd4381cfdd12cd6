-- Products: what each one is to the kitchen. The first sight of a product stores a guess from its title, and a person
-- reviews it: nothing is dropped because a title has no word that we know.

create table ordak.products (
  id                 bigint generated always as identity primary key,
  store              text        not null,
  -- Shopify's id; null for what is sold without one, which is then known by its SKU.
  product_id         bigint,
  sku                text,
  title              text        not null,
  kind               text        not null,
  -- Whether a person has said what it is; until then the kind is what the title suggests.
  reviewed           boolean     not null default false,
  -- Whether a signature has shown that it is this store's; others are evidence of nothing.
  proven             boolean     not null default false,
  image_url          text,
  -- The version of the products/update that this row shows; null where there was none yet.
  shopify_updated_at timestamptz,
  created_at         timestamptz not null default now(),

  constraint products_store_fkey  foreign key (store) references ordak.stores (code),
  -- By the product first: it also says whose a product is, where a delivery shows nothing else.
  constraint products_product_key unique (product_id, store),
  constraint products_sku_key     unique (store, sku),
  constraint products_one_name    check ((product_id is null) <> (sku is null)),
  constraint products_kind_word   check (kind in ('cake', 'accessory', 'ignored', 'unknown'))
);
create index products_list_idx on ordak.products (store, reviewed, id);
alter table ordak.products enable row level security;


create type api.product as (
  store      text,
  product_id bigint,
  sku        text,
  title      text,
  kind       text,
  reviewed   boolean,
  image_url  text
);
comment on type api.product is 'What a product is to the kitchen; until it is reviewed, kind is what the title suggests';

create type api.product_change as (changed boolean, product api.product, orders int);
comment on type api.product_change is 'A product as it is now, and how many orders follow the change';


-- product_of: a product as callers see it.
create function ordak.product_of(product ordak.products) returns api.product
language sql immutable set search_path = '' as $$
  select (product.store, product.product_id, product.sku, product.title, product.kind, product.reviewed,
          product.image_url)::api.product
$$;


create function api.list_products(
  store text, reviewed boolean default false, after text default null, page_size int default 50
) returns setof api.product
language plpgsql stable security definer set search_path = '' as $$
declare
  v_after bigint;
begin
  perform ordak.require_staff('Supervisor', store);
  perform ordak.check_store(store, true);
  perform ordak.check_page(page_size);
  if reviewed is null then
    perform ordak.fail('VAL001', 'expected reviewed to be true or false, but found null');
  end if;
  select p.id into v_after from ordak.products as p
  where p.store = list_products.store and coalesce(p.product_id::text, p.sku) = after
  order by p.id limit 1;
  if v_after is null and after is not null then
    perform ordak.fail('VAL001', 'expected after to be the product_id or the sku of a product, but found another');
  end if;
  return query
    select f.*
    from ordak.products as p
    cross join lateral ordak.product_of(p) as f
    where p.store = list_products.store and p.reviewed = list_products.reviewed and p.id > coalesce(v_after, 0)
    order by p.id
    limit page_size;
end
$$;
grant execute on function api.list_products(text, boolean, text, int) to authenticated;
comment on function api.list_products(text, boolean, text, int) is $$
The products of a store: those that somebody should say something about, or those that are reviewed.

store      the code of the store
reviewed   true for those that a person has classified; left out for the others
after      only those after this one: the product_id of the last one of the page before, or its sku where it has none
page_size  1 to 200
returns    them in the order in which they were first sold
raises     AUTH001; AUTH002 not a Supervisor of the store; VAL001
role       Supervisor
example    {"store": "bannos"}
$$;


-- lock_products: has those who take orders of a store and whoever says what its products are wait for each other.
--
-- shared    whether the caller takes an order, as many may at once. To be called before the order's row is locked, for
--           who classifies waits for such rows with this lock in hand.
create function ordak.lock_products(store text, shared boolean) returns void
language plpgsql set search_path = '' as $$
begin
  if shared then
    perform pg_advisory_xact_lock_shared('ordak.products'::regclass::int, hashtext(store));
  else
    perform pg_advisory_xact_lock('ordak.products'::regclass::int, hashtext(store));
  end if;
end
$$;


-- is_product: whether a line of an order is of a product.
create function ordak.is_product(product ordak.products, product_id bigint, sku text) returns boolean
language sql immutable set search_path = '' as $$
  select case when product.product_id is null then is_product.product_id is null and is_product.sku = product.sku
              else is_product.product_id = product.product_id end
$$;


-- reclassify: has a store's orders follow what a product was found to be: those of the last 90 days that are not
-- cancelled. No cake is made for an order whose day is over, and none of more cakes than can be made. At most so many at
-- once that nobody waits long; returns how many there were.
create function ordak.reclassify(product ordak.products) returns int
language plpgsql set search_path = '' as $$
declare
  v_today  constant date := (
    select ordak.local_day(s.time_zone, now()) from ordak.stores as s where s.code = product.store);
  v_orders constant bigint[] := array(
    select o.id from ordak.orders as o
    where o.store = product.store and o.placed_at > now() - interval '90 days' and o.cancelled_at is null
      and (product.kind <> 'cake' or coalesce(o.due_date >= v_today, true))
      and exists (
        select from ordak.order_lines as l
        where l.order_key = o.id and l.kind <> product.kind and ordak.is_product(product, l.product_id, l.sku))
      and (product.kind <> 'cake' or (
        select sum(l.wanted) from ordak.order_lines as l
        where l.order_key = o.id and (l.kind = 'cake' or ordak.is_product(product, l.product_id, l.sku))) <= 500)
    order by o.id
    limit 200
    for no key update);
begin
  update ordak.order_lines as l set kind = product.kind
  where l.order_key = any (v_orders) and ordak.is_product(product, l.product_id, l.sku);
  perform ordak.lock_stock(v_orders);
  perform ordak.settle_order(o, true) from unnest(v_orders) as o;
  return cardinality(v_orders);
end
$$;


create function api.classify_product(
  store text, kind text, product_id bigint default null, sku text default null
) returns api.product_change
language plpgsql security definer set search_path = '' as $$
declare
  v_me  ordak.staff_shared;
  v_old    ordak.products;
  v_new    ordak.products;
  v_orders int;
begin
  v_me := ordak.require_staff('Supervisor', store);
  perform ordak.check_store(store, true);
  if kind in ('cake', 'accessory', 'ignored') is not true then
    perform ordak.fail('VAL001', 'expected the kind cake, accessory or ignored, but found another');
  elsif (product_id is null) = (sku is null) then
    perform ordak.fail('VAL001', 'expected a product_id or a sku, but found both or none');
  end if;
  -- An order that is being taken at this instant has asked already what the product is: wait for it, and change it too.
  perform ordak.lock_products(store, false);
  select * into v_old from ordak.products as p
  where p.store = classify_product.store
    and (p.product_id = classify_product.product_id or p.sku = classify_product.sku)
  for update;
  if not found then
    perform ordak.fail('INV002', 'expected the product_id or the sku of a product, but found another',
                       'see list_products');
  end if;
  v_new := v_old;
  if not v_old.reviewed or v_old.kind <> classify_product.kind then
    update ordak.products as p set kind = classify_product.kind, reviewed = true where p.id = v_old.id
    returning * into v_new;
    perform ordak.audit(v_me.id, store, 'classify_product', coalesce(v_old.product_id::text, v_old.sku),
      jsonb_build_object('kind', v_old.kind), jsonb_build_object('kind', v_new.kind));
  end if;
  v_orders := ordak.reclassify(v_new);
  return (v_new is distinct from v_old or v_orders > 0, ordak.product_of(v_new), v_orders)::api.product_change;
end
$$;
grant execute on function api.classify_product(text, text, bigint, text) to authenticated;
comment on function api.classify_product(text, text, bigint, text) is $$
Says what a product is. Orders of the last 90 days follow, 200 at a call: cakes become tasks where their day is not over,
what is none loses those that nobody has begun. Call it again until no order follows any more.

store       the code of the store
kind        cake, accessory or ignored
product_id  Shopify's id of the product
sku         in its place, for what is sold without an id
returns     the product, and how many orders follow
raises      AUTH001; AUTH002 not a Supervisor of the store; VAL001; INV002 no such product
role        Supervisor
example     {"store": "bannos", "product_id": 7513594, "kind": "cake"}
$$;
