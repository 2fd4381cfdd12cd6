-- Reading: the queue, the scanner's look-up, an order whole, the monitor's counts and week, and a store's figures.

create type api.queue_page as (tasks api.tasks[], next text);
comment on type api.queue_page is 'A page of the queue, and `after` for the next one; null on the last';

-- What a call to the queue asks for; a field that is null asks for nothing.
create type ordak.queue_filter as (
  stores     text[],
  stage      ordak.stage,
  assignee   bigint,
  unassigned boolean,
  storage    text,
  priority   ordak.priority,
  -- For ilike.
  pattern    text,
  orders     bigint[]
);

-- Where a task stands in the queue. Priority falls as the due date rises, so the queue is five bands, each in the order
-- of an index: 1 High and dated, 2 High and undated, 3 and 4 the same for Medium, 5 Low. Band 6 is what is complete.
create type ordak.queue_key as (
  band         int,
  due_date     date,
  size_rank    int,
  completed_at timestamptz,
  order_number bigint,
  id           bigint,
  number       text
);


-- band_priority: the priority of the tasks in a band; null for what is complete.
create function ordak.band_priority(band int) returns ordak.priority
language sql immutable set search_path = '' as $$
  select ('{High,High,Medium,Medium,Low}'::ordak.priority[])[band]
$$;


-- queue_cursor: a place in the queue as callers carry it to the next page, with the instant that the first page was
-- read at: a midnight between two pages would else move tasks between the bands, past the reader or back.
create function ordak.queue_cursor(as_of timestamptz, key ordak.queue_key) returns text
language sql stable set search_path = '' as $$
  select translate(encode(convert_to(c::text, 'UTF8'), 'base64'), E'\n', '')
  from jsonb_build_object('as_of', as_of, 'key', key) as c
$$;


-- read_cursor: what queue_cursor wrote, or VAL001.
create function ordak.read_cursor(after text, out as_of timestamptz, out key ordak.queue_key)
language plpgsql stable set search_path = '' as $$
declare
  v_content jsonb;
begin
  if after is null then
    return;
  elsif length(after) <= 1000 then
    begin
      v_content := convert_from(decode(after, 'base64'), 'UTF8');
      as_of := v_content ->> 'as_of';
      key := jsonb_populate_record(null::ordak.queue_key, v_content -> 'key');
    exception when data_exception then
      -- Whatever is wrong with it is one error to the caller.
      key := null;
    end;
  end if;
  if (as_of between '2000-01-01Z' and '2200-01-01Z' and key.band between 1 and 6 and key.id is not null
      and (key.due_date is not null) = (key.band in (1, 3, 5)) and (key.completed_at is not null) = (key.band = 6)
      and key.size_rank is not null and key.order_number is not null) is not true then
    perform ordak.fail('VAL001', 'expected `next` of an earlier page, but found something else',
                       'leave `after` out for the first page');
  end if;
end
$$;


-- queue_filter: what a call to the queue asks for, checked. Raises VAL001.
create function ordak.queue_filter(
  stores text[], stage text, assignee uuid, unassigned boolean, storage text, priority text, search text
) returns ordak.queue_filter
language plpgsql stable set search_path = '' as $$
declare
  v_text   constant text := btrim(search);
  v_filter ordak.queue_filter;
begin
  if not pg_input_is_valid(stage, 'ordak.stage') then
    perform ordak.fail('VAL001', 'expected a stage from Filling to Packing, or Complete, but found another');
  elsif not pg_input_is_valid(priority, 'ordak.priority') then
    perform ordak.fail('VAL001', 'expected the priority High, Medium or Low, but found another');
  elsif stage = 'Complete' and priority is not null then
    perform ordak.fail('VAL001', 'expected no priority with the stage Complete, but found one');
  elsif assignee is not null and unassigned then
    perform ordak.fail('VAL001', 'expected an assignee or unassigned, but found both');
  -- Fewer letters in a row find no trigram, and would be looked for in every task there is.
  elsif length(v_text) > 100 or v_text !~ '^[0-9]+$' and v_text !~ '[[:alnum:]]{3}' then
    perform ordak.fail('VAL001', format('expected a search of 3 to 100 characters, three of them letters or digits in a '
                                        'row, but found another of %s', length(v_text)),
                       'a number alone may be shorter, and finds the order of that number');
  end if;
  perform ordak.check_text('storage', storage, 100);
  v_filter.stores := stores;
  v_filter.stage := stage;
  v_filter.unassigned := unassigned;
  v_filter.storage := storage;
  v_filter.priority := priority;
  if assignee is not null then
    select s.id into v_filter.assignee from ordak.staff_shared as s where s.user_id = queue_filter.assignee;
    if not found then
      perform ordak.fail('VAL001', 'expected the id of a member of staff, but found another', 'see list_staff');
    end if;
  end if;
  if length(v_text) < 3 then
    v_filter.orders := array(select o.id from ordak.orders as o
                             where o.store = any (queue_filter.stores) and o.number = v_text::bigint);
  elsif v_text is not null then
    v_filter.pattern := '%' || regexp_replace(v_text, '([\\%_])', '\\\1', 'g') || '%';
  end if;
  return v_filter;
