-- What each order is to be is decided first, by hashes of its number: the same orders on the same day. The newest are
-- open, the others history; nothing is later than the midnight at which the store's day began.

create function pg_temp.roll(n bigint, salt int, sides int) returns int
language sql immutable as $$
  select ((hashint8extended(n, salt) & 2147483647) % sides)::int
$$;

create function pg_temp.pick(n bigint, salt int, choices text[]) returns text
language sql immutable as $$
  select choices[1 + pg_temp.roll(n, salt, cardinality(choices))]
$$;

create temp table planned on commit drop as
with amounts as (
  -- A cake is open for two weeks, so that its place in the queue does not grow with the history: some 5,000 at most.
  select least(:orders / 2, 5 * (5000 - least(5000, count(*))) / 6)::int as open
  from ordak.tasks
  where stage <> 'Complete' and cancelled_at is null
),
stores as (
  select
    s.code as store, s.letter, s.time_zone, t.today, ordak.day_start(s.time_zone, t.today) as midnight,
    g.flavours, g.storage_locations,
    (select array_agg(p.id order by p.id) from ordak.staff_shared as p
     where p.store = s.code and p.role = 'Staff' and p.approved and p.is_active) as staff,
    (select min(p.id) from ordak.staff_shared as p
     where coalesce(p.store, s.code) = s.code and p.role = 'Supervisor' and p.approved and p.is_active) as supervisor,
    count(*) over () as stores, row_number() over (order by s.code) - 1 as place
  from ordak.stores as s
  join ordak.settings as g on g.store = s.code
  cross join ordak.local_day(s.time_zone, now()) as t (today)
),
numbered as (
  select
    s.*, :first + i as number, :orders - i <= a.open as open,
    -- Each store's open orders take turns in what is special about them, so that even a few have all of it.
    case when :orders - i <= a.open then ((:orders - 1 - i) / s.stores % 20)::int
         else pg_temp.roll(:first + i, 1, 20) end as turn,
    date_trunc('second', s.midnight - case
      when :orders - i <= a.open then interval '14 days' * (:orders - i) / a.open
      else interval '14 days' + interval '1081 days' * (:orders - a.open - i) / (:orders - a.open)
    end) as placed_at
  from amounts as a
  cross join generate_series(0, :orders - 1) as i
  join stores as s on s.place = i % s.stores
)
select
  n.*,
  n.turn = 1 as pos,
  n.turn = 2 as cancelled,
  n.open and n.turn = 4 as held,
  case
    when not n.open  then d.day + 2 + pg_temp.roll(n.number, 2, 12)
    when n.turn <> 3 then greatest(d.day, n.today + case
      when n.turn = 5        then -1 - pg_temp.roll(n.number, 2, 3)
      when n.turn in (6, 7)  then 0
      when n.turn in (8, 9)  then 1
      else 2 + pg_temp.roll(n.number, 2, 12) end)
  end as due_date,
  c.cakes,
  least(c.cakes, greatest(1, c.cakes - pg_temp.roll(n.number, 4, 2))) as cake_lines,
  case when c.cakes = 0 then 1 + pg_temp.roll(n.number, 5, 2) else greatest(0, pg_temp.roll(n.number, 5, 4) - 1) end
    as accessories,
  65 + 10 * pg_temp.roll(n.number, 6, 8) as cake_price,
  12.50 as accessory_price
from numbered as n
cross join ordak.local_day(n.time_zone, n.placed_at) as d (day)
cross join pg_temp.roll(n.number, 3, 100) as r (roll)
cross join lateral (
  select case when n.turn = 0 then 0 else 1 + (r.roll >= 70)::int + (r.roll >= 88)::int + (r.roll >= 96)::int end
) as c (cakes);

insert into ordak.orders (
  store, number, shopify_order_id, shopify_order_gid, customer_name, due_date, delivery_window, delivery_method, notes,
  currency, total_amount, pos, test, placed_at, shopify_updated_at, cancelled_at, cancel_reason, held_at, hold_reason,
  flags, created_at, updated_at
)
select
  p.store, p.number, s.id, 'gid://shopify/Order/' || s.id,
  pg_temp.pick(p.number, 11, '{Mia,Oliver,Charlotte,Noah,Amelia,Jack,Isla,William,Olivia,Leo,Grace,Henry,Priya,
                               Wei,Sofia,Arjun,Hannah,Lucas,Zara,Ethan}')
    || ' ' ||
  pg_temp.pick(p.number, 12, '{Smith,Nguyen,Jones,Williams,Patel,Brown,Chen,Wilson,Taylor,Singh,Martin,Kaur,Anderson,
                               Rossi,White,Papadopoulos,Walker,Kim,Thompson,Murphy,Ryan,Haddad}'),
  p.due_date,
  case when p.due_date is not null
       then pg_temp.pick(p.number, 13, '{"9:00 AM and 11:00 AM","10:00 AM and 12:00 PM","12:00 PM and 2:00 PM",
                                         "2:00 PM and 4:00 PM"}') end,
  case when pg_temp.roll(p.number, 14, 10) < 3 and not p.pos then 'Delivery' else 'Pickup' end,
  case when pg_temp.roll(p.number, 15, 7) = 0
       then pg_temp.pick(p.number, 16, '{"Please no nuts","Leave with reception","It is a surprise, please do not call",
                                         "Gluten free if possible","Ring the bell twice"}') end,
  'AUD', p.cakes * p.cake_price + p.accessories * p.accessory_price, p.pos, pg_temp.roll(p.number, 17, 200) = 0,
  p.placed_at, p.placed_at, case when p.cancelled then c.at end, case when p.cancelled then 'customer' end,
  case when p.held then p.midnight end, case when p.held then 'Customer asked to wait for the colour' end,
  case when p.due_date is null then '{no_due_date}' else '{}' end::text[],
  p.placed_at, case when p.cancelled then c.at when p.held then p.midnight else p.placed_at end
from planned as p
cross join lateral (select 4410491455973000000 + p.number * 100) as s (id)
cross join lateral (select p.placed_at + least(interval '5 hours', (p.midnight - p.placed_at) / 2)) as c (at)
order by p.number
