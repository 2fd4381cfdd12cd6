-- Reservations: what every unit of an order needs of every item, from the order's arrival to the packed cake (see
-- docs/stock.md).
--
-- One function, settle_stock, makes them agree with the order, whatever happened to it: it compares and changes the
-- difference, so it may be called once too often, but never once too little.

create table ordak.reservations (
  id        bigint generated always as identity primary key,
  order_key bigint         not null,
  line_key  bigint         not null,
  unit      int            not null,
  item      bigint         not null,
  -- The stage that uses it up.
  stage     ordak.stage    not null,
  -- A cake that is decorated anew needs its decoration once more.
  pass      int            not null default 1,
  -- As the bill of materials said when it was made; a later bill is for new units alone.
  quantity  numeric(14, 3) not null,
  optional  boolean        not null,
  -- Whether it is a piece of what was sold itself, and not of what that is made of.
  own       boolean        not null,
  -- blocked (there is too little) → held → consumed, or released (no longer wanted) or waste (no longer wanted, but
  -- begun); skipped where there was too little of what is optional.
  state     text           not null default 'blocked',
  -- What serving goes by, copied from the order.
  due_date  date,
  placed_at timestamptz    not null,

  constraint reservations_order_fkey        foreign key (order_key) references ordak.orders (id),
  constraint reservations_line_fkey         foreign key (line_key) references ordak.order_lines (id),
  constraint reservations_item_fkey         foreign key (item) references ordak.items (id),
  constraint reservations_key               unique (line_key, unit, item, stage, pass),
  constraint reservations_quantity_positive check (quantity > 0),
  constraint reservations_state_word        check (state in ('blocked', 'held', 'consumed', 'released', 'waste',
    'skipped'))
);
create index reservations_order_idx on ordak.reservations (order_key);
create index reservations_item_idx on ordak.reservations (item);
create index reservations_blocked_idx on ordak.reservations (item, due_date, placed_at, id) where state = 'blocked';
alter table ordak.reservations enable row level security;


-- sum_reservations: keeps held and blocked of the items true, whatever changes reservations.
create function ordak.sum_reservations() returns trigger
language plpgsql set search_path = '' as $$
begin
  if tg_op = 'UPDATE' then
    update ordak.items as i set held = i.held - d.held, blocked = i.blocked - d.blocked
    from (
      select g.item, coalesce(sum(g.quantity) filter (where g.state = 'held'), 0) as held,
             coalesce(sum(g.quantity) filter (where g.state = 'blocked'), 0) as blocked
      from gone as g where g.state in ('held', 'blocked') group by g.item
    ) as d
    where i.id = d.item;
  end if;
  update ordak.items as i set held = i.held + d.held, blocked = i.blocked + d.blocked
  from (
    select a.item, coalesce(sum(a.quantity) filter (where a.state = 'held'), 0) as held,
           coalesce(sum(a.quantity) filter (where a.state = 'blocked'), 0) as blocked
    from added as a where a.state in ('held', 'blocked') group by a.item
  ) as d
  where i.id = d.item;
  return null;
end
$$;
create trigger reservations_added after insert on ordak.reservations
  referencing new table as added for each statement execute function ordak.sum_reservations();
create trigger reservations_changed after update on ordak.reservations
  referencing old table as gone new table as added for each statement execute function ordak.sum_reservations();
create trigger reservations_stay before delete or truncate on ordak.reservations
  for each statement execute function ordak.refuse_change();


-- serve: gives what is there of items, locked by the caller, to the reservations that wait for it: what is due first
-- first, undated last, each whole or not at all; the first that does not fit stops it, or a large one would never be
-- served.
create function ordak.serve(items bigint[]) returns void
language plpgsql set search_path = '' as $$
begin
  with waiting as (
    select r.id, i.on_hand - i.held as free, sum(r.quantity) over (
             partition by r.item order by r.due_date, r.placed_at, r.id rows unbounded preceding) as needed
    from ordak.items as i
    join ordak.reservations as r on r.item = i.id and r.state = 'blocked'
    where i.id = any (items) and i.blocked > 0 and i.on_hand > i.held
  )
  update ordak.reservations as r set state = 'held' from waiting as w where r.id = w.id and w.needed <= w.free;
end
$$;