end
$$;


-- queue_band: the first tasks of one band of open ones, in the queue's order, behind a key where there is one.
--
-- Planned anew for each call, so that what is not asked for is gone before an index is chosen. Each store is read by
-- itself through its index, for each has its own today.
create function ordak.queue_band(
  as_of timestamptz, filter ordak.queue_filter, band int, after ordak.queue_key, most int
) returns setof ordak.queue_key
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
  v_undated constant boolean := band in (2, 4);
begin
  return query
    with days as materialized (
      select s.code, d.today, ordak.day_start(s.time_zone, d.today) as midnight,
             case band when 3 then d.today + 2 when 5 then d.today + 4 else '-infinity' end as first_due,
             case band when 1 then d.today + 1 when 3 then d.today + 3 else 'infinity' end as last_due
      from ordak.stores as s
      cross join ordak.local_day(s.time_zone, as_of) as d (today)
      where s.code = any (filter.stores)
    )
    select band, t.due_date, t.size_rank, null::timestamptz, t.order_number, t.id, t.number
    from days as d
    cross join lateral (
      select * from ordak.tasks as t
      where t.store = d.code and t.stage <> 'Complete' and t.cancelled_at is null
        and case when v_undated then t.due_date is null and (t.created_at < d.midnight) = (band = 2)
                 else t.due_date between d.first_due and d.last_due end
        and case when after.id is null then true
                 when v_undated then (t.size_rank, t.order_number, t.id)
                                   > (after.size_rank, after.order_number, after.id)
                 else (t.due_date, t.size_rank, t.order_number, t.id)
                    > (after.due_date, after.size_rank, after.order_number, after.id) end
        and (filter.stage is null or t.stage = filter.stage)
        and (filter.assignee is null or t.assignee = filter.assignee)
        and (filter.unassigned is not true or t.assignee is null)
        and (filter.storage is null or t.storage = filter.storage)
        and (filter.pattern is null or t.search ilike filter.pattern)
        and (filter.orders is null or t.order_key = any (filter.orders))
      order by t.due_date, t.size_rank, t.order_number, t.id
      limit most
    ) as t
    order by t.due_date, t.size_rank, t.order_number, t.id
    limit most;
end
$$;


-- queue_complete: the same for what is complete, the newest first.
create function ordak.queue_complete(filter ordak.queue_filter, after ordak.queue_key, most int)
returns setof ordak.queue_key
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
begin
  return query
    select 6, null::date, t.size_rank, t.completed_at, t.order_number, t.id, t.number
    from unnest(filter.stores) as s (code)
    cross join lateral (
      select * from ordak.tasks as t
      where t.store = s.code and t.stage = 'Complete' and t.cancelled_at is null
        and (after.id is null or (t.completed_at, t.id) < (after.completed_at, after.id))
        and (filter.assignee is null or t.assignee = filter.assignee)
        and (filter.unassigned is not true or t.assignee is null)
        and (filter.storage is null or t.storage = filter.storage)
        and (filter.pattern is null or t.search ilike filter.pattern)
        and (filter.orders is null or t.order_key = any (filter.orders))
      order by t.completed_at desc, t.id desc
      limit most
    ) as t
    order by t.completed_at desc, t.id desc
    limit most;
end
$$;


-- queue_keys: where the first `most` tasks stand that a filter asks for, in the queue's order; bands that are not
-- reached are not read.
create function ordak.queue_keys(as_of timestamptz, filter ordak.queue_filter, after ordak.queue_key, most int)
returns setof ordak.queue_key
language plpgsql stable set search_path = '' as $$
declare
  v_missing int := most;
  v_found   int;
