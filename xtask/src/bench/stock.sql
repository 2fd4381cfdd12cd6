-- A stock to measure with: a fifth of the items are parts, the others products of five parts each, and with them what is
-- sold beside cakes, found by words of its title among many others. The products of the upper half, which share no part
-- with the lower, are listed in both stores.

create temp table sizes on commit drop as select :items * 4 / 5 as products, :items / 5 as parts;

insert into ordak.items (sku, name, kind, tracked)
select 'PART-' || n, 'Part ' || n, 'component', true from sizes, generate_series(0, parts - 1) as n
union all
select 'PRODUCT-' || n, 'Product ' || n, 'product', false from sizes, generate_series(0, products - 1) as n
union all
select sku, sku, kind, true from (values ('CANDLE', 'accessory'), ('TOPPER', 'topper')) as v (sku, kind);

insert into ordak.stock_moves (item, delta, reason)
select i.id, 1000000, 'count' from ordak.items as i where i.tracked;

insert into ordak.bom_lines (product, item, quantity, stage)
select p.id, c.id, 0.5, (array['Filling', 'Covering', 'Decorating', 'Packing', 'Packing'])[k + 1]::ordak.stage
from sizes
cross join generate_series(0, products - 1) as n
cross join generate_series(0, 4) as k
-- Which of the parts of its half.
cross join lateral (select n / (products / 2) * (parts / 2) + (n + k * (parts / 10)) % (parts / 2) as part) as m
join ordak.items as p on p.sku = 'PRODUCT-' || n
join ordak.items as c on c.sku = 'PART-' || m.part;

insert into ordak.match_rules (keyword, item)
select v.keyword, i.id
from (
  values ('sparkling candle', 'CANDLE'), ('birthday topper', 'TOPPER')
  union all
  select 'seldom sold ' || n, 'CANDLE' from generate_series(1, 200) as n
) as v (keyword, sku)
join ordak.items as i on i.sku = v.sku;

insert into ordak.listings (item, store, inventory_item_id, location_id, based_at)
select i.id, s.code, 44513594000000 + n, 70001, now() - interval '1 year'
from sizes
cross join generate_series(products / 2, products - 1) as n
join ordak.items as i on i.sku = 'PRODUCT-' || n
cross join ordak.stores as s
where s.code in ('bannos', 'flourlane');
