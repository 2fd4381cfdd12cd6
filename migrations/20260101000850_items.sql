-- Items: what there is of everything that is bought, made from or sold, and what is made of what. One stock for all
-- stores.

create table ordak.items (
  id         bigint generated always as identity primary key,
  sku        text           not null,
  name       text           not null,
  kind       text           not null,
  -- Whether pieces of it are counted; a product that is made to order has none.
  tracked    boolean        not null default true,
  -- Always the sum of its stock_moves.
  on_hand    numeric(14, 3) not null default 0,
  -- Always the sums of its reservations in these states.
  held       numeric(14, 3) not null default 0,
  blocked    numeric(14, 3) not null default 0,
  -- What is kept back from sale, never from orders that are taken.
  buffer     numeric(14, 3) not null default 0,
  -- Below it, it is low.
  minimum    numeric(14, 3) not null default 0,
  -- What is not active matches no new line of an order.
  active     boolean        not null default true,
  created_at timestamptz    not null default now(),

  constraint items_sku_key         unique (sku),
  constraint items_sku_form        check (length(sku) between 1 and 100 and sku = btrim(sku)),
  constraint items_name_length     check (length(name) between 1 and 255),
  constraint items_kind_word       check (kind in ('component', 'accessory', 'topper', 'product')),
  constraint items_held_range      check (held >= 0),
  constraint items_blocked_range   check (blocked >= 0),
  constraint items_buffer_range    check (buffer >= 0),
  constraint items_minimum_range   check (minimum >= 0),
  constraint items_untracked_empty check (tracked or kind = 'product' and on_hand = 0 and held = 0 and blocked = 0)
);
alter table ordak.items enable row level security;


-- refuse_sum: only the triggers that keep the sums of an item may change them.
create function ordak.refuse_sum() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform ordak.fail('SYS003', 'the sums of an item follow its moves and reservations alone');
  return null;
end
$$;
create trigger items_sums before update of on_hand, held, blocked on ordak.items
  for each row when (pg_trigger_depth() = 0) execute function ordak.refuse_sum();


-- bom_lines: what one piece of a product is made of.
create table ordak.bom_lines (
  id       bigint generated always as identity primary key,
  product  bigint         not null,
  -- Null for all stores; a store's own lines come on top of those.
  store    text,
  item     bigint         not null,
  quantity numeric(14, 3) not null,
  -- The stage that uses it up.
  stage    ordak.stage    not null default 'Packing',
  -- Left out, once and for all, where there is too little; it limits no sale.
  optional boolean        not null default false,

  constraint bom_lines_product_fkey      foreign key (product) references ordak.items (id),
  constraint bom_lines_store_fkey        foreign key (store) references ordak.stores (code),
  constraint bom_lines_item_fkey         foreign key (item) references ordak.items (id),
  -- With all that ats reads of them.
  constraint bom_lines_key               unique nulls not distinct (product, item, store, stage)
    include (quantity, optional),
  constraint bom_lines_quantity_positive check (quantity > 0),
  constraint bom_lines_stage_production  check (stage <> 'Complete'),
  constraint bom_lines_not_itself        check (product <> item)
);
create index bom_lines_store_idx on ordak.bom_lines (store);
create index bom_lines_item_idx on ordak.bom_lines (item, product);
alter table ordak.bom_lines enable row level security;


-- match_rules: which item a line of an order is, see match_item.
create table ordak.match_rules (
  id         bigint generated always as identity primary key,
  -- Null for all stores.
  store      text,
  product_id bigint,
  sku        text,
  keyword    text,
  item       bigint not null,

  constraint match_rules_store_fkey   foreign key (store) references ordak.stores (code),
  constraint match_rules_item_fkey    foreign key (item) references ordak.items (id),
  constraint match_rules_one          check (num_nonnulls(product_id, sku, keyword) = 1),
  constraint match_rules_key          unique nulls not distinct (product_id, sku, keyword, store),
  constraint match_rules_keyword_form check (keyword = lower(btrim(keyword)) and length(keyword) between 2 and 100)
);
create index match_rules_store_idx on ordak.match_rules (store);
create index match_rules_item_idx on ordak.match_rules (item);
create index match_rules_sku_idx on ordak.match_rules (sku) where sku is not null;
create index match_rules_keyword_idx on ordak.match_rules (id) where keyword is not null;
alter table ordak.match_rules enable row level security;


-- match_item: which item a line of an order is; null where nobody has said.
--
-- What names the article beats what names the product, and that beats words of a title, of which the longest wins:
-- "gold 6" before "gold". A store's own rule beats the one for all. Words make a cake only a product, and what is sold
-- beside it only what is none, or a Gold Drip Cake would be a gold balloon.
create function ordak.match_item(store text, line ordak.order_lines) returns bigint
language plpgsql stable set search_path = '' as $$
declare
  v_words constant text := lower(concat_ws(' ', line.title, line.variant_title));