begin
  if filter.stage = 'Complete' then
    return query select * from ordak.queue_complete(filter, after, most);
    return;
  end if;
  for v_band in coalesce(after.band, 1) .. 5 loop
    exit when v_missing = 0;
    continue when filter.priority <> ordak.band_priority(v_band);
    return query
      select * from ordak.queue_band(as_of, filter, v_band, case when v_band = after.band then after end, v_missing);
    get diagnostics v_found = row_count;
    v_missing := v_missing - v_found;
  end loop;
end
$$;


-- queue_page: a page of the queue as it is at an instant; a page that follows is as of the first one's.
create function ordak.queue_page(as_of timestamptz, filter ordak.queue_filter, after text, page_size int)
returns api.queue_page
language plpgsql stable set search_path = '' as $$
declare
  v_after record := ordak.read_cursor(after);
  v_as_of constant timestamptz := coalesce(v_after.as_of, queue_page.as_of);
  v_keys  ordak.queue_key[];
  v_page  api.queue_page;
begin
  if (filter.stage is not distinct from 'Complete') <> ((v_after.key).band = 6) then
    perform ordak.fail('VAL001', 'expected `next` of a page of the same stage, but found another''s');
  end if;
  -- One more than the page tells whether there is a next one.
  v_keys := array(select k from ordak.queue_keys(v_as_of, filter, v_after.key, page_size + 1) as k);
  -- The view's priority is that of now.
  v_page.tasks := array(
    select jsonb_populate_record(v, jsonb_build_object('priority', ordak.band_priority((v_keys[k.place]).band)))
    from unnest(array(select k.number from unnest(v_keys[:page_size]) as k)) with ordinality as k (number, place)
    join api.tasks as v on v.task_number = k.number
    order by k.place);
  if cardinality(v_keys) > page_size then
    v_page.next := ordak.queue_cursor(v_as_of, v_keys[page_size]);
  end if;
  return v_page;
end
$$;


create function api.queue(
  store text default null, stage text default null, assignee uuid default null, unassigned boolean default false,
  storage text default null, priority text default null, search text default null, after text default null,
  page_size int default 50
) returns api.queue_page
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Staff', store);
  perform ordak.check_store(store);
  perform ordak.check_page(page_size);
  return ordak.queue_page(
    now(),
    ordak.queue_filter(
      case when store is null then ordak.visible_stores() else array[store] end,
      stage, assignee, unassigned, storage, priority, search),
    after, page_size);
end
$$;
grant execute on function api.queue(text, text, uuid, boolean, text, text, text, text, int) to authenticated;
comment on function api.queue(text, text, uuid, boolean, text, text, text, text, int) is $$
The kitchen's open tasks, the most urgent first: by priority, due date, size and number, over all stores that are asked
for. What stood in the queue at the first page and is not touched meanwhile is on exactly one of the pages, whatever
changes around it and however late it gets.

store       the code of one store; left out for all that the caller works for
stage       Filling, Covering, Decorating or Packing; Complete for what is done, the newest first
assignee    the staff_id of whoever has the task
unassigned  true for tasks that nobody has
storage     where the cake stands
priority    High, Medium or Low
search      3 to 100 characters of the task's number, the order's id, the customer's name, the product or Shopify's id,
            in any case; one or two digits are an order's whole number
after       `next` of the page before; left out for the first one
page_size   1 to 200
returns     {tasks, next}; next is null on the last page
raises      AUTH001; AUTH002 another store; VAL001
role        Staff
example     {"stage": "Decorating", "unassigned": true, "page_size": 20}
$$;


create type api.found as (task api.tasks, candidates api.tasks[]);
comment on type api.found is 'The one task that a code means; or, where it may mean several, null and those';


-- find_tasks: the tasks in these stores that a printed or typed code may mean, at most 50. A number without letters
-- means every cake of its order, and without a store the orders of that number in all of them.
create function ordak.find_tasks(stores text[], code text) returns api.tasks[]
language plpgsql stable set search_path = '' as $$
declare
  v_code constant text   := btrim(code, E' \t\r\n');
  -- The store's name before a hyphen, or its letter; the digits; the letters behind them.
  v_part constant text[] := regexp_match(v_code, '^#?(?:(.+)-|([a-z]))?([0-9]{1,18})(?:-?([a-z]{1,4}))?$', 'i');