-- tell_stock: raises what Supervisors must be told of items, locked by the caller, in the store whose order showed it;
-- resolves what is over. Null where a person changed what is there: they know.
create function ordak.tell_stock(store text, items bigint[]) returns void
language plpgsql set search_path = '' as $$
begin
  perform ordak.alert('stock_short', tell_stock.store, i.sku,
    format('INV001: orders wait for %s of %s; see blocked_orders', i.blocked, i.sku))
  from ordak.items as i where i.id = any (items) and i.blocked > 0 and tell_stock.store is not null order by i.id;
  perform ordak.alert('stock_negative', tell_stock.store, i.sku,
    format('%s of %s were used up than there were; count it', -i.on_hand, i.sku))
  from ordak.items as i where i.id = any (items) and i.on_hand < 0 and tell_stock.store is not null order by i.id;
  update ordak.alerts as a set resolved_at = now()
  where a.id in (
    select o.id from ordak.alerts as o join ordak.items as i on i.sku = o.subject
    where i.id = any (items) and o.resolved_at is null
      and (o.kind = 'stock_short' and i.blocked = 0 or o.kind = 'stock_negative' and i.on_hand >= 0)
    order by o.id for update of o);
end
$$;


create type ordak.match as (line_key bigint, item bigint);

-- match_lines: which items the lines of an order are; null for those that nobody has mapped.
create function ordak.match_lines(v_order ordak.orders) returns ordak.match[]
language plpgsql stable set search_path = '' as $$
begin
  return array(
    select (l.id, ordak.match_item(v_order.store, l))::ordak.match
    from ordak.order_lines as l
    where l.order_key = v_order.id and l.kind <> 'ignored');
end
$$;


-- live_units: the units of an order's lines that are still wanted, with the stage of those that are cakes.
--
-- A cake's unit lives as its task does; of all else, and of what was sold over the counter, those that are wanted.
create function ordak.live_units(v_order ordak.orders) returns table (line_key bigint, unit int, stage ordak.stage)
language plpgsql stable rows 10 set search_path = '' as $$
begin
  return query
    select t.line_key, t.unit, t.stage from ordak.tasks as t
    where t.order_key = v_order.id and t.withdrawn_at is null and v_order.cancelled_at is null
    union all
    select l.id, u, null
    from ordak.order_lines as l
    cross join generate_series(1, l.wanted) as u
    where l.order_key = v_order.id and v_order.cancelled_at is null and l.kind <> 'ignored'
      and (l.kind <> 'cake' or v_order.pos)
      and not exists (select from ordak.tasks as t where t.order_key = v_order.id and t.line_key = l.id and t.unit = u);
end
$$;


-- needed: the reservations that units of an order need which have none yet.
--
-- late   whether they should have had them from the start: then also what is past is used up. Otherwise a stage that
-- was
--        over when the counting of stock began has used what nobody had counted.
create function ordak.needed(v_order ordak.orders, matches ordak.match[], late boolean) returns ordak.reservations[]
language plpgsql stable set search_path = '' as $$
begin
  return array(
    select (null, v_order.id, u.line_key, u.unit, n.item, n.stage, 1, n.quantity, n.optional, n.own, 'blocked',
            v_order.due_date, v_order.placed_at)::ordak.reservations
    from ordak.live_units(v_order) as u
    join unnest(matches) as m on m.line_key = u.line_key
    cross join lateral (
      select b.item, b.stage, sum(b.quantity) as quantity, bool_and(b.optional) as optional, false as own
      from ordak.bom_lines as b
      where b.product = m.item and (b.store is null or b.store = v_order.store)
      group by b.item, b.stage
      union all
      select i.id, 'Packing', 1, false, true from ordak.items as i where i.id = m.item and i.tracked
    ) as n
    where (late or u.stage is null or n.stage >= u.stage)
      and not exists (select from ordak.reservations as r
                      where r.order_key = v_order.id and r.line_key = u.line_key and r.unit = u.unit)
    order by u.line_key, u.unit, n.item, n.stage);
end
$$;


-- due_states: the reservations of an order that are open, or may be again, with the state that the order's state
-- demands; where that is held, blocked will do until there is enough.
--
-- A cake uses up what its stages need, those that it jumped over too; what is sold beside it goes when the last cake is
-- packed, without cakes when Shopify says that it was handed over, and at the counter at once.
create function ordak.due_states(v_order ordak.orders) returns table (id bigint, state text)
language plpgsql stable rows 20 set search_path = '' as $$
begin
  return query
    select r.id, case
      when u.line_key is not null and (r.stage < u.stage or u.stage is null and (
        v_order.pos or case when k.cakes > 0 then k.open = 0 else l.fulfilled end)) then 'consumed'
      when u.line_key is not null then 'held'
      when exists (
        select from ordak.tasks as t
        join ordak.stage_times as s on s.task = t.id and s.stage = r.stage and s.pass = t.pass
          and s.started_at is not null
        where t.line_key = r.line_key and t.unit = r.unit and r.state <> 'released') then 'waste'
      else 'released' end
    from ordak.reservations as r
    join ordak.order_lines as l on l.id = r.line_key
    left join ordak.live_units(v_order) as u on u.line_key = r.line_key and u.unit = r.unit
    cross join (
      select count(*) as cakes, count(*) filter (where t.stage <> 'Complete') as open
      from ordak.tasks as t where t.order_key = v_order.id and t.withdrawn_at is null
    ) as k
    where r.order_key = v_order.id and r.state in ('blocked', 'held', 'released');
