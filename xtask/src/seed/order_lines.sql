-- Cakes first, then what is sold beside them; the first line has the units that the others leave over.

analyze planned;
analyze ordak.orders;

insert into ordak.order_lines (
  order_key, line_id, position, product_id, variant_id, sku, title, variant_title, kind, quantity, current, wanted, price,
  size, flavour, cake_writing
)
select
  o.id, 8820982911946000000 + l.n, l.position, 7513594000000 + l.product, 42513594000000 + l.product,
  case when l.cake then 'CAKE-' else 'ACC-' end || lpad(l.product::text, 3, '0'),
  case when l.cake
       then (array['Chocolate Fudge Cake', 'Vanilla Bliss Cake', 'Matcha Cake', 'Unicorn Dream Cake',
                   'Naked Berry Cake', 'Salted Caramel Drip Cake', 'Football Cake', 'Red Velvet Heart Cake',
                   'Gelato Ice Cream Cake', 'Number Cake', 'Mermaid Cake', 'Lemon Meringue Cake'])[1 + l.product]
       else (array['Sparkling Candle', 'Number Candle', 'Happy Birthday Topper', 'Gold Balloon'])[1 + l.product] end,
  case when l.cake then v.size || ' / ' || v.flavour else 'Gold' end,
  case when l.cake then 'cake' else 'accessory' end,
  l.quantity, l.quantity, l.quantity, case when l.cake then p.cake_price else p.accessory_price end,
  case when l.cake then v.size end, case when l.cake then v.flavour end,
  case when l.cake and pg_temp.roll(l.n, 24, 100) < 45
       then pg_temp.pick(l.n, 25, '{"Happy Birthday","Happy 1st Birthday","Happy 30th",Congratulations,"Best wishes"}')
            || ' ' || split_part(o.customer_name, ' ', 1) end
from planned as p
join ordak.orders as o on o.store = p.store and o.number = p.number
cross join lateral (
  select
    i as position, p.number * 10 + i as n, i <= p.cake_lines as cake,
    case when i = 1 and p.cakes > 0 then p.cakes - p.cake_lines + 1 else 1 end as quantity,
    pg_temp.roll(p.number * 10 + i, 21, case when i <= p.cake_lines then 12 else 4 end) as product
  from generate_series(1, p.cake_lines + p.accessories) as i
) as l
cross join lateral (
  select
    pg_temp.pick(l.n, 22, '{"Gift Size",Small,Medium,Medium,Large,"Small Tall","Medium Tall","Large Tall"}') as size,
    pg_temp.pick(l.n, 23, p.flavours) as flavour
) as v
order by o.id, l.position
