-- What the bench of pushes sells in both shops: pieces with a stock of their own, and cakes of which ten share a board each.

insert into ordak.items (sku, name, kind, tracked)
select 'OWN-' || n, 'Piece ' || n, 'accessory', true from generate_series(0, :own - 1) as n
union all
select 'CAKE-ON-BOARD-' || n, 'Sponge Cake ' || n, 'product', false from generate_series(0, :cakes - 1) as n
union all
select 'BOARD-' || n, 'Board ' || n, 'component', true from generate_series(0, :cakes / 10 - 1) as n;

insert into ordak.stock_moves (item, delta, reason)
select i.id, 10000, 'count' from ordak.items as i where i.tracked;

insert into ordak.bom_lines (product, item, quantity, stage)
select p.id, b.id, 1, 'Filling'
from generate_series(0, :cakes - 1) as n
join ordak.items as p on p.sku = 'CAKE-ON-BOARD-' || n
join ordak.items as b on b.sku = 'BOARD-' || n / 10;

-- The stand-in begins with the same number.
insert into ordak.listings (item, store, inventory_item_id, location_id, based_at, expected)
select i.id, s.code, 44513594000000 + ascii(s.letter) * 100000 + i.id, split_part(s.location, '/', 5)::bigint, now(), 10000
from ordak.items as i cross join ordak.stores as s
where i.kind <> 'component'
order by s.code, i.id;

update ordak.settings set inventory_tracking = true;