begin
  perform ordak.check_text('code', v_code, 100, true);
  return ordak.tasks_by_number(array(
    select t.number
    from ordak.stores as s
    join ordak.orders as o on o.store = s.code and o.number = v_part[3]::bigint
    join ordak.tasks as t on t.order_key = o.id
    where s.code = any (find_tasks.stores)
      and (v_part[1] is null or lower(v_part[1]) in (s.code, split_part(s.shop_domain, '.', 1)))
      and (v_part[2] is null or upper(v_part[2]) = s.letter)
      and (v_part[4] is null or t.number = s.letter || o.number || '-' || upper(v_part[4]))
    order by s.code, t.id
    limit 50));
end
$$;


create function api.find_task(code text) returns api.found
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tasks api.tasks[];
begin
  perform ordak.require_staff('Staff');
  v_tasks := ordak.find_tasks(ordak.visible_stores(), code);
  if cardinality(v_tasks) = 0 then
    perform ordak.fail('ORD001', 'expected the number of a task, but found another', 'numbers look like B25771-A');
  elsif cardinality(v_tasks) = 1 then
    return (v_tasks[1], '{}')::api.found;
  end if;
  return (null, v_tasks)::api.found;
end
$$;
grant execute on function api.find_task(text) to authenticated;
comment on function api.find_task(text) is $$
Finds a task by what is printed on a ticket, a docket or a slip, or by what somebody types: #B25771-A, b25771a,
bannos-25771-A, flour-lane-25771, 25771. What is cancelled or complete is found too.

code     1 to 100 characters, in any case, with or without blanks around
returns  {task, candidates}; task is null where the code may mean several, and candidates are those, at most 50: the
         cakes of a split order, or the same digits in two stores
raises   AUTH001; ORD001 no such task in the caller's stores; VAL001
role     Staff
example  {"code": "#B25771-A"}
$$;


create type api.order_line as (
  line_id       text,
  "position"    int,
  product_id    text,
  variant_id    text,
  sku           text,
  title         text,
  variant_title text,
  kind          text,
  quantity      int,
  wanted        int,
  price         numeric,
  size          text,
  flavour       text,
  cake_writing  text,
  properties    jsonb
);
comment on type api.order_line is
  'A line of an order; wanted is what is left of quantity after refunds. Ids are Shopify''s, as texts: JavaScript''s numbers are too small';

create type api.task_event as (
  task_number   text,
  at            timestamptz,
  action        text,
  actor_id      uuid,
  actor_name    text,
  from_stage    ordak.stage,
  to_stage      ordak.stage,
  pass          int,
  assignee_id   uuid,
  assignee_name text,
  storage       text,
  reason        text
);
comment on type api.task_event is 'What somebody did to a task, and what the task was afterwards; no actor is Shopify';

create type api.delivery as (topic text, outcome text, received_at timestamptz, reason text);
comment on type api.delivery is 'A webhook of Shopify about an order, and why it could not be taken where it could not';

create type api.order_details as (
  "order"    api.orders,
  tasks      api.tasks[],
  lines      api.order_line[],
  events     api.task_event[],
  deliveries api.delivery[]
);
comment on type api.order_details is 'An order with everything that belongs to it';


-- events_of: the last 200 things that were done to an order's tasks, the newest last.
create function ordak.events_of(order_key bigint) returns api.task_event[]
language sql stable set search_path = '' as $$
  select coalesce(array_agg((
           e.number, e.at, e.action, a.user_id, a.full_name, e.from_stage, e.to_stage, e.pass, h.user_id, h.full_name,
           e.storage, e.reason
         )::api.task_event order by e.id), '{}')
  from (
    select t.number, e.*
    from ordak.tasks as t
    join ordak.stage_events as e on e.task = t.id
    where t.order_key = events_of.order_key
    order by e.id desc
    limit 200
  ) as e
  left join ordak.staff_shared as a on a.id = e.actor
  left join ordak.staff_shared as h on h.id = e.assignee
$$;


-- deliveries_of: the last 50 webhooks that were about an order, the newest first.
create function ordak.deliveries_of(order_key bigint) returns api.delivery[]
language sql stable set search_path = '' as $$
  select array(
    select (d.topic, d.outcome, d.received_at, l.reason)::api.delivery
    from ordak.webhook_deliveries as d
    left join ordak.dead_letters as l on l.id = d.dead_letter
    where d.order_key = deliveries_of.order_key
    order by d.id desc
    limit 50
  )
