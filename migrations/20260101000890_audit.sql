-- Audit: what must be true at every instant, as queries that find where it is not. Run by tests, by the soak and by the
-- operator alike: `select * from ordak.audit` must answer no row.

create view ordak.audit as
select 'on_hand is not the sum of its moves' as check_name, i.sku as subject
from ordak.items as i
left join (select m.item, sum(m.delta) as sum from ordak.stock_moves as m group by m.item) as m on m.item = i.id
where i.on_hand <> coalesce(m.sum, 0)
union all
select 'held or blocked is not the sum of its reservations', i.sku
from ordak.items as i
left join (
  select r.item, sum(r.quantity) filter (where r.state = 'held') as held,
    sum(r.quantity) filter (where r.state = 'blocked') as blocked
  from ordak.reservations as r where r.state in ('held', 'blocked') group by r.item
) as r on r.item = i.id
where (i.held, i.blocked) <> (coalesce(r.held, 0), coalesce(r.blocked, 0))
union all
select 'expected is not the sum of its effects', format('%s %s', g.store, i.sku)
from ordak.listings as g
join ordak.items as i on i.id = g.item
left join (select e.listing, sum(e.delta) as sum
  from ordak.listing_effects as e group by e.listing) as e on e.listing = g.id
where g.expected <> coalesce(e.sum, 0)
union all
select 'used up without one move of as much', format('%s %s', o.order_id, i.sku)
from ordak.reservations as r
join ordak.orders as o on o.id = r.order_key
join ordak.items as i on i.id = r.item
left join ordak.stock_moves as m on m.reservation = r.id
where (r.state in ('consumed', 'waste')) <> (m.id is not null) or m.delta <> -r.quantity or m.item <> r.item
union all
select 'open reservation of what is cancelled, withdrawn or complete', format('%s %s', o.order_id, i.sku)
from ordak.reservations as r
join ordak.orders as o on o.id = r.order_key
join ordak.items as i on i.id = r.item
left join ordak.tasks as t on t.line_key = r.line_key and t.unit = r.unit
where r.state in ('held', 'blocked') and (o.cancelled_at is not null or t.withdrawn_at is not null or t.stage > r.stage)
union all
select 'what waits first would fit', i.sku
from ordak.items as i
cross join lateral (
  select r.quantity from ordak.reservations as r where r.item = i.id and r.state = 'blocked'
  order by r.due_date, r.placed_at, r.id limit 1
) as r
where r.quantity <= i.on_hand - i.held
union all
select 'owed and not marked', format('%s %s', d.store, d.listing)
from ordak.owed(array(select g.id from ordak.listings as g)) as d
where d.owed <> 0 and not exists (
  select from ordak.work_queue as w where w.topic = 'inventory_push' and w.store = d.store and w.key = d.listing::text)
union all
select 'active tasks are not the cakes that are wanted', o.order_id
from ordak.orders as o
where not o.pos and o.cancelled_at is null and not 'too_many_begun' = any (o.flags)
  -- What is complete stays, also where it is wanted no more.
  and (select coalesce(sum(l.wanted), 0) from ordak.order_lines as l where l.order_key = o.id and l.kind = 'cake')
      not between (select count(*) from ordak.tasks as t
                   where t.order_key = o.id and t.withdrawn_at is null and t.stage <> 'Complete')
              and (select count(*) from ordak.tasks as t where t.order_key = o.id and t.withdrawn_at is null)
union all
-- Both sides in one list: a join would need an index on the lines' ids, or compare each with each.
select 'sold is not what the line says', format('%s %s', s.store, max(s.order_id))
from (
  select o.store, l.line_id, o.order_id, l.quantity as said, o.shopify_updated_at as updated_at, null as counted, null as based_at
  from ordak.orders as o join ordak.order_lines as l on l.order_key = o.id
  where l.line_id is not null
  union all
  select g.store, e.source_id, null, null, null, e.counted, g.based_at
  from ordak.listing_effects as e join ordak.listings as g on g.id = e.listing
  where e.kind = 'sold'
) as s
group by s.store, s.line_id
-- What was said before the level was read is in the level.
having max(s.said) <> max(s.counted) and max(s.updated_at) > max(s.based_at)
union all
select 'delivery without an outcome', format('%s %s', d.store, d.webhook_id)
from ordak.webhook_deliveries as d
where d.outcome in ('created', 'updated', 'skipped') and d.order_key is null or d.outcome = 'rejected'
  and d.dead_letter is null
union all
select 'two open pushes of a listing', format('%s %s', g.store, i.sku)
from ordak.push_batches as b
join ordak.push_items as p on p.batch = b.key
join ordak.listings as g on g.id = p.listing
join ordak.items as i on i.id = g.item
where b.state = 'open'
group by g.id, g.store, i.sku
having count(*) > 1
union all
select 'a push is not counted once where Shopify took it, and never else', format('%s %s', g.store, i.sku)
from ordak.push_items as p
join ordak.push_batches as b on b.key = p.batch
join ordak.listings as g on g.id = p.listing
join ordak.items as i on i.id = g.item
left join ordak.listing_effects as e on e.listing = p.listing and e.kind = 'push' and e.source_id = p.id
group by p.id, p.delta, b.state, g.store, i.sku
having count(e.id) <> case b.state when 'applied' then 1 else 0 end or max(e.delta) <> p.delta
union all
-- While writing is paused nobody can free it.
select 'leased by nobody, or for too long', format('%s %s %s', w.store, w.topic, w.key)
from ordak.work_queue as w
where w.state = 'leased' and (w.lease_token is null or w.lease_until < now() - interval '5 minutes')
  and not exists (select from ordak.pause);