end
$$;


-- follow_order: has the reservations of an order follow it; what is used up or wasted leaves the stock.
create function ordak.follow_order(v_order ordak.orders) returns void
language plpgsql set search_path = '' as $$
begin
  with changed as (
    update ordak.reservations as r
    set state = case when d.state <> 'held' then d.state when r.state = 'released' then 'blocked' else r.state end,
        due_date = v_order.due_date, placed_at = v_order.placed_at
    from ordak.due_states(v_order) as d
    where r.order_key = v_order.id and r.id = d.id
      and ((r.due_date, r.placed_at) is distinct from (v_order.due_date, v_order.placed_at)
                           or r.state <> d.state and not (r.state = 'blocked' and d.state = 'held'))
    returning r.*
  )
  insert into ordak.stock_moves (item, delta, reason, reference, reservation)
  select c.item, -c.quantity, case c.state when 'consumed' then 'order' else 'waste' end, v_order.order_id, c.id
  from changed as c
  where c.state in ('consumed', 'waste')
  order by c.item, c.id;
end
$$;


-- skip_short: has those of an order's new reservations that are optional do without what there is too little of.
create function ordak.skip_short(order_key bigint, items bigint[]) returns void
language plpgsql set search_path = '' as $$
begin
  update ordak.reservations as r set state = 'skipped'
  where r.order_key = skip_short.order_key and r.state = 'blocked' and r.optional;
  if found then
    -- What it stood in front of may fit.
    perform ordak.serve(items);
  end if;
end
$$;


-- take_back: puts on the shelf again what customers brought back, once for each line of a refund: pieces of what was
-- sold itself, never of what it was made of, and no more than have left beyond what is still wanted: of an order that
-- came with its refund in it, what was brought back has never left here.
create function ordak.take_back(v_order ordak.orders) returns void
language plpgsql set search_path = '' as $$
declare
  v_refund ordak.refund_lines;
begin
  for v_refund in
    select * from ordak.refund_lines as f
    where f.store = v_order.store and f.shopify_order_id = v_order.shopify_order_id and f.restock_type = 'return'
    order by f.refund_line_id
  loop
    insert into ordak.stock_moves (item, delta, reason, reference, refund_line)
    select u.item, least(v_refund.quantity, u.pieces - b.pieces), 'refund', v_order.order_id, v_refund.refund_line_id
    from (
      select r.item, count(*) - case when v_order.cancelled_at is null then l.wanted else 0 end as pieces
      from ordak.order_lines as l
      join ordak.reservations as r on r.line_key = l.id and r.own and r.state = 'consumed'
      where l.order_key = v_order.id and l.line_id = v_refund.line_id
      group by r.item, l.wanted
    ) as u
    cross join lateral (
      select coalesce(sum(m.delta), 0) as pieces
      from ordak.refund_lines as f
      join ordak.stock_moves as m on m.refund_line = f.refund_line_id and m.item = u.item
      where f.store = v_order.store and f.shopify_order_id = v_order.shopify_order_id and f.line_id = v_refund.line_id
    ) as b
    where u.pieces > b.pieces and v_refund.quantity > 0
      and not exists (select from ordak.stock_moves as m where m.refund_line = v_refund.refund_line_id
        and m.item = u.item);
  end loop;
end
$$;


-- is_fresh: whether nothing of an order is reserved yet, and nothing of what it needs can be used up already.
create function ordak.is_fresh(v_order ordak.orders) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return not v_order.pos
    and not exists (select from ordak.reservations as r where r.order_key = v_order.id)
    and not exists (select from ordak.tasks as t where t.order_key = v_order.id and t.stage <> 'Filling')
    and not exists (select from ordak.order_lines as l where l.order_key = v_order.id and l.fulfilled);
end
$$;


-- add_reservations: adds new reservations of one order, whose items the caller has locked. Those that fit at once are
-- held at once, unless others wait already, see serve. True where all of them are.
create function ordak.add_reservations(new ordak.reservations[]) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_held boolean;
begin
  with added as (
    insert into ordak.reservations (order_key, line_key, unit, item, stage, pass, quantity, optional, own, state,
      due_date, placed_at)
    select n.order_key, n.line_key, n.unit, n.item, n.stage, n.pass, n.quantity, n.optional, n.own,
           case when i.blocked = 0 and i.on_hand - i.held >= sum(n.quantity) over (
                  partition by n.item order by n.line_key, n.unit, n.stage rows unbounded preceding)
                then 'held' else 'blocked' end,
           n.due_date, n.placed_at
    from unnest(new) as n
    join ordak.items as i on i.id = n.item
    on conflict do nothing
    returning state
  )
  select bool_and(a.state = 'held') is not false into v_held from added as a;
  return v_held;