$$;


create function api.get_order(order_id text) returns api.order_details
language plpgsql stable security definer set search_path = '' as $$
declare
  v_me     ordak.staff_shared;
  v_key    bigint;
  v_store  text;
  v_answer api.order_details;
begin
  v_me := ordak.require_staff('Staff');
  perform ordak.check_text('order_id', order_id, 100, true);
  select o.id, o.store into v_key, v_store from ordak.orders as o where o.order_id = get_order.order_id;
  if not found then
    perform ordak.fail('ORD001', 'expected the id of an order, but found another', 'ids look like bannos-25771');
  end if;
  perform ordak.require_store(v_me, v_store);
  select o into v_answer."order" from api.orders as o where o.order_id = get_order.order_id;
  v_answer.tasks := ordak.tasks_of(order_id);
  v_answer.lines := array(
    select (l.line_id::text, l.position, l.product_id::text, l.variant_id::text, l.sku, l.title, l.variant_title, l.kind, l.quantity,
            l.wanted, l.price, l.size, l.flavour, l.cake_writing, l.properties)::api.order_line
    from ordak.order_lines as l
    where l.order_key = v_key
    order by l.position, l.id);
  v_answer.events := ordak.events_of(v_key);
  v_answer.deliveries := ordak.deliveries_of(v_key);
  return v_answer;
end
$$;
grant execute on function api.get_order(text) to authenticated;
comment on function api.get_order(text) is $$
An order with its tasks, its lines, what was done to the tasks, and what Shopify sent about it.

order_id  as in bannos-25771
returns   {order, tasks, lines, events, deliveries}; the last 200 events, the newest last; the last 50 deliveries, the
          newest first
raises    AUTH001; AUTH002 an order of another store; ORD001; VAL001
role      Staff
example   {"order_id": "bannos-25771"}
$$;


create type api.stage_count as (
  store           text,
  filling         bigint,
  covering        bigint,
  decorating      bigint,
  packing         bigint,
  unassigned      bigint,
  held            bigint,
  overdue         bigint,
  due_today       bigint,
  completed_today bigint,
  total_open      bigint
);
comment on type api.stage_count is 'How much a store has to do; all but completed_today count open tasks';

-- Holds are rare: their tasks are counted from here rather than by looking up the order of every open task.
create index orders_held_idx on ordak.orders (store) where held_at is not null;

-- stage_counts: what some stores have to do at an instant; each store has its own today.
create function ordak.stage_counts(as_of timestamptz, stores text[]) returns setof api.stage_count
language sql stable set search_path = '' as $$
  select
    s.code, o.filling, o.covering, o.decorating, o.packing, o.unassigned, h.held, o.overdue, o.due_today,
    c.completed_today, o.total_open
  from ordak.stores as s
  cross join ordak.local_day(s.time_zone, as_of) as d (today)
  cross join lateral (
    select
      count(*) filter (where t.stage = 'Filling')     as filling,
      count(*) filter (where t.stage = 'Covering')    as covering,
      count(*) filter (where t.stage = 'Decorating')  as decorating,
      count(*) filter (where t.stage = 'Packing')     as packing,
      count(*) filter (where t.assignee is null)      as unassigned,
      count(*) filter (where t.due_date < d.today)    as overdue,
      count(*) filter (where t.due_date = d.today)    as due_today,
      count(*)                                        as total_open
    from ordak.tasks as t
    where t.store = s.code and t.stage <> 'Complete' and t.cancelled_at is null
  ) as o
  cross join lateral (
    select count(*) as held
    from ordak.orders as o
    join ordak.tasks as t on t.order_key = o.id
    where o.store = s.code and o.held_at is not null and t.stage <> 'Complete' and t.cancelled_at is null
  ) as h
  cross join lateral (
    select count(*) as completed_today
    from ordak.tasks as t
    where t.store = s.code and t.stage = 'Complete' and t.cancelled_at is null
      and t.completed_at >= ordak.day_start(s.time_zone, d.today)
      and t.completed_at < ordak.day_start(s.time_zone, d.today + 1)
  ) as c
  where s.code = any (stage_counts.stores)
  order by s.code
