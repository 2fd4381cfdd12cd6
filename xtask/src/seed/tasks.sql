-- How far each cake has come: how many of the six steps it has begun, two of which are a second pass after a return.

analyze ordak.order_lines;

create temp table cakes on commit drop as
with units as (
  select
    p.*, l.order_key, l.id as line_key, u.unit, l.title, l.size, l.flavour, l.cake_writing,
    row_number() over (partition by l.order_key order by l.position, u.unit)::int as cake,
    p.number * 10 + row_number() over (partition by l.order_key order by l.position, u.unit) as n
  from planned as p
  join ordak.orders as o on o.store = p.store and o.number = p.number
  join ordak.order_lines as l on l.order_key = o.id and l.kind = 'cake'
  cross join generate_series(1, l.wanted) as u (unit)
  where not p.pos
),
staged as (
  select
    u.*, u.letter || u.number || case when u.cakes > 1 then '-' || ordak.suffix(u.cake) else '' end as task_number,
    not u.open and not u.cancelled as complete,
    case
      when u.cancelled then 1
      when not u.open  then case when pg_temp.roll(u.n, 31, 50) = 0 then 6 else 4 end
      else pg_temp.pick(u.n, 31, '{1,1,1,1,1,1,2,2,2,2,2,3,3,3,3,4,4,4,5,6}')::int
    end as steps,
    u.open and not u.cancelled and pg_temp.roll(u.n, 32, 2) = 0 as assigned
  from units as u
),
begun as (
  select
    s.*,
    -- A print begins Filling, the end of Decorating begins Packing; else whoever it is assigned to begins.
    case when s.cancelled then false when s.complete or s.steps in (4, 6) then true
         when s.steps = 1 then pg_temp.roll(s.n, 33, 5) < 3
         else s.assigned and pg_temp.roll(s.n, 33, 2) = 0 end as begun,
    case when s.complete then ordak.day_start(s.time_zone, s.due_date) - interval '12 hours'
         else b.since + (s.midnight - b.since) * (20 + pg_temp.roll(s.n, 34, 50)) / 100 end as begins
  from staged as s
  cross join lateral (select greatest(s.placed_at, s.midnight - interval '3 days')) as b (since)
)
select
  b.*,
  least(interval '150 minutes', (b.midnight - b.begins) / 7) as pace,
  case when b.assigned then b.staff[1 + pg_temp.roll(b.n, 35, cardinality(b.staff))] end as assignee,
  case when b.steps > 1 and pg_temp.roll(b.n, 36, 5) < 3 then pg_temp.pick(b.n, 37, b.storage_locations) end as storage
from begun as b;

-- step_begin, step_end: when a cake's step began, and when it ended.
create function pg_temp.step_begin(cake cakes, step int) returns timestamptz
language sql stable as $$
  select cake.begins + cake.pace * (step - 1)
$$;
create function pg_temp.step_end(cake cakes, step int) returns timestamptz
language sql stable as $$
  select cake.begins + cake.pace * (step - 1 + (40 + pg_temp.roll(cake.n * 10 + step, 38, 50)) / 100.0)
$$;

-- The index of trigrams of what is complete is built afterwards, which takes a third of the time.
set local maintenance_work_mem = '256MB';
create temp table search_index on commit drop as
select pg_get_indexdef('ordak.tasks_search_complete_idx'::regclass) as definition;
drop index ordak.tasks_search_complete_idx;

insert into ordak.tasks (
  order_key, line_key, unit, number, product_title, size, flavour, cake_writing, stage, pass, assignee, storage,
  printed_at, completed_at, progressed_at, created_at, updated_at
)
select
  c.order_key, c.line_key, c.unit, c.task_number, c.title, c.size, c.flavour, c.cake_writing,
  case when c.complete then 'Complete'
       else (array['Filling', 'Covering', 'Decorating', 'Packing', 'Decorating', 'Packing'])[c.steps] end::ordak.stage,
  case when c.steps > 4 then 2 else 1 end,
  c.assignee, c.storage, case when c.steps > 1 or c.begun then c.begins end,
  case when c.complete then pg_temp.step_end(c, c.steps) end,
  case when c.complete then pg_temp.step_end(c, c.steps)
       when c.begun and c.steps not in (4, 6) then pg_temp.step_begin(c, c.steps)
       when c.steps > 1 then pg_temp.step_end(c, c.steps - 1) end,
  c.placed_at, case when c.complete then pg_temp.step_end(c, c.steps) else c.placed_at end
from cakes as c
order by c.n;

do $$ begin execute (select definition from search_index); end $$