end
$$;


-- settle_stock: makes the reservations of an order, which the caller has locked, agree with it.
--
-- matches  the items that its lines are
-- new      the reservations that it lacks
create function ordak.settle_stock(v_order ordak.orders, matches ordak.match[], new ordak.reservations[]) returns void
language plpgsql set search_path = '' as $$
declare
  -- Also what is not reserved: what is available of a product that was sold follows from all of its parts.
  v_items    constant bigint[] := array(
    select r.item from ordak.reservations as r where r.order_key = v_order.id and r.state in ('blocked', 'held',
      'released')
    union
    select n.item from unnest(new) as n
    union
    select unnest(ordak.with_parts(array(select m.item from unnest(matches) as m))));
  v_fresh    constant boolean  := ordak.is_fresh(v_order);
  v_held     boolean;
  v_listings bigint[];
begin
  perform ordak.lock_items(v_items);
  v_held := ordak.add_reservations(new);
  -- Where all of a fresh order is held at once, as is usual, nothing else can change.
  if not v_held or not v_fresh then
    perform ordak.follow_order(v_order);
    perform ordak.take_back(v_order);
    perform ordak.serve(v_items);
    perform ordak.skip_short(v_order.id, v_items);
  end if;
  v_listings := ordak.lock_touched(v_items);
  if v_listings <> '{}' then
    perform ordak.count_effects(v_order, matches);
    perform ordak.mark_owed(v_listings);
  end if;
  -- Last, as alerts are locked last.
  if not v_held or not v_fresh then
    perform ordak.tell_stock(v_order.store, v_items);
  end if;
end
$$;


-- is_tracked: whether a store's stock is counted.
create function ordak.is_tracked(store text) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return (select s.inventory_tracking from ordak.settings as s where s.store = is_tracked.store);
end
$$;


-- reserve: what is called wherever an order, its lines or its tasks have changed; the caller has locked the order.
--
-- late   whether it should have had its reservations from the start, see needed
create function ordak.reserve(order_key bigint, late boolean default false) returns void
-- Planned once in a session, and by index, for tables that may be empty then: each order finds a few rows.
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_order   ordak.orders;
  v_matches ordak.match[];
  v_new     ordak.reservations[] := '{}';
begin
  select * into strict v_order from ordak.orders as o where o.id = reserve.order_key;
  if ordak.is_tracked(v_order.store) then
    v_matches := ordak.match_lines(v_order);
    v_new := ordak.needed(v_order, v_matches, late);
    perform ordak.flag(v_order.id, 'unmapped_product', v_order.cancelled_at is null and exists (
      select from unnest(v_matches) as m join ordak.order_lines as l on l.id = m.line_key
      where m.item is null and l.wanted > 0 and l.kind in ('cake', 'accessory')));
  elsif not exists (select from ordak.reservations as r where r.order_key = v_order.id) then
    return;
  end if;
  perform ordak.settle_stock(v_order, v_matches, v_new);
end
$$;


-- follow_stages: the same where only stages of tasks have changed: nothing new is needed then.
create function ordak.follow_stages(tasks bigint[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_order ordak.orders;
begin
  for v_order in
    select * from ordak.orders as o
    where o.id in (select t.order_key from ordak.tasks as t where t.id = any (tasks))
      and exists (select from ordak.reservations as r where r.order_key = o.id)
    order by o.id
  loop
    perform ordak.settle_stock(v_order, '{}', '{}');
  end loop;
end
$$;


-- remake: reserves what a cake needs that is decorated anew, in the pass that has just begun.
create function ordak.remake(task bigint) returns void
language plpgsql set search_path = '' as $$
declare
  v_order ordak.orders;
  v_new   ordak.reservations[];
begin
  select array_agg((null, r.order_key, r.line_key, r.unit, r.item, r.stage, t.pass, r.quantity, r.optional, r.own,
    'blocked',
                    r.due_date, r.placed_at)::ordak.reservations order by r.id)
  into v_new
  from ordak.tasks as t
  join ordak.reservations as r on r.line_key = t.line_key and r.unit = t.unit
  where t.id = remake.task and r.stage = 'Decorating' and r.pass = 1 and r.state <> 'skipped';
  if v_new is not null then
    select o.* into strict v_order from ordak.orders as o where o.id = v_new[1].order_key;
    perform ordak.settle_stock(v_order, '{}', v_new);
  end if;
end
$$;