$$;


create function api.stage_counts(store text default null) returns setof api.stage_count
language plpgsql stable security definer set search_path = '' as $$
begin
  perform ordak.require_staff('Staff', store);
  perform ordak.check_store(store);
  return query
    select *
    from ordak.stage_counts(now(), case when store is null then ordak.visible_stores() else array[store] end);
end
$$;
grant execute on function api.stage_counts(text) to authenticated;
comment on function api.stage_counts(text) is $$
How many cakes stand in each stage, and how many nobody has, wait, are late, are due or were finished today.

store    the code of one store; left out for all that the caller works for
returns  one row for each store; its days are those of its own time zone
raises   AUTH001; AUTH002 another store; VAL001
role     Staff
example  {"store": "bannos"}
$$;


create type api.week_day as (
  due_date date,
  total    bigint,
  complete bigint,
  pending  bigint,
  tasks    api.tasks[]
);
comment on type api.week_day is 'The cakes due on a day; tasks are the first 50 that are not complete, by size';

-- monday: the Monday of a day's week.
create function ordak.monday(day date) returns date
language sql immutable set search_path = '' as $$
  select day - extract(isodow from day)::int + 1
$$;


-- first_due: the first 50 open tasks that are due on a day, by size and number.
create function ordak.first_due(store text, due_date date) returns api.tasks[]
language sql stable set search_path = '' as $$
  select ordak.tasks_by_number(array(
    select t.number
    from ordak.tasks as t
    where t.store = first_due.store and t.due_date = first_due.due_date and t.stage <> 'Complete'
      and t.cancelled_at is null
    order by t.size_rank, t.order_number, t.id
    limit 50))
$$;


create function api.week(store text, first_day date default null) returns setof api.week_day
language plpgsql stable security definer set search_path = '' as $$
declare
  v_monday date;
begin
  perform ordak.require_staff('Staff', store);
  perform ordak.check_store(store, true);
  if first_day not between '2000-01-01' and '2199-12-31' then
    perform ordak.fail('VAL001', 'expected a first_day of the years 2000 to 2199, but found one outside');
  end if;
  select ordak.monday(coalesce(first_day, ordak.local_day(s.time_zone, now()))) into v_monday
  from ordak.stores as s where s.code = week.store;
  return query
    select v_monday + n.day, c.total, c.complete, c.total - c.complete, ordak.first_due(week.store, v_monday + n.day)
    from generate_series(0, 6) as n (day)
    cross join lateral (
      select count(*) as total, count(*) filter (where t.stage = 'Complete') as complete
      from ordak.tasks as t
      where t.store = week.store and t.due_date = v_monday + n.day and t.cancelled_at is null
    ) as c
    order by n.day;
end
$$;
grant execute on function api.week(text, date) to authenticated;
comment on function api.week(text, date) is $$
The seven days of a week and the cakes that are due on each, for the kitchen's monitor. Without what is cancelled.

store      the code of the store
first_day  any day of the week; left out for the week that it is in the store
returns    one row for each day, Monday first
raises     AUTH001; AUTH002 another store; VAL001
role       Staff
example    {"store": "bannos", "first_day": "2026-12-14"}
$$;


create type api.day_total as (day date, orders bigint, revenue numeric);
comment on type api.day_total is 'What was ordered on a day, not counting what was sold over the counter';

create type api.product_total as (product_title text, cakes bigint);
comment on type api.product_total is 'How many cakes of a product were ordered';

create type api.week_total as (due_date date, total bigint, complete bigint, pending bigint);
comment on type api.week_total is 'How many cakes are due on a day';

create type api.store_analytics as (
  revenue          numeric,
  orders           bigint,
  average_order    numeric,
  pos_revenue      numeric,
  pos_orders       bigint,
  by_day           api.day_total[],
  top_products     api.product_total[],
  pending_today    bigint,
  week             api.week_total[],
  delivery_percent numeric
);
comment on type api.store_analytics is 'A store''s figures, without what is cancelled or a test';