begin
  return coalesce(
    (select m.item
     from (
       select r.item, 1 as rank, r.store from ordak.match_rules as r where r.sku = line.sku
       union all
       select i.id, 2, null from ordak.items as i where i.sku = line.sku
       union all
       select r.item, 3, r.store from ordak.match_rules as r where r.product_id = line.product_id
     ) as m
     where (m.store is null or m.store = match_item.store) and (select i.active from ordak.items as i where i.id = m.item)
     order by m.rank, m.store nulls last, m.item
     limit 1),
    -- The items of those rules alone are read whose words are there, and none where the line names its article.
    (select r.item
     from ordak.match_rules as r
     where r.keyword is not null and strpos(v_words, r.keyword) > 0 and (r.store is null or r.store = match_item.store)
       and (select i.active and (line.kind = 'unknown' or (line.kind = 'cake') = (i.kind = 'product'))
            from ordak.items as i where i.id = r.item)
     order by length(r.keyword) desc, r.store nulls last, r.item
     limit 1));
end
$$;


-- with_parts: items, and everything that one of them is made of.
create function ordak.with_parts(items bigint[]) returns bigint[]
language plpgsql stable set search_path = '' as $$
begin
  return array(
    select unnest(items)
    union
    select b.item from ordak.bom_lines as b where b.product = any (items));
end
$$;


-- lock_items: locks items until the transaction ends, in ascending order and in one statement, so that two transactions
-- that each need several cannot wait in a ring. Whatever reads or changes the stock of an item has it locked, after the
-- order and before the listings.
create function ordak.lock_items(items bigint[]) returns void
language plpgsql set search_path = '' as $$
begin
  perform from ordak.items as i where i.id = any (items) order by i.id for no key update;
end
$$;


-- stock_moves: every change of what is on hand. Append-only: on_hand of an item is their sum.
create table ordak.stock_moves (
  id              bigint generated always as identity primary key,
  item            bigint         not null,
  delta           numeric(14, 3) not null,
  -- What was on hand afterwards.
  on_hand         numeric(14, 3) not null,
  reason          text           not null,
  -- What it was for: an order's id, a delivery note.
  reference       text,
  -- The staff row of whoever did it; null where an order did.
  actor           bigint,
  -- The reservation that it used up, where one did.
  reservation     bigint,
  -- The line of a refund that brought it back, where one did.
  refund_line     bigint,
  -- What the caller named the request by that made it.
  idempotency_key text,
  at              timestamptz    not null default clock_timestamp(),

  constraint stock_moves_item_fkey       foreign key (item) references ordak.items (id),
  constraint stock_moves_actor_fkey      foreign key (actor) references ordak.staff_shared (id),
  constraint stock_moves_delta           check (delta <> 0),
  constraint stock_moves_reason_word     check (reason in (
    'restock', 'return', 'correction', 'adjustment', 'damaged', 'sold', 'used', 'expired', 'count', 'order', 'waste',
      'refund')),
  constraint stock_moves_key             unique (item, idempotency_key),
  -- What is reserved is used up once.
  constraint stock_moves_reservation_key unique (reservation),
  constraint stock_moves_refund_key      unique (refund_line, item)
);
create index stock_moves_item_idx on ordak.stock_moves (item, id);
create index stock_moves_actor_idx on ordak.stock_moves (actor);
alter table ordak.stock_moves enable row level security;
create trigger stock_moves_append_only before update or delete or truncate on ordak.stock_moves
  for each statement execute function ordak.refuse_change();


-- sum_move: the one way in which on_hand changes.
create function ordak.sum_move() returns trigger
language plpgsql set search_path = '' as $$
begin
  update ordak.items as i set on_hand = i.on_hand + new.delta
    where i.id = new.item returning i.on_hand into strict new.on_hand;
  return new;
end
$$;
create trigger stock_moves_sum before insert on ordak.stock_moves for each row execute function ordak.sum_move();


-- ats: how many pieces of items can still be sold in stores, with its sign: less than nothing is what is missing. Null
-- for what is made to order of nothing that is counted.
--
-- items, stores  as many of each: an item and the store where it would be sold
create function ordak.ats(items bigint[], stores text[]) returns table (item bigint, store text, ats numeric)
-- One plan for one item and for 250: by index, and made once.
language plpgsql stable rows 50 set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  return query
    select w.item, s.store,
           case when m.most is null then case when i.tracked then floor(i.on_hand - i.held - i.blocked - i.buffer) end
                else floor(least(m.most, case when i.tracked then i.on_hand - i.held - i.blocked end) - i.buffer) end
    from (
      -- Stores that have no lines of their own in a bill share what the lines for all of them allow.
      select a.item, case when exists (select from ordak.bom_lines as b where b.product = a.item and b.store = a.store)
                          then a.store end as own, array_agg(a.store) as stores
      from unnest(items, stores) as a (item, store)
      group by a.item, own
    ) as w
    join ordak.items as i on i.id = w.item
    cross join lateral (
      select min(floor((c.on_hand - c.held - c.blocked - c.buffer) / b.quantity)) as most
      from (
        select b.item, sum(b.quantity) as quantity from ordak.bom_lines as b
        where b.product = w.item and not b.optional and (b.store is null or b.store = w.own)
        group by b.item
      ) as b
      join ordak.items as c on c.id = b.item
    ) as m
    cross join unnest(w.stores) as s (store);
end
$$;