-- sales: a store's figures of what was ordered from one day up to another, with both: the first seven fields.
create function ordak.sales(store ordak.stores, first_day date, last_day date) returns api.store_analytics
language sql stable set search_path = '' as $$
  with sold as materialized (
    select o.id, o.pos, o.total_amount, ordak.local_day(store.time_zone, o.placed_at) as day
    from ordak.orders as o
    where o.store = store.code and o.cancelled_at is null and not o.test
      and o.placed_at >= ordak.day_start(store.time_zone, first_day)
      and o.placed_at < ordak.day_start(store.time_zone, last_day + 1)
  ), totals as (
    select
      coalesce(sum(total_amount) filter (where not pos), 0) as revenue, count(*) filter (where not pos) as orders,
      coalesce(sum(total_amount) filter (where pos), 0) as pos_revenue, count(*) filter (where pos) as pos_orders
    from sold
  ), by_day as (
    select first_day + n as day, count(o.id) as orders, coalesce(sum(o.total_amount), 0) as revenue
    from generate_series(0, last_day - first_day) as n
    left join sold as o on o.day = first_day + n and not o.pos
    group by n
  ), top as (
    select t.product_title, count(*) as cakes
    from sold as o
    join ordak.tasks as t on t.order_key = o.id and t.cancelled_at is null
    group by t.product_title
    order by cakes desc, t.product_title
    limit 5
  )
  select (
    revenue, orders, round(revenue / nullif(orders, 0), 2), pos_revenue, pos_orders,
    (select array_agg((d.day, d.orders, d.revenue)::api.day_total order by d.day) from by_day as d),
    array(select (p.product_title, p.cakes)::api.product_total from top as p order by p.cakes desc, p.product_title),
    null, null, null
  )::api.store_analytics
  from totals
$$;


-- week_totals: the cakes that are due on each day of the week from a Monday on, without tests.
create function ordak.week_totals(store text, monday date) returns setof api.week_total
language sql stable set search_path = '' as $$
  select monday + n, c.total, c.complete, c.total - c.complete
  from generate_series(0, 6) as n
  cross join lateral (
    select count(*) as total, count(*) filter (where t.stage = 'Complete') as complete
    from ordak.orders as o
    join ordak.tasks as t on t.order_key = o.id
    where o.store = week_totals.store and o.due_date = monday + n and not o.test and t.cancelled_at is null
  ) as c
  order by n
$$;


-- store_analytics: a store's figures as they are at an instant.
create function ordak.store_analytics(as_of timestamptz, store ordak.stores, days int) returns api.store_analytics
language plpgsql stable set search_path = '' as $$
declare
  v_today  constant date := ordak.local_day(store.time_zone, as_of);
  v_monday constant date := ordak.monday(v_today);
  v_answer api.store_analytics := ordak.sales(store, v_today - days + 1, v_today);
begin
  v_answer.week := array(select w from ordak.week_totals(store.code, v_monday) as w);
  v_answer.pending_today := (v_answer.week[v_today - v_monday + 1]).pending;
  select round(100.0 * count(*) filter (where o.delivery_method = 'Delivery') / nullif(count(*), 0), 1)
  into v_answer.delivery_percent
  from ordak.orders as o
  where o.store = store.code and o.due_date between v_monday and v_monday + 6
    and o.cancelled_at is null and not o.test and not o.pos;
  return v_answer;
end
$$;


create function api.store_analytics(store text, days int default 30) returns api.store_analytics
language plpgsql stable security definer set search_path = '' as $$
declare
  v_store ordak.stores;
begin
  perform ordak.require_staff('Admin', store);
  perform ordak.check_store(store, true);
  if days in (7, 30, 90) is not true then
    perform ordak.fail('VAL001', format('expected days to be 7, 30 or 90, but found %s', coalesce(days::text, 'none')));
  end if;
  select * into strict v_store from ordak.stores as s where s.code = store_analytics.store;
  return ordak.store_analytics(now(), v_store, days);
end
$$;
grant execute on function api.store_analytics(text, int) to authenticated;
comment on function api.store_analytics(text, int) is $$
A store's figures over its last days, today with them, in its own time zone. What is cancelled or a test does not count,
and what was sold over the counter stands apart.

store    the code of the store
days     7, 30 or 90
returns  revenue, orders and average_order (null without orders); pos_revenue and pos_orders; by_day, with each day that
         had an order or none; top_products, the five with the most cakes; pending_today, the cakes due today that are
         not complete; week, this week's cakes by their due date; delivery_percent, how many of this week's orders are
         delivered (null without orders)
raises   AUTH001; AUTH002 not an Admin, or another store; VAL001
role     Admin
example  {"store": "bannos", "days": 30}
$$;
